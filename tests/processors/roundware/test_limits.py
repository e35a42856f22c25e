"""Whatever clients send: a state record of at most 256 KiB, a row of at most 512 KiB, and a transaction that ends."""

import sys

import pytest

from processors.roundware import rules, table
from processors.roundware.rules import RoundwareRules
from schemas import roundware, topics
from schemas.roundware import Event, Listen
from tests.processors.roundware.listening import SID, N, Rounds

HUGE = 2**53 - 1
WIDE = "\U0001f3a7" * 255
"""A device id of the most characters a door takes, in the most bytes."""


def largest(rounds: Rounds, topic: str) -> int:
    return max(len(record.value or b"") for record in rounds.written if topic in record.topic)


def test_no_client_makes_a_record_too_large_to_commit() -> None:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=1_000))
    told = dict.fromkeys(("device", "client_type", "client_system", "language"), "\x01" * 5000)
    rounds.open(**told)
    start = "2022-01-02T03:04:05.678901"
    for number in range(1800):
        at = 1 + number / 10
        if number == 900:
            rounds.tell("stop_session", at)
        listen = HUGE - number
        document = Listen(listen, N, HUGE, HUGE, WIDE, HUGE - number % 700, start, start, "9223372036.854775807", 2**31)
        rounds.send(document, at)
        if number % 2:
            rounds.heard(listen, "0.000000001", at)
        word = ("play_stream", "pause_stream", "\x01" * 50)[number % 3]
        event = Event(HUGE - number, N, HUGE, HUGE, WIDE, word, start, "2026-01-01T00:00:00.000Z", 89.123456, -179.1)
        rounds.send(event._replace(quality=("badTags", "badPosition")), at, {"data": number})
        if number % 100 == 0:
            rounds.fold()
    rounds.fold()
    rounds.wait(3600)
    assert not rounds.rejects()
    assert 64 * 1024 < largest(rounds, topics.STATE.name) <= topics.STATE_LIMIT_BYTES
    assert 16 * 1024 < largest(rounds, "media.reports") <= topics.ROW_LIMIT_BYTES
    for row in rounds.closes():
        assert len(row["roundware"]["assets"]) == rules.MAX_ASSETS
        assert "truncated" in row["roundware"]["flags"]


def test_an_ordinary_session_is_small() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 1, client_time="2026-01-01T00:00:01.000Z")
    for number in range(10):
        rounds.tell("location_update", 2 + number, latitude=42.35, longitude=-71.06)
        rounds.hear(number, 2 + number, "12.345")
    rounds.fold()
    [state] = [record.value for record in rounds.state() if record.key == SID.encode()]
    assert sys.getsizeof(state) < 3_000


def test_a_transaction_that_buries_much_is_committed_before_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "TOMBSTONES_A_TRANSACTION", 20)
    rounds = Rounds()
    for number in range(10):
        rounds.open(number=N + number)
        for at in range(9):
            rounds.tell("heartbeat", at, number=N + number)
    rounds.fold()
    sizes = []
    done = False
    rounds.wait(2000)
    while not done:
        done = rounds.table.pass_time(sys.maxsize, sys.maxsize)
        if done or rounds.table.full():
            sizes.append(len(rounds.table.finish()))
            rounds.table.commit()
    assert len(sizes) == 5
    assert max(sizes) == 22  # two sessions: twice nine events, a session record, and a state record
    assert not rounds.counts.open_visits[rounds.number]


def test_a_session_ended_over_and_over_leaves_no_pile_of_deadlines() -> None:
    rounds = Rounds()
    rounds.open()
    for number in range(2000):
        rounds.tell("stop_session", 1 + number / 100)
    rounds.fold()
    assert len(rounds.table._roundware._schedule._deadlines) <= 2


@pytest.mark.parametrize(
    ("sid", "source", "body"),
    [
        (SID, "roundware", b"{}"),
        (SID, "roundware", b"[]"),
        (SID, "collection", None),
        ("r:1", "roundware", None),
        ("r:x", "roundware", None),
        (SID, "roundware", b'{"dialect":"roundware","v":2,"kind":"event"}'),
    ],
)
def test_what_is_not_a_record_of_its_session_goes_to_the_rejects(sid: str, source: str, body: bytes | None) -> None:
    rounds = Rounds()
    event = roundware.encode(Event(1, N, 1, 1, None, "heartbeat", "2026-01-01T00:00:00"), b"{}")
    rounds.put(sid, event if body is None else body, 1_767_225_600_000, source=source)
    rounds.fold()
    [reject] = rounds.rejects("undecodable")
    assert reject["sid"] == sid
    assert reject["origin"]["offset"] == 0
    assert not rounds.live_state()
    assert rounds.counts.consumed == 1


def test_a_value_that_is_no_envelope_goes_to_the_rejects_under_its_key() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.log.append(rounds.log[0]._replace(offset=1, value=b"\xff"))
    rounds.log.append(rounds.log[0]._replace(offset=2, value=None))
    rounds.fold()
    assert [reject["sid"] for reject in rounds.rejects("undecodable")] == [SID, SID]
    assert rounds.counts.folded == 1
