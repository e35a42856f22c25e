"""What is compiled, when, and where compiled modules may lie."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent


def rooms() -> list[str]:
    tree = ast.parse((HOUSE / "setup.py").read_text())
    (assigned,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ROOMS"
    ]
    return ast.literal_eval(assigned)


def test_every_room_to_be_compiled_is_there_once() -> None:
    assert [room for room in rooms() if not (HOUSE / room).is_file()] == []
    assert len(set(rooms())) == len(rooms())


def test_every_module_of_the_machine_is_compiled() -> None:
    machine = {f"processors/session/{file.name}" for file in (HOUSE / "processors/session").glob("[a-z]*.py")}
    assert machine <= set(rooms())


@pytest.mark.parametrize("command", [["editable_wheel"], ["develop"], ["build_ext", "--inplace"]])
def test_compiled_modules_are_never_put_beside_their_sources(command: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "setup.py", *command],
        cwd=HOUSE,
        env={**os.environ, "MEDIABEAT_COMPILE": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "not for editable installs" in run.stderr


def test_no_compiled_module_lies_beside_its_source() -> None:
    """It would be imported instead of it, however old."""
    beside = [
        file
        for ring in ("schemas", "processors")
        for kind in ("so", "pyd")
        for file in (HOUSE / ring).rglob(f"*.{kind}")
    ]
    assert beside == []
