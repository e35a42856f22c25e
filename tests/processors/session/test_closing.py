"""How sessions end: completes, ends, timeouts, replays after the end, batches taken up again."""

import pytest

from processors.session import machine
from processors.session.rules import Rules
from schemas.events import EventType
from schemas.reports import CloseReason, RowKind
from tests.processors.session.drive import BASE, LATENCY, Drive, at, drive, start

POD = {"media.ad.podIndex": 0, "media.ad.podSecond": 0}
AD = {"media.ad.id": "ad", "media.ad.length": 15, "media.ad.podPosition": 1}
CHAPTER = {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 30}


def completed() -> Drive:
    return drive(start(), at(0, "play"), at(10, "ping", 10), at(20, "sessionComplete", 20))


def closes(told: Drive) -> list[tuple[int, int, str]]:
    return [
        (
            row["mediabeat"]["revision"],
            row["mediaReporting"]["sessionDetails"]["timePlayed"],
            row["mediabeat"]["closeReason"],
        )
        for row in told.of(RowKind.SESSION_CLOSE)
    ]


def test_a_complete_closes_at_once_and_the_session_stays_open() -> None:
    told = completed()
    assert closes(told) == [(0, 20, "complete")]
    assert told.open.completed
    assert not told.open.closed


def test_an_end_without_a_complete_is_not_complete() -> None:
    told = drive(start(), at(0, "play"), at(20, "sessionEnd", 20))
    assert told.open.closed
    assert closes(told) == [(0, 20, "end")]
    assert told.close["isCompleted"] is None


@pytest.mark.parametrize(
    "after",
    [
        (at(30, "ping", 20),),
        (at(30, "ping", 45), at(40, "ping", 50)),
        (at(30, "sessionComplete", 20),),
        (at(30, "sessionEnd", 20),),
        (at(25, "ping", 20, qoe={"media.qoe.droppedFrames": 9}), at(30, "sessionEnd", 20)),
        (at(25, "pauseStart", 20), at(28, "bufferStart", 20), at(30, "sessionEnd", 20)),
    ],
)
def test_nothing_that_follows_a_complete_without_a_play_makes_a_row(after: tuple[object, ...]) -> None:
    told = completed().fold(*after)  # type: ignore[arg-type]
    if not told.open.closed:
        told.expire()
    assert closes(told) == [(0, 20, "complete")]


def test_a_replay_goes_out_as_one_revision_at_the_next_complete() -> None:
    told = completed().fold(at(30, "ping", 20), at(40, "play", 0), at(50, "ping", 10), at(55, "sessionComplete", 15))
    assert closes(told) == [(0, 20, "complete"), (1, 35, "complete")]
    assert told.close.own["endedAt"] == BASE + 55_000
    assert told.close["uniqueTimePlayed"] == 20
    assert told.close.extras["seekCount"] == 0
    told.fold(at(56, "sessionEnd", 15))
    assert len(closes(told)) == 2


def test_the_time_between_a_complete_and_its_replay_is_in_no_account() -> None:
    told = completed().fold(at(30, "ping", 20), at(42, "play", 0), at(50, "sessionEnd", 8))
    own = told.close.own
    assert own["endedAt"] - own["startedAt"] == told.close.extras["mediaMs"] + 22_000


def test_a_replay_that_is_ended_goes_out_at_the_end_and_stays_complete() -> None:
    told = completed().fold(at(40, "play", 0), at(50, "sessionEnd", 10))
    assert closes(told) == [(0, 20, "complete"), (1, 30, "complete")]
    assert told.close["isCompleted"] is True


def test_a_replay_that_times_out_goes_out_at_the_expiry() -> None:
    told = completed().fold(at(40, "play", 0), at(50, "ping", 10)).expire()
    assert closes(told) == [(0, 20, "complete"), (1, 30, "complete")]
    assert told.close.own["closedAt"] == BASE + 650_000 + LATENCY


def test_player_states_stand_still_between_a_complete_and_a_replay() -> None:
    told = drive(start(), at(0, "play"), at(10, "stateStart", 10, {"media.state.name": "mute"}))
    told.fold(at(20, "sessionComplete", 20), at(120, "play", 0), at(125, "sessionEnd", 5))
    assert told.close.states["mute"]["time"] == 15


def test_an_error_after_a_complete_is_told_at_the_next_close() -> None:
    told = completed().fold(at(30, "error", 20), at(40, "sessionEnd", 20))
    assert [row["mediaReporting"]["qoeDataDetails"]["errorCount"] for row in told.of(RowKind.SESSION_CLOSE)] == [0, 1]


def test_the_play_that_begins_a_replay_tells_of_quality_and_of_place() -> None:
    told = completed().fold(
        at(30, "play", 70, qoe={"media.qoe.bitrate": 800}), at(31, "ping", 0), at(32, "sessionEnd", 1)
    )
    assert told.close.of("bitrateAverage", "segment") == (800, "[0-2]")
    assert told.close.extras["percentReached"] == 70.0


def test_a_first_play_after_a_complete_started_when_it_came() -> None:
    told = drive(start(), at(2, "sessionComplete"), at(12, "play"), at(15, "sessionEnd", 3))
    assert told.close.extras["serverStartupMs"] == 12_000


def test_an_ad_after_a_complete_has_rows_but_no_time_before_a_play() -> None:
    told = completed().fold(
        at(21, "adBreakStart", 20, POD),
        at(21, "adStart", 20, AD),
        at(26, "play", 20),
        at(36, "adComplete", 20),
        at(36, "adBreakComplete", 20),
        at(36, "sessionEnd", 20),
    )
    assert [ad.extras["adMs"] for ad in told.ads] == [10_000]
    assert [row["mediaReporting"]["sessionDetails"]["adCount"] for row in told.of(RowKind.SESSION_CLOSE)] == [0, 1]


def test_a_complete_closes_what_is_open() -> None:
    told = drive(
        start(),
        at(0, "play"),
        at(0, "chapterStart", 0, CHAPTER),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, AD),
        at(15, "sessionComplete", 10),
    )
    assert [row.reason for row in (*told.ads, *told.chapters)] == ["sessionEnd", "sessionEnd"]
    assert [row.kind for row in told.rows][-3:] == [RowKind.AD_CLOSE, RowKind.CHAPTER_CLOSE, RowKind.SESSION_CLOSE]
    assert told.close.flags == ["unclosedBreak"]


def test_an_idle_timeout_is_ten_minutes_after_the_last_call() -> None:
    told = drive(start(), at(0, "play"), at(20, "ping", 20)).expire(closed_at=BASE + 620_007)
    close = told.close
    assert (close.reason, close["secondsSinceLastCall"], close["timePlayed"]) == ("timeoutIdle", 600, 20)
    assert close.own["closedAt"] == BASE + 620_007
    assert close.own["receivedAt"] == BASE + 20_000 + LATENCY
    assert close.own["endedAt"] == BASE + 20_000
    assert close.value["timestamp"] == "2026-01-01T00:00:20.000Z"
    assert close["isCompleted"] is None
    assert told.open.closed


def test_a_timeout_row_says_when_the_newest_call_came_whatever_its_place_in_the_order() -> None:
    told = drive(start(), at(0, "play"))
    machine.advance(told.open, at(10, "ping", 10), BASE + 12_500, told.rules)
    machine.advance(told.open, at(11, "ping", 11), BASE + 12_000, told.rules)
    assert told.expire().close.own["receivedAt"] == BASE + 12_500


def test_a_cap_counts_from_the_last_call_to_the_deadline() -> None:
    told = drive(start(), at(0, "play"), at(20, "ping", 20)).expire(CloseReason.CAP_24H, BASE + 86_400_000)
    assert told.close.reason == "cap24h"
    assert told.close["secondsSinceLastCall"] == 86_380


def test_seconds_since_the_last_call_may_be_those_since_the_last_action() -> None:
    events = start(), at(0, "play"), at(10, "ping", 10), at(20, "ping", 20), at(51, "sessionComplete", 51)
    assert drive(*events).close["secondsSinceLastCall"] == 0
    assert drive(*events).close.extras["secondsSinceLastAction"] == 51
    assert drive(*events, rules=Rules(last_call="action")).close["secondsSinceLastCall"] == 51
    idle = drive(*events[:-1]).expire()
    assert idle.close.extras["secondsSinceLastAction"] == 620


def test_a_session_without_any_event_says_so() -> None:
    assert drive(start()).expire().close.flags == ["noEvents"]
    assert drive(start(), at(1, "ping")).expire().close.flags == []
    assert drive(start(), at(1, "sessionEnd")).close.flags == []


def test_thirty_minutes_without_movement_and_a_grace_stand_still() -> None:
    rules = Rules()
    told = drive(start(), at(0, "play"), at(10, "ping", 10), at(11, "pauseStart", 10))
    for minute in range(1, 31):
        told.fold(at(10 + 60 * minute, "ping", 10))
    assert not machine.stands_still(told.open, at(10 + 1_860, "ping", 10), rules)
    late = at(10 + 1_860.001, "ping", 10)
    assert machine.stands_still(told.open, late, rules)
    assert not machine.stands_still(told.open, late._replace(playhead=10.1), rules)
    assert machine.still_deadline(told.open, rules) == BASE + 1_810_000 + LATENCY
    told.expire(CloseReason.TIMEOUT_STILL, machine.still_deadline(told.open, rules))
    assert told.close.reason == "timeoutStill"
    assert told.close.of("pauseTime", "secondsSinceLastCall") == (1_799, 0)


def test_a_stuck_ad_stands_still_too() -> None:
    told = drive(start(), at(0, "play"), at(10, "adBreakStart", 10, POD), at(10, "adStart", 10, AD))
    assert machine.stands_still(told.open, at(10 + 1_861, "ping", 10), Rules())


def test_a_broken_ts_never_makes_a_session_stand_still() -> None:
    told = drive(start(), at(0, "play"))
    for ts in (2**63 - 1, -(2**63), BASE * 1_000):
        assert not machine.stands_still(told.open, at(0, "ping", 0)._replace(ts=ts), Rules())


def test_a_batch_never_stands_still() -> None:
    told = drive(start(), at(0, "play"), source="batch")
    assert not machine.stands_still(told.open, at(90_000, "ping", 0), Rules())


def test_a_batch_ends_with_its_last_element() -> None:
    told = drive(start(), at(0, "play"), at(30, "ping", 30), source="batch").expire(CloseReason.END, BASE + 30_000)
    assert closes(told) == [(0, 30, "end")]
    assert told.close["secondsSinceLastCall"] == 0
    assert "closedAt" not in told.close.own
    assert told.close.flags == []
    assert told.close["isDownloaded"] is True


def test_a_completed_batch_makes_no_second_close() -> None:
    told = drive(start(), at(0, "play"), at(30, "sessionComplete", 30), source="batch")
    told.expire(CloseReason.END, BASE + 30_000)
    assert closes(told) == [(0, 30, "complete")]


def broken_off() -> Drive:
    return drive(
        start(),
        at(0, "play"),
        at(0, "chapterStart", 0, CHAPTER),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, AD),
        at(14, "ping", 10),
        source="batch",
    ).expire(CloseReason.CAP_24H, BASE + 86_400_000)


def test_an_incomplete_batch_is_flagged() -> None:
    told = broken_off()
    assert told.open.closed
    assert told.close.reason == "cap24h"
    assert "incompleteBatch" in told.close.flags
    assert [row.reason for row in (*told.ads, *told.chapters)] == ["timeout", "timeout"]


def test_an_incomplete_batch_taken_up_again_revises_its_rows() -> None:
    told = broken_off()
    machine.reopen(told.open)
    assert not told.open.closed
    told.fold(
        at(25, "adComplete", 10), at(25, "adBreakComplete", 10), at(30, "chapterComplete", 15), at(40, "sessionEnd", 25)
    )
    assert [(ad.own["instance"], ad.own["revision"], ad.extras["adMs"], ad.reason) for ad in told.ads] == [
        (1, 0, 4_000, "timeout"),
        (1, 1, 15_000, "complete"),
    ]
    assert [(row.own["revision"], row.extras["contentMs"], row.reason) for row in told.chapters] == [
        (0, 10_000, "timeout"),
        (1, 15_000, "complete"),
    ]
    assert closes(told) == [(0, 10, "cap24h"), (1, 25, "end")]
    assert "closedAt" not in {**told.close.own, **told.ads[-1].own, **told.chapters[-1].own}
    assert told.close.flags == []
    assert len(told.of(RowKind.AD_START)) == 1


def test_a_rest_that_changes_no_number_still_takes_the_flag_off() -> None:
    told = drive(start(), at(0, "play"), at(10, "ping", 10), source="batch").expire(CloseReason.CAP_24H, BASE + 1)
    machine.reopen(told.open)
    told.fold(at(10, "sessionEnd", 10))
    assert closes(told) == [(0, 10, "cap24h"), (1, 10, "end")]
    assert told.close.flags == []


def test_an_ad_after_a_revised_one_begins_with_its_first_row() -> None:
    told = broken_off()
    machine.reopen(told.open)
    other = {**AD, "media.ad.id": "other"}
    told.fold(at(25, "adComplete", 10), at(25, "adStart", 10, other), at(30, "adComplete", 10))
    assert [(ad.own["instance"], ad.own["revision"]) for ad in told.ads] == [(1, 0), (1, 1), (2, 0)]


def test_an_incomplete_batch_that_goes_on_equals_one_that_never_broke_off() -> None:
    rest = at(25, "adComplete", 10), at(25, "adBreakComplete", 10), at(40, "sessionComplete", 25)
    told = broken_off()
    machine.reopen(told.open)
    told.fold(*rest)
    whole = drive(
        start(),
        at(0, "play"),
        at(0, "chapterStart", 0, CHAPTER),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, AD),
        at(14, "ping", 10),
        *rest,
        source="batch",
    )
    assert told.close.value["mediaReporting"] == whole.close.value["mediaReporting"]
    assert told.close.extras == whole.close.extras


def test_only_events_that_rows_hang_on_are_in_a_hurry() -> None:
    hurried = {event_type for event_type in EventType if machine.makes_row(event_type)}
    assert hurried == set(EventType) - {
        EventType.PLAY,
        EventType.PING,
        EventType.PAUSE_START,
        EventType.BUFFER_START,
        EventType.BITRATE_CHANGE,
        EventType.ERROR,
        EventType.STATE_START,
        EventType.STATE_END,
        EventType.STATES_UPDATE,
    }


@pytest.mark.parametrize(
    ("library", "source", "serial"),
    [
        ("ios-media-5.0.1", "collection", True),
        ("tvos-media-5.0.1", "collection", True),
        ("android-media-3.1.2", "collection", True),
        ("js-3.1.0", "collection", False),
        (None, "collection", False),
        ("js-3.1.0", "batch", True),
    ],
)
def test_serial_clients_are_known_by_their_library(library: str | None, source: str, serial: bool) -> None:
    told = {} if library is None else {"libraryVersion": library}
    assert drive(start(0, **told), source=source).open.is_serial is serial


def test_what_is_open_can_be_asked_for() -> None:
    told = drive(start(), at(1, "chapterStart", 0, CHAPTER), at(2, "adBreakStart", 0, POD), at(3, "adStart", 0, AD))
    session = told.open
    assert (session.chapter_opened_ts, session.break_opened_ts, session.ad_opened_ts) == (
        BASE + 1_000,
        BASE + 2_000,
        BASE + 3_000,
    )
    told.fold(at(4, "sessionComplete"))
    assert (told.open.chapter_opened_ts, told.open.break_opened_ts, told.open.ad_opened_ts) == (None, None, None)
