"""Stalls, rule by rule."""

import pytest

from processors.session import rules as limits
from processors.session.rules import Rules
from schemas.events import Event
from tests.processors.session.drive import BASE, LATENCY, Drive, at, drive, start

POD = {"media.ad.podIndex": 0, "media.ad.podSecond": 0}


def chapter(index: int) -> dict[str, object]:
    return {"media.chapter.index": index, "media.chapter.offset": 0, "media.chapter.length": 30}


def playing(*events: Event, rules: Rules | None = None) -> Drive:
    return drive(start(0, length=600), at(0, "play"), at(10, "ping", 10), *events, rules=rules)


def test_two_events_with_an_unmoved_playhead_are_no_stall() -> None:
    told = playing(at(20, "ping", 10), at(30, "ping", 20), at(40, "sessionEnd", 30))
    assert told.close.of("stallCount", "timePlayed") == (0, 40)


def test_a_third_event_makes_a_stall_of_the_whole_run() -> None:
    told = playing(at(20, "ping", 10), at(30, "error", 10), at(40, "sessionEnd", 20))
    assert told.close.of("stallCount", "stallTime", "timePlayed", "totalTimePlayed") == (1, 20, 20, 20)


def test_a_stall_goes_on_until_the_playhead_moves() -> None:
    told = playing(*(at(second, "ping", 10) for second in range(20, 100, 10)), at(100, "sessionEnd", 20))
    assert told.close.of("stallCount", "stallTime", "timePlayed") == (1, 80, 20)


def test_a_stall_ends_at_a_state_change() -> None:
    told = playing(
        at(20, "ping", 10), at(30, "ping", 10), at(37, "bufferStart", 10), at(40, "play", 10), at(50, "sessionEnd", 20)
    )
    assert told.close.of("stallCount", "stallTime", "bufferTime", "timePlayed") == (1, 27, 3, 20)


def test_a_state_change_that_finds_the_playhead_moved_leaves_the_stall_at_the_last_unmoved_event() -> None:
    told = playing(at(20, "ping", 10), at(30, "ping", 10), at(37, "pauseStart", 14), at(40, "sessionEnd", 14))
    assert told.close.of("stallTime", "timePlayed") == (20, 17)


def test_several_events_at_one_instant_are_no_stall() -> None:
    told = playing(
        at(20, "chapterStart", 20, chapter(1)),
        at(20, "stateStart", 20, {"media.state.name": "mute"}),
        at(20, "ping", 20),
        at(20, "ping", 20),
        at(30, "sessionEnd", 30),
    )
    assert told.close.of("stallCount", "timePlayed") == (0, 30)


def test_less_than_three_seconds_are_no_stall() -> None:
    events = at(11, "ping", 10), at(12, "ping", 10), at(12.9, "ping", 10), at(20, "sessionEnd", 20)
    assert playing(*events).close.of("stallCount", "timePlayed") == (0, 20)
    patient = playing(*events, rules=Rules(stall_min_ms=2_900)).close
    assert patient.of("stallCount", "stallTime") == (1, 3)
    assert patient.extras["stallMs"] == 2_900


def test_two_runs_are_two_stalls() -> None:
    told = playing(
        at(20, "ping", 10),
        at(30, "ping", 10),
        at(40, "ping", 20),
        at(50, "ping", 20),
        at(60, "ping", 20),
        at(70, "sessionEnd", 30),
    )
    assert told.close.of("stallCount", "stallTime", "timePlayed") == (2, 40, 30)


def test_a_paused_or_buffering_player_does_not_stall() -> None:
    told = playing(
        at(10, "pauseStart", 10),
        *(at(second, "ping", 10) for second in range(20, 60, 10)),
        at(60, "bufferStart", 10),
        *(at(second, "ping", 10) for second in range(70, 100, 10)),
        at(100, "sessionEnd", 10),
    )
    assert told.close.of("stallCount", "stallTime") == (0, 0)


def test_a_pause_in_between_begins_a_new_run() -> None:
    told = playing(
        at(20, "ping", 10), at(25, "pauseStart", 10), at(26, "play", 10), at(35, "ping", 10), at(45, "sessionEnd", 20)
    )
    # 10 to 25 is a run of three events; after the pause only two.
    assert told.close.of("stallCount", "stallTime", "timePlayed") == (1, 15, 29)


def test_events_in_a_break_and_its_boundaries_are_in_no_run() -> None:
    told = playing(
        at(20, "ping", 10),
        at(30, "adBreakStart", 10, POD),
        at(30, "adStart", 10, {"media.ad.id": "1"}),
        *(at(second, "ping", 10) for second in range(31, 45)),
        at(45, "adComplete", 10),
        at(45, "adBreakComplete", 10),
        at(50, "ping", 10),
        at(55, "ping", 10),
        at(65, "sessionEnd", 20),
    )
    assert told.close.of("stallCount", "timePlayed") == (0, 50)
    assert told.ads[0].extras["adMs"] == 15_000


def test_a_stall_is_no_time_of_the_open_chapter() -> None:
    told = playing(
        at(20, "chapterStart", 20, chapter(1)),
        at(30, "ping", 20),
        at(40, "ping", 20),
        at(50, "ping", 30),
        at(60, "chapterComplete", 40),
        at(60, "sessionEnd", 40),
    )
    assert [row.extras["contentMs"] for row in told.chapters] == [20_000]


def test_a_stall_found_after_its_chapters_end_revises_the_chapter() -> None:
    told = playing(
        at(10, "chapterStart", 10, chapter(1)),
        at(20, "ping", 20),
        at(30, "chapterComplete", 20),
        at(30, "chapterStart", 20, chapter(2)),
        at(35, "ping", 20),
        at(45, "ping", 30),
        at(50, "sessionComplete", 35),
    )
    first, revised, second = told.chapters
    assert (first.own["instance"], first.own["revision"], first.extras["contentMs"]) == (1, 0, 20_000)
    assert (revised.own["instance"], revised.own["revision"], revised.extras["contentMs"]) == (1, 1, 10_000)
    assert (second.own["instance"], second.own["revision"], second.extras["contentMs"]) == (2, 0, 15_000)
    assert revised["isCompleted"] is True
    assert revised.own["endedAt"] == first.own["endedAt"] == BASE + 30_000
    assert revised.value["timestamp"] == "2026-01-01T00:00:35.000Z"  # of the event that found it
    assert revised.own["receivedAt"] == BASE + 35_000 + LATENCY
    assert told.close.of("stallTime", "timePlayed") == (15, 35)


def test_a_run_over_more_chapters_than_can_be_revised_begins_anew() -> None:
    many = limits.MAX_REPORTED_CHAPTERS + 2
    events: list[Event] = []
    for number in range(many):
        events += [
            at(11 + number / 10, "chapterStart", 10, chapter(number)),
            at(11.05 + number / 10, "chapterComplete", 10),
        ]
    told = playing(*events, at(40, "ping", 10), at(50, "ping", 10), at(60, "sessionEnd", 20))
    newest = {row.own["instance"]: row.extras["contentMs"] for row in told.chapters}
    assert sum(newest.values()) <= told.close.extras["contentMs"]
    assert "truncated" in told.close.flags
    assert told.close["stallCount"] == 1
    # The ninth chapter's end, at 11.85 s, is where the run begins anew; the tenth lies in the stall.
    assert told.close.extras["stallMs"] == 50_000 - 11_850
    assert told.close.extras["contentMs"] == 11_850 + 10_000
    assert newest == dict.fromkeys(range(1, many), 50) | {many: 0}


def test_a_stall_has_no_weight_in_the_average_bitrate() -> None:
    told = drive(
        start(0, length=600),
        at(0, "play", qoe={"media.qoe.bitrate": 1_000}),
        at(10, "ping", 10, qoe={"media.qoe.bitrate": 9_000}),
        at(20, "ping", 10),
        at(40, "ping", 10),
        at(50, "sessionEnd", 20),
    )
    assert told.close["bitrateAverage"] == 5_000


@pytest.mark.parametrize("seconds", [3, 10])
def test_an_open_sessions_numbers_shrink_when_a_stall_is_found(seconds: int) -> None:
    told = playing(at(10 + seconds, "ping", 10))
    before = told.heartbeat().value["mediaReporting"]["sessionDetails"]["timePlayed"]
    told.fold(at(10 + 2 * seconds, "ping", 10))
    after = told.heartbeat().value["mediaReporting"]["sessionDetails"]["timePlayed"]
    assert (before, after) == (10 + seconds, 10)
