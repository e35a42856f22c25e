"""What `pip install .` brings along: the command, and everything that is not Python."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from schemas.events import EventType
from schemas.reports import RowKind

HERE = Path(__file__).parents[2]
RINGS = ("schemas", "ingest", "processors", "deploy")


def test_the_wheel_carries_the_command_the_schemas_and_the_page(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for ring in RINGS:
        shutil.copytree(HERE / ring, tree / ring, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(HERE / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        assert "mediabeat = deploy.__main__:main" in archive.read(entry_points).decode()
    assert {f"schemas/json/{event_type}.json" for event_type in EventType} <= names
    assert {f"schemas/json/reports/{kind}.v1.json" for kind in RowKind} <= names
    data = {path.relative_to(HERE).as_posix() for ring in RINGS for path in (HERE / ring).rglob("*") if path.is_file()}
    missing = {name for name in data if not name.endswith((".py", ".pyc", ".md"))} - names
    assert not missing
    assert not [name for name in names if name.startswith("tests/")]
