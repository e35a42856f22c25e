"""What the targets of the Makefile would do."""

import os
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent


def planned(*goals: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PORT" and not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-n", *goals], cwd=HOUSE, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_run_leaves_the_port_to_the_environment_unless_it_is_told_one() -> None:
    assert "--port" not in planned("run")
    assert "mediabeat run --port 8090" in planned("run", "PORT=8090")


@pytest.mark.parametrize(("goal", "nodes"), [("kafka", 1), ("kafka-3", 3)])
def test_a_broker_for_development_has_its_nodes_and_its_port(goal: str, nodes: int) -> None:
    assert f"deploy.broker start --nodes {nodes} --port 19092" in planned(goal, "KAFKA_PORT=19092")


@pytest.mark.parametrize(
    ("stamp", "installs"), [(".run", "-e '.'"), (".dev", "-e '.[dev]'"), (".bench", "-e '.[bench]'")]
)
def test_what_is_installed_follows_from_what_is_asked_for(stamp: str, installs: str) -> None:
    assert installs in planned("-W", "pyproject.toml", f".venv/{stamp}")
