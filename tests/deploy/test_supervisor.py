"""Real processes and sockets; only the doors are small, and have no log behind them."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.deploy.supervised import Group, Waiting, eventually_ended, group_of
from tests.e2e.running import PATIENCE_SECONDS, eventually, request


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    with group_of(2, tmp_path) as found:
        found.ready()
        yield found


def test_every_door_has_a_socket_of_its_own_and_connections_are_spread_over_them(group: Group, tmp_path: Path) -> None:
    assert len(group.queued()) == 2

    answers = [group.ask() for _ in range(40)]  # 1 in 2**39 that all meet one door

    by_pid = Counter(answer["pid"] for answer in answers)
    assert by_pid.keys() == {door.pid for door in group.doors()}
    assert {answer["number"] for answer in answers} == {0, 1}
    figures = group.figures()
    by_door = [figures[f'mediabeat_door_requests_received_total{{door="{place}"}}'] for place in range(2)]
    assert sorted(by_door) == sorted(by_pid.values())
    assert figures["mediabeat_requests_received_total"] == 40
    assert figures["mediabeat_requests_accepted_total"] == 40
    assert figures["mediabeat_closed_sessions_known"] == 7
    assert figures["mediabeat_doors_ready"] == figures["mediabeat_doors"] == 2
    assert refusal_of_another_group(tmp_path / "another", group.url.rpartition(":")[2]).endswith("with --port")


def refusal_of_another_group(directory: Path, port: str) -> str:
    """Its last line: though sockets on one port are what it wants too, it shall not share with strangers."""
    directory.mkdir()
    with group_of(2, directory, "--port", port) as second:
        assert eventually_ended(second.process) == 1
        return second.log.splitlines()[-1]


def test_connections_that_wait_for_a_door_that_dies_are_answered_by_its_replacement(group: Group) -> None:
    for _ in range(10):
        group.ask()
    assert group.figures()["mediabeat_requests_accepted_total"] == 10
    victims = group.doors()
    for victim in victims:
        victim.suspend()
    waiting = [Waiting(group) for _ in range(24)]
    eventually(lambda: sum(group.queued()) == 24)
    assert all(group.queued())

    for victim in victims:
        victim.kill()
    for one in waiting:
        one.join(PATIENCE_SECONDS)

    answered_by = {one.answer["pid"] for one in waiting if one.answer}
    assert len(answered_by) == 2
    assert answered_by.isdisjoint(victim.pid for victim in victims)
    assert all(one.answer for one in waiting)
    figures = group.figures()
    assert figures["mediabeat_requests_accepted_total"] == 34  # those of the dead among them
    assert figures["mediabeat_doors_ended_total"] == 2
    assert group.log.count("ended by SIGKILL") == 2
    assert group.reasons() == []


def test_a_door_that_hangs_is_named_and_replaced_though_what_it_was_forked_from_hangs_too(tmp_path: Path) -> None:
    with group_of(2, tmp_path, "--hung-seconds", "4") as group:
        group.ready()
        victim = group.doors()[0]
        victim.suspend()
        group.fork_server().suspend()
        waiting = [Waiting(group) for _ in range(16)]

        eventually(lambda: any("has not been heard of" in reason for reason in group.reasons()))
        for one in waiting:
            one.join(PATIENCE_SECONDS)

        assert victim.pid not in {one.answer["pid"] for one in waiting if one.answer}
        assert all(one.answer for one in waiting)
        assert "hangs" in group.log
        assert psutil.wait_procs([victim], PATIENCE_SECONDS)[1] == []


def test_a_door_that_dies_again_and_again_makes_the_group_unready_and_the_other_goes_on(group: Group) -> None:
    victim, other = group.doors()
    (group.directory / "stillborn").touch()
    victim.kill()

    reasons = eventually(lambda: [reason for reason in group.reasons() if "in a row" in reason])

    assert len(reasons) == 1
    assert request(group.admin, "GET", "/readyz").status == 503
    assert request(group.admin, "GET", "/livez").status == 200
    waiting = [Waiting(group) for _ in range(16)]
    eventually(lambda: any(one.answer for one in waiting))
    assert {one.answer["pid"] for one in waiting if one.answer} == {other.pid}
    assert group.log.count("starting another") >= 3

    (group.directory / "stillborn").unlink()
    for one in waiting:
        one.join(PATIENCE_SECONDS)
    assert all(one.answer for one in waiting)
    eventually(lambda: group.reasons() == [])


def test_a_group_whose_doors_cannot_start_ends_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "refused").write_text("no Kafka at somewhere:9092")
    with group_of(2, tmp_path) as group:
        assert eventually_ended(group.process) == 1
        assert group.log.splitlines()[-1] == "no Kafka at somewhere:9092"


def test_a_group_whose_doors_die_at_once_does_not_try_for_ever_to_start(tmp_path: Path) -> None:
    (tmp_path / "stillborn").touch()
    with group_of(2, tmp_path) as group:
        assert eventually_ended(group.process) == 1
        assert "end before they are ready" in group.log.splitlines()[-1]


def test_what_the_doors_are_forked_from_may_die_too(group: Group) -> None:
    before = group.doors()
    server = group.fork_server()
    server.kill()
    eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    assert group.reasons() == []

    for door in before:
        door.kill()
    waiting = [Waiting(group) for _ in range(8)]
    for one in waiting:
        one.join(PATIENCE_SECONDS)

    assert all(one.answer for one in waiting)
    eventually(lambda: group.reasons() == [])


def test_doors_are_replaced_one_by_one_while_every_connection_is_taken(group: Group) -> None:
    before = group.doors()
    over, answers = threading.Event(), []

    def go_on_asking() -> None:
        while not over.is_set():
            answers.append(group.ask())

    asking = threading.Thread(target=go_on_asking)
    asking.start()
    group.process.send_signal(signal.SIGHUP)
    eventually(lambda: "every front door has been replaced" in group.log)
    seen = len(answers)
    eventually(lambda: len(answers) > seen + 10)
    over.set()
    asking.join(PATIENCE_SECONDS)

    assert {answer["pid"] for answer in answers[seen + 1 :]}.isdisjoint(door.pid for door in before)
    figures = group.figures()
    assert figures["mediabeat_requests_accepted_total"] == len(answers)
    assert figures["mediabeat_doors_ended_total"] == 0
    assert psutil.wait_procs(before, PATIENCE_SECONDS)[1] == []


def test_doors_go_on_when_what_shall_replace_them_does_not_start_and_one_that_cannot_start_says_why(
    group: Group,
) -> None:
    before = {door.pid for door in group.doors()}
    (group.directory / "refused").write_text("a topic is missing")

    group.process.send_signal(signal.SIGHUP)
    eventually(lambda: "is not replaced" in group.log)

    assert {door.pid for door in group.doors()} >= before
    assert {group.ask()["pid"] for _ in range(20)} <= before
    assert group.reasons() == []

    group.doors()[0].kill()

    eventually(lambda: any("a topic is missing" in reason for reason in group.reasons()))
