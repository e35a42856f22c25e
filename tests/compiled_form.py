"""`python -m tests.compiled_form`: builds the compiled form in a place of its own and runs the tests of its rooms on it.

Needs a C compiler; where there is none it says so and tests nothing. What it runs is what `make test` runs of the rooms in
`setup.py`, without the tests marked `interpreted`. Some 45 s of CPU time to build, unoptimised, and 60 s to test; benches
build the quicker form by `kept`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from hashlib import sha256
from pathlib import Path

HOUSE = Path(__file__).parent.parent
RINGS = ("schemas", "ingest", "processors", "deploy")
TESTED = (
    "tests/processors",
    *(f"tests/schemas/test_{room}.py" for room in ("batches", "codec_envelope", "codec_events", "events", "examples")),
    *(f"tests/schemas/test_{room}.py" for room in ("repairs", "session_ids")),
    "--ignore=tests/processors/roundware",
    "--ignore-glob=tests/processors/test_kafka*",
)
"""The rooms that are compiled, and who calls them; what neither is would only cost the gate its time."""
QUICK_TO_BUILD, QUICK_TO_RUN = "0", "2"


class NoCompiler(Exception):
    """Says which one was looked for."""


def build(place: Path, level: str) -> Path:
    """Compile what is in this tree, as wheels are, into a folder that can stand first on a path. NoCompiler."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise NoCompiler(f"there is no C compiler ({compiler})")
    source, target = place / "source", place / "compiled"
    for ring in RINGS:
        shutil.copytree(HOUSE / ring, source / ring, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HOUSE / name, source / name)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), "."],
        cwd=source,
        env={**os.environ, "MEDIABEAT_COMPILE": "1", "MEDIABEAT_COMPILE_LEVEL": level},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if built.returncode:
        raise SystemExit(f"the compiled form does not build:\n{built.stdout[-4000:]}")
    if not list(target.glob("processors/session_table.*.so")):
        raise SystemExit(f"nothing was compiled:\n{built.stdout[-4000:]}")
    return target


def kept(level: str) -> Path:
    """The compiled form of what is in this tree, built into `build/` unless it is there already. NoCompiler."""
    files = sorted(file for ring in RINGS for file in (HOUSE / ring).rglob("*.py"))
    sources = b"".join(file.read_bytes() for file in [HOUSE / "setup.py", *files])
    place = HOUSE / "build" / f"bench-{level}-{sha256(sources).hexdigest()[:16]}"
    if not (place / "compiled").is_dir():
        making = Path(tempfile.mkdtemp(dir=_made(HOUSE / "build")))
        try:
            build(making, level)
            making.rename(place)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return place / "compiled"


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test(target: Path, more: list[str]) -> int:
    """Run the tests of its rooms on the compiled form, and no other."""
    imported = subprocess.run(
        [sys.executable, "-P", "-c", "import processors.session_table as room; print(room.__file__)"],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not imported.endswith((".so", ".pyd")) or not Path(imported).is_relative_to(target):
        raise SystemExit(f"the compiled form is not what is imported: {imported}")
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-m", "not chaos and not interpreted"]
    return subprocess.run([*command, "-o", f"pythonpath={target} .", *TESTED, *more], cwd=HOUSE).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default=QUICK_TO_BUILD, help="of the C compiler's optimisation")
    given, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="mediabeat-compiled-") as place:
        began = time.monotonic()
        try:
            target = build(Path(place), given.level)
        except NoCompiler as reason:
            print(f"NOT TESTED: the compiled form, because {reason}.", file=sys.stderr)
            return
        print(f"the compiled form was built in {time.monotonic() - began:.0f} s", flush=True)
        raise SystemExit(test(target, more))


if __name__ == "__main__":
    main()
