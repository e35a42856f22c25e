"""Dozens of simulated sessions against a real `mediabeat run`: every row equal to a truth of its own."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.running import Running, environment, running

TIMEOUTS = ("--idle-timeout", "3", "--grace", "0.5", "--reorder-window", "1.5", "--heartbeat-interval", "0.5")
PATIENCE_SECONDS = 240.0
"""Sessions are played and then sat out: on a busy machine that takes a while, and nothing is asserted about time."""


def fleet(process: Running, *flags: str, timeouts: tuple[str, ...] = TIMEOUTS) -> tuple[int, str]:
    arguments = ["fleet", "--url", process.url, "--check", "--data", str(process.data), *timeouts, *flags]
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment(),
    )
    return done.returncode, done.stdout + done.stderr


def test_every_row_of_a_fleet_is_there_once_and_equal_to_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    with running(tmp_path / "data", *TIMEOUTS) as process:
        status, said = fleet(process, "--sessions", "50", "--seed", "11", "--truth", str(truth))
        assert status == 0, said
        assert "every row of" in said
        assert "still open" not in said
        assert " x 400" not in said
        assert " x 500" not in said
        rows = sum(b'"eventType"' in line for line in truth.read_bytes().splitlines())
        assert rows > 200

        # The same log, read by somebody who has the timeouts wrong: the check does find what differs.
        wrong = (*TIMEOUTS[:1], "2.5", *TIMEOUTS[2:])
        status, said = fleet(process, "--sessions", "0", "--patience", "0", timeouts=wrong)
        assert status == 1
        assert "closedAt" in said
