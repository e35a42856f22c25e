"""How doors and their supervisor end: told to, told twice, or orphaned. Real processes, small doors."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.deploy.supervised import Group, begun, eventually_ended, group_of
from tests.e2e.running import PATIENCE_SECONDS, eventually


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with group_of(2, tmp_path) as found:
        found.ready()
        yield found


def test_a_stop_answers_what_was_begun_also_when_every_process_is_told_and_told_twice(group: Group) -> None:
    requests = begun(group, 8)
    doors = group.doors()

    group.process.send_signal(signal.SIGINT)
    for door in doors:  # as a terminal does, and a service manager
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            door.send_signal(number)
    eventually(lambda: group.reasons() == ["stopping"])
    eventually(lambda: group.queued() == [])

    for one in requests:
        answer = one.finish()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
    assert eventually_ended(group.process) == 0
    assert "error" not in group.log


def test_a_door_that_dies_during_the_stop_is_said(group: Group) -> None:
    requests = begun(group, 8)
    group.process.send_signal(signal.SIGTERM)
    eventually(lambda: group.queued() == [])

    for door in group.doors():
        door.kill()

    assert eventually_ended(group.process) == 1
    assert all(one.ends() for one in requests)
    assert "died while it was stopping" in group.log.splitlines()[-1]


def test_a_second_signal_ends_all_at_once(group: Group) -> None:
    requests = begun(group, 4)
    processes = [group.fork_server(), *group.doors()]
    group.process.send_signal(signal.SIGTERM)
    eventually(lambda: group.reasons() == ["stopping"])

    group.process.send_signal(signal.SIGTERM)

    assert eventually_ended(group.process) == -signal.SIGTERM
    assert all(one.ends() for one in requests)
    assert psutil.wait_procs(processes, PATIENCE_SECONDS)[1] == []


def test_doors_do_not_outlive_a_supervisor_that_was_killed_but_answer_what_they_had_begun(group: Group) -> None:
    requests = begun(group, 8)
    processes = [group.fork_server(), *group.doors()]

    group.process.kill()
    eventually(lambda: group.queued() == [])

    for one in requests:
        answer = one.finish()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower()
    assert psutil.wait_procs(processes, PATIENCE_SECONDS)[1] == []
