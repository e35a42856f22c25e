"""Names of workers: unique on a host, free again when a process ends however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.slots import SlotTaken, lock_directory, take_slot


def test_two_workers_with_one_name_are_refused(tmp_path: Path) -> None:
    with take_slot(tmp_path, "host", "a"):
        with pytest.raises(SlotTaken, match="'a'"):
            take_slot(tmp_path, "host", "a")
        take_slot(tmp_path, "host", "b").release()


def test_without_a_name_the_first_free_number_is_taken(tmp_path: Path) -> None:
    first = take_slot(tmp_path, "host")
    second = take_slot(tmp_path, "host")
    assert (first.name, second.name) == ("host-0", "host-1")
    first.release()
    with take_slot(tmp_path, "host") as again:
        assert again.name == "host-0"
    second.release()


def test_a_name_is_free_again_when_its_process_was_killed(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from deploy.slots import take_slot; s = take_slot(Path(sys.argv[1]), 'h', 'a'); print('held', flush=True); sys.stdin.read()"  # fmt: skip
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(SlotTaken):
        take_slot(tmp_path, "h", "a")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    take_slot(tmp_path, "h", "a").release()
    holder.stdin.close()
    holder.stdout.close()


def test_names_that_are_no_file_names_stay_apart(tmp_path: Path) -> None:
    with take_slot(tmp_path, "h", "a/b"), take_slot(tmp_path, "h", "a_b"), take_slot(tmp_path, "h", "a:b"):
        pass


def test_another_cluster_or_group_has_names_of_its_own() -> None:
    places = {lock_directory("one:9092", "g"), lock_directory("two:9092", "g"), lock_directory("one:9092", "h")}
    assert len(places) == 3
