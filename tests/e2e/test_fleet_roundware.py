"""Dozens of simulated Roundware clients against a real `mediabeat run`: every row equal to a truth of its own."""

from pathlib import Path

from tests.e2e.running import running
from tests.e2e.test_fleet import fleet

TIMEOUTS = ("--roundware-idle-timeout", "1.5", "--heartbeat-interval", "0.4")
ON_ITS_OWN = ("--grace", "0", "--reorder-window", "0.5", "--idle-timeout", "2")


def test_every_row_of_roundware_clients_is_there_once_and_equal_to_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    with running(tmp_path / "data", *TIMEOUTS, *ON_ITS_OWN) as process:
        dialect = ("--dialect", "roundware")
        flags = (*dialect, "--sessions", "40", "--seed", "3", "--truth", str(truth), "--processes", "2")
        status, said = fleet(process, *flags, timeouts=TIMEOUTS)
        assert status == 0, said
        assert "every row of" in said
        assert "still open" not in said
        assert " x 400" not in said
        assert " x 500" not in said
        assert len(truth.read_bytes().splitlines()) > 100

        # The same log, read by somebody who has the limit wrong: the check does find what differs.
        wrong = ("--roundware-idle-timeout", "1.4", *TIMEOUTS[2:])
        status, said = fleet(process, *dialect, "--sessions", "0", "--patience", "0", timeouts=wrong)
        assert status == 1
        assert "closedAt" in said
