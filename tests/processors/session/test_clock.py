"""Clocks that go backwards, jump, or are no clocks."""

import pytest

from processors.session import clock
from processors.session.rules import LAST_TS, Rules
from schemas.events import Event, EventType
from tests.processors.session.drive import BASE, LATENCY, Drive, at, drive, start

BEYOND = LAST_TS + 1
EXTREMES = (-(2**63), -1, BEYOND, 2**63 - 1)


def told_at(ts: int, event_type: str, playhead: float = 0) -> Event:
    return Event(EventType(event_type), playhead, ts, start().params if event_type == "sessionStart" else {}, {}, {})


def test_an_older_ts_folds_at_the_newest_and_adds_nothing() -> None:
    told = drive(start(), at(0, "play"), at(20, "ping", 20), at(15, "ping", 15), at(30, "sessionEnd", 30))
    assert told.close.extras["contentMs"] == 30_000
    assert told.close.flags == ["clockSkew"]
    assert told.close.own["endedAt"] == BASE + 30_000


def test_a_late_end_ends_at_the_newest_ts() -> None:
    close = drive(start(), at(0, "play"), at(20, "ping", 20), at(15, "sessionEnd", 15)).close
    assert close.own["endedAt"] == BASE + 20_000
    assert close.value["timestamp"] == "2026-01-01T00:00:20.000Z"


@pytest.mark.parametrize("ts", EXTREMES)
def test_one_event_without_a_date_costs_its_session_nothing(ts: int) -> None:
    told = drive(start(), at(0, "play"), at(10, "ping", 10))
    told.fold(told_at(ts, "error", 11), at(20, "ping", 20), at(30, "sessionComplete", 30))
    assert told.close.of("timePlayed", "errorCount") == (30, 1)
    assert told.close.flags == ["clockSkew"]
    assert told.close.own["endedAt"] == BASE + 30_000


@pytest.mark.parametrize("ts", EXTREMES)
def test_a_row_made_at_no_date_is_stamped_with_its_arrival(ts: int) -> None:
    told = Drive()
    told.fold(told_at(ts, "sessionStart"), told_at(ts, "play"), told_at(ts, "sessionEnd"))
    first, last = told.rows[0].value, told.rows[-1].value
    assert first["timestamp"] == _utc(first["mediabeat"]["receivedAt"])
    assert last["timestamp"] == _utc(last["mediabeat"]["receivedAt"])
    assert first["mediabeat"]["flags"] == last["mediabeat"]["flags"] == ["clockSkew"]
    assert first["mediabeat"]["startedAt"] == ts
    assert last["mediabeat"]["endedAt"] == ts


def _utc(milliseconds: int) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


@pytest.mark.parametrize("ts", [-100_000, BEYOND + 7])
def test_a_clock_that_shows_no_date_but_runs_still_measures(ts: int) -> None:
    told = drive(
        told_at(ts, "sessionStart"),
        told_at(ts, "play"),
        told_at(ts + 10_000, "ping", 10),
        told_at(ts + 15_000, "sessionEnd", 15),
    )
    assert told.close["timePlayed"] == 15
    assert told.close.flags == ["clockSkew"]


@pytest.mark.parametrize("ts", EXTREMES)
def test_a_clock_set_right_after_the_start_measures_from_then_on(ts: int) -> None:
    told = drive(told_at(ts, "sessionStart"), told_at(ts, "play"), at(10, "ping", 10), at(20, "sessionEnd", 20))
    assert told.close["timePlayed"] == 10
    assert told.close.own["endedAt"] == BASE + 20_000


def test_a_jump_of_decades_is_a_clock_being_set() -> None:
    told = drive(
        told_at(0, "sessionStart"),
        told_at(0, "play"),
        told_at(5_000, "ping", 5),
        at(0, "ping", 10),
        at(9, "sessionEnd", 19),
    )
    assert told.close["timePlayed"] == 5 + 9
    assert told.close.flags == ["clockSkew"]


def test_the_year_1970_is_a_date() -> None:
    told = drive(told_at(0, "sessionStart"), told_at(0, "play"), told_at(10_000, "sessionEnd", 10))
    assert told.rows[0].value["timestamp"] == "1970-01-01T00:00:00.000Z"
    assert told.close.flags == []
    assert told.close["timePlayed"] == 10


def test_the_last_millisecond_of_the_year_9999_is_a_date() -> None:
    told = drive(told_at(LAST_TS, "sessionStart"))
    assert told.rows[0].value["timestamp"] == "9999-12-31T23:59:59.999Z"
    assert "flags" not in told.rows[0].value["mediabeat"]


def test_a_timeout_at_no_date_is_stamped_with_the_last_arrival() -> None:
    told = drive(told_at(-5, "sessionStart"), told_at(-5, "ping")).expire()
    assert told.close.own["endedAt"] == -5
    assert told.close.own["receivedAt"] == BASE + LATENCY
    assert told.close.value["timestamp"] == _utc(BASE + LATENCY)


def test_a_ts_beyond_64_bits_is_held_within() -> None:
    assert clock.held(2**64) == 2**63 - 1
    assert clock.held(-(2**64)) == -(2**63)


@pytest.mark.parametrize(("last", "ts"), [(BASE, 2**63 - 1), (-(2**63), 2**63 - 1), (2**63 - 1, -(2**63))])
def test_no_step_adds_more_than_a_jump(last: int, ts: int) -> None:
    step = clock.step(last, ts, Rules())
    assert step.gap_ms == 0
    assert step.flag_bits
