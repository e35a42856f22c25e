"""Markers, seeks, unique time and segment, rule by rule."""

import pytest

from processors.session import progress
from processors.session import rules as limits
from processors.session.rules import Rules
from schemas.events import Event
from tests.processors.session.drive import Drive, Numbers, at, drive, start


def closed(*events: Event, length: float | None = 100, rules: Rules | None = None) -> Numbers:
    return drive(start(0, length=length), *events, rules=rules).close


def test_playing_across_a_marker_sets_it() -> None:
    numbers = closed(at(0, "play"), at(10, "ping", 10), at(24.9, "ping", 24.9), at(95, "sessionEnd", 95))
    assert numbers.markers == [10, 25, 50, 75, 95]
    assert numbers.extras["percentReached"] == 95.0


def test_there_is_no_marker_at_the_end() -> None:
    assert closed(at(0, "play"), at(100, "sessionComplete", 100)).markers == [10, 25, 50, 75, 95]


def test_a_marker_jumped_over_is_reached_but_not_crossed() -> None:
    events = at(0, "play"), at(5, "ping", 5), at(10, "ping", 60), at(15, "sessionEnd", 65)
    by_crossing = closed(*events)
    assert by_crossing.markers == [10]  # five seconds more are taken as played before the jump
    assert by_crossing.extras["markersReached"] == [10, 25, 50]
    by_reach = closed(*events, rules=Rules(marker_rule="reached"))
    assert by_reach.markers == [10, 25, 50]
    assert by_reach.extras["markersCrossed"] == [10]


def test_landing_on_a_marker_counts() -> None:
    assert closed(at(0, "play"), at(1, "ping", 1), at(2, "ping", 75), at(3, "sessionEnd", 76)).markers == [75]
    assert closed(at(0, "play", 50), at(3, "sessionEnd", 53)).markers == [50]
    paused = closed(at(0, "play"), at(1, "pauseStart", 1), at(2, "play", 25), at(3, "sessionEnd", 26))
    assert paused.markers == [25]


def test_starting_late_skips_the_markers_before() -> None:
    numbers = closed(at(0, "play", 30), at(30, "sessionEnd", 60))
    assert numbers.markers == [50]
    assert numbers.extras["markersReached"] == [10, 25, 50]


def test_a_rewind_counts_no_marker_twice_and_takes_none_back() -> None:
    numbers = closed(at(0, "play"), at(30, "ping", 30), at(31, "ping", 0), at(61, "sessionEnd", 30))
    assert numbers.markers == [10, 25]


@pytest.mark.parametrize("length", [None, 0, -5])
def test_without_a_length_there_is_no_marker_percentage_or_average(length: float | None) -> None:
    numbers = closed(at(0, "play"), at(30, "sessionEnd", 30), length=length)
    assert numbers.markers == []
    assert numbers["averageMinuteAudience"] is None
    assert "percentReached" not in numbers.extras
    assert numbers["uniqueTimePlayed"] == 30


def test_a_playhead_beyond_the_length_sets_all_markers_and_clamps_no_time() -> None:
    numbers = closed(at(0, "play"), at(60, "sessionComplete", 60), length=30)
    assert numbers.markers == [10, 25, 50, 75, 95]
    assert numbers.of("timePlayed", "averageMinuteAudience") == (60, 2.0)
    assert numbers.extras["percentReached"] == 100


def test_a_marker_needs_main_play() -> None:
    numbers = closed(at(0, "ping", 50), at(10, "sessionEnd", 60))
    assert numbers.markers == []
    assert numbers["segment"] is None


def test_live_content_counting_from_zero_has_markers() -> None:
    def programme(at_start: float) -> Numbers:
        return drive(
            start(0, at_start, length=100, contentType="LINEAR"),
            at(0, "play", at_start),
            at(20, "sessionEnd", at_start + 20),
        ).close

    assert programme(0).markers == [10]
    assert programme(40).markers == []
    assert "markersReached" not in programme(40).extras


def test_live_markers_can_be_turned_off() -> None:
    events = start(0, length=100, contentType="live"), at(0, "play"), at(20, "sessionEnd", 20)
    assert drive(*events, rules=Rules(live_markers="never")).close.markers == []


def test_a_faster_playhead_is_no_seek_up_to_twice_the_clock() -> None:
    numbers = closed(at(0, "play"), at(10, "ping", 20), at(20, "sessionEnd", 40))
    assert numbers.of("uniqueTimePlayed", "timePlayed") == (40, 20)
    assert numbers.extras["seekCount"] == 0


def test_a_jump_is_a_seek_forward_or_back() -> None:
    numbers = closed(at(0, "play"), at(10, "ping", 60), at(20, "ping", 70), at(30, "ping", 5), at(35, "sessionEnd", 10))
    # 0-10 as the clock had it, 60-70, 70-80, 5-10 again
    assert numbers["uniqueTimePlayed"] == 30
    assert numbers.extras["seekCount"] == 2
    assert numbers.extras["percentUnique"] == 30.0


def test_a_jump_near_the_end_counts_no_content_beyond_the_length() -> None:
    numbers = closed(at(0, "play", 95), at(20, "ping", 10), at(30, "sessionEnd", 20))
    assert numbers["uniqueTimePlayed"] == 15


def test_a_seek_while_paused_is_one_seek() -> None:
    numbers = closed(
        at(0, "play"),
        at(10, "pauseStart", 10),
        at(11, "ping", 30),
        at(12, "ping", 40),
        at(13, "play", 50),
        at(23, "sessionEnd", 60),
    )
    assert numbers["uniqueTimePlayed"] == 20
    assert numbers.extras["seekCount"] == 1


def test_a_buffering_that_nudges_the_playhead_is_no_seek() -> None:
    numbers = closed(at(0, "play"), at(10, "bufferStart", 10), at(12, "play", 10.4), at(20, "sessionEnd", 18.4))
    assert numbers.extras["seekCount"] == 0


def test_binary_fractions_blur_no_limit() -> None:
    # 9.501 - 6.501 is 3.0000000000000004 in binary fractions, and three seconds may pass in half a second.
    numbers = closed(at(0, "play", 6.501), at(0.5, "ping", 9.501), at(1, "sessionEnd", 10.001))
    assert numbers.of("uniqueTimePlayed") == (4,)  # 3.5, rounded half up
    assert numbers.extras["seekCount"] == 0
    for marker in (10, 25, 50, 75, 95):
        here = marker * 60.3 / 100
        assert closed(at(0, "play", here), at(1, "sessionEnd", here), length=60.3).markers == [marker]


def test_a_nudge_of_just_the_slack_is_no_seek() -> None:
    paused = at(1, "pauseStart", 2.017), at(2, "play", 4.017), at(3, "sessionEnd", 4.017)  # 2.0000000000000004 apart
    assert closed(at(0, "play", 2.017), *paused).extras["seekCount"] == 0


def test_content_played_twice_is_unique_once() -> None:
    numbers = closed(at(0, "play"), at(30, "ping", 30), at(31, "ping", 10), at(51, "sessionEnd", 30))
    assert numbers["uniqueTimePlayed"] == 31
    assert numbers["timePlayed"] == 51


def test_a_live_edge_jump_is_no_rewatch() -> None:
    numbers = drive(
        start(0, 1000, length=86_400, contentType="live"),
        at(0, "play", 1000),
        at(10, "pauseStart", 1010),
        at(70, "play", 1070),
        at(80, "sessionEnd", 1080),
    ).close
    assert numbers["uniqueTimePlayed"] == 20


def test_the_segment_is_rounded_out_to_minutes() -> None:
    assert closed(at(0, "play", 59), at(2, "sessionEnd", 61), length=600)["segment"] == "[0-2]"
    assert closed(at(0, "play", 120), at(60, "sessionEnd", 180), length=600)["segment"] == "[2-3]"
    wide = closed(at(0, "play", 301), at(60, "sessionEnd", 361), length=600, rules=Rules(segment_minutes=5))
    assert wide["segment"] == "[5-10]"


def test_the_average_minute_audience_has_four_decimals_of_unrounded_times() -> None:
    numbers = closed(at(0, "play"), at(10.4, "sessionEnd", 10.4), length=60.3333333333333)
    assert numbers["averageMinuteAudience"] == 0.1724
    assert numbers["timePlayed"] == 10
    assert numbers["length"] == 60


def test_too_many_stretches_forget_the_shortest_and_say_so() -> None:
    told = Drive(packing=False).fold(start(0, length=10_000_000), at(0, "play"))
    for number in range(1, limits.MAX_INTERVALS + 20):
        told.fold(at(10 * number, "ping", 1_000 * number), at(10 * number + 5, "ping", 1_000 * number + 5))
    told.repack()
    assert len(told.open.intervals) == limits.MAX_INTERVALS
    unique = progress.unique_seconds(told.open)
    assert 0 < unique * 1000 <= told.open.content_ms
    assert "truncated" in told.fold(at(10_000, "sessionEnd", 5)).close.flags


def test_what_is_played_before_the_beginning_is_no_content() -> None:
    close = drive(start(), at(0, "play", -5), at(10, "ping", 5), at(20, "sessionEnd", 15)).close
    assert close.of("timePlayed", "uniqueTimePlayed") == (20, 15)
