"""The play state and its accounts, rule by rule."""

import pytest

from processors.session.rules import Rules
from tests.processors.session.drive import Drive, at, drive, start

POD = {"media.ad.podIndex": 0, "media.ad.podSecond": 0}
AD = {"media.ad.id": "ad", "media.ad.length": 15, "media.ad.podPosition": 1}


def test_nothing_accrues_before_a_play_but_starting_time() -> None:
    numbers = drive(start(), at(10, "ping"), at(20, "sessionEnd")).close
    assert numbers.of("timePlayed", "isPlayed", "isDroppedBeforeStart") == (0, None, True)
    assert numbers.extras["startingMs"] == 20_000
    assert numbers.extras["dropReason"] == "none"


def test_a_repeated_play_only_closes_an_interval() -> None:
    numbers = drive(start(), at(0, "play"), at(1, "play", 1), at(10, "play", 10), at(20, "sessionEnd", 20)).close
    assert numbers.of("timePlayed", "pauseCount") == (20, 0)


def test_one_continuous_pause_counts_once_however_often_it_is_said() -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        at(5, "pauseStart", 5),
        at(8, "pauseStart", 5),
        at(9, "ping", 5),
        at(11, "sessionEnd", 5),
    ).close
    assert numbers.of("pauseCount", "pauseTime", "hasPauseImpactedStreams") == (1, 6, True)


def test_a_buffering_ends_a_pause_and_a_pause_ends_a_buffering() -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        at(5, "pauseStart", 5),
        at(8, "bufferStart", 5),
        at(12, "pauseStart", 5),
        at(13, "sessionEnd", 5),
    ).close
    assert numbers.of("pauseCount", "pauseTime", "bufferCount", "bufferTime") == (2, 4, 1, 4)


@pytest.mark.parametrize(("bridge", "pauses"), [(True, 1), (False, 2)])
def test_a_play_of_no_length_at_an_ad_start_splits_no_pause(bridge: bool, pauses: int) -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        at(10, "pauseStart", 10),
        at(15, "adBreakStart", 10, POD),
        at(15, "adStart", 10, AD),
        at(15, "pauseStart", 10),
        at(20, "sessionEnd", 10),
        rules=Rules(bridge_zero_length_play=bridge),
    ).close
    assert numbers.of("pauseCount", "pauseTime") == (pauses, 10)


def test_a_buffering_across_an_ad_start_counts_once() -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        at(10, "bufferStart", 10),
        at(12, "adBreakStart", 10, POD),
        at(12, "adStart", 10, AD),
        at(12, "bufferStart", 10),
        at(15, "play", 10),
        at(20, "sessionEnd", 10),
    ).close
    assert numbers.of("bufferCount", "bufferTime") == (1, 5)
    assert numbers.extras["bufferAdMs"] == 3_000
    assert numbers.extras["adMs"] == 5_000


def test_an_ad_start_switches_to_play_and_play_survives_the_break() -> None:
    numbers = drive(
        start(),
        at(0, "play"),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, AD),
        at(20, "adComplete", 10),
        at(20, "adBreakComplete", 10),
        at(30, "sessionEnd", 20),
    ).close
    assert numbers.of("timePlayed", "totalTimePlayed") == (20, 30)


def test_a_pause_in_an_ad_is_no_ad_time_and_outlasts_the_break() -> None:
    told = drive(
        start(),
        at(0, "play"),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, AD),
        at(14, "pauseStart", 10),
        at(20, "adComplete", 10),
        at(20, "adBreakComplete", 10),
        at(25, "play", 10),
        at(30, "sessionEnd", 15),
    )
    assert told.ads[0].extras["adMs"] == 4_000
    assert told.close.of("timePlayed", "pauseTime") == (15, 11)


def test_play_inside_an_ad_is_no_content_start() -> None:
    numbers = drive(start(), at(0, "adBreakStart", 0, POD), at(0, "adStart", 0, AD), at(0, "play"), at(9, "sessionEnd"))
    assert numbers.close.of("isPlayed", "isDroppedBeforeStart") == (None, True)


def test_play_between_two_pre_roll_ads_is_a_content_start_and_both_ads_count() -> None:
    told = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(5, "adComplete"),
        at(6, "play"),
        at(8, "adStart", 0, AD | {"media.ad.id": "second"}),
        at(13, "adComplete"),
        at(13, "adBreakComplete"),
        at(20, "sessionEnd", 7),
    )
    assert told.close.of("isPlayed", "adCount", "timePlayed") == (True, 2, 9)
    assert told.close.extras["breakGapMs"] == 3_000
    assert told.close.extras["breakGapCreditedMs"] == 2_000


def test_content_that_never_played_is_starting_again_after_its_pre_roll() -> None:
    numbers = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(5, "adComplete"),
        at(5, "adBreakComplete"),
        at(12, "ping", 0),
        at(15, "sessionEnd", 0),
    ).close
    assert numbers.of("isDroppedBeforeStart", "timePlayed", "totalTimePlayed") == (True, 0, 5)
    assert numbers.extras["startingMs"] == 10_000


def test_a_playhead_that_runs_on_after_a_pre_roll_proves_a_play_nobody_sent() -> None:
    numbers = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(5, "adComplete"),
        at(5, "adBreakComplete"),
        at(15, "ping", 10),
        at(25, "sessionEnd", 20),
    ).close
    assert numbers.of("isPlayed", "timePlayed", "uniqueTimePlayed") == (True, 20, 20)
    assert numbers.flags == ["inferredPlay"]
    assert numbers.extras["startingMs"] == 0
    assert numbers.extras["serverStartupMs"] == 0


def test_an_inferred_play_over_a_long_silence_is_flagged_as_one() -> None:
    pre_roll = at(0, "adBreakStart", 0, POD), at(0, "adStart", 0, AD), at(5, "adBreakComplete")
    numbers = drive(start(), *pre_roll, at(65.001, "ping", 60), at(70, "sessionEnd", 65)).close
    assert numbers.flags == ["inferredPlay", "longGap"]


def test_a_jump_of_the_playhead_after_a_pre_roll_proves_no_play() -> None:
    numbers = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(5, "adBreakComplete"),
        at(5.1, "bufferStart", 50),
        at(9, "play", 50),
        at(19, "sessionEnd", 60),
    ).close
    assert numbers.of("timePlayed", "uniqueTimePlayed") == (10, 10)
    assert numbers.flags == []


def test_a_play_after_a_pre_roll_begins_when_it_was_told_if_the_playhead_jumped_there() -> None:
    numbers = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(5, "adBreakComplete"),
        at(5.001, "play", 13.7),
        at(15.001, "sessionEnd", 23.7),
    ).close
    assert numbers.of("timePlayed", "uniqueTimePlayed") == (10, 10)
    assert numbers.extras["startingMs"] == 1
    assert numbers.flags == []


def test_a_pause_in_a_pre_roll_is_over_when_its_break_is() -> None:
    numbers = drive(
        start(),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, AD),
        at(3, "pauseStart", 0),
        at(5, "adBreakComplete"),
        at(8, "play", 0),
        at(18, "sessionEnd", 10),
    ).close
    assert numbers.of("timePlayed", "pauseTime") == (10, 2)
    assert numbers.extras["startingMs"] == 3_000


def test_an_error_stops_no_clock_unless_asked_to() -> None:
    events = (start(), at(0, "play"), at(10, "error", 10), at(15, "play", 15), at(20, "sessionEnd", 20))
    assert drive(*events).close["timePlayed"] == 20
    interrupted = drive(*events, rules=Rules(error_interrupts=True)).close
    assert interrupted["timePlayed"] == 15
    assert interrupted.extras["errorMs"] == 5_000


def test_no_gap_is_capped_but_a_long_one_in_play_is_flagged() -> None:
    numbers = drive(start(), at(0, "play"), at(3_000, "sessionEnd", 3_000)).close
    assert numbers["timePlayed"] == 3_000
    assert numbers.flags == ["longGap"]
    assert numbers.extras["largestGapMs"] == 3_000_000


def test_a_long_pause_is_no_long_gap() -> None:
    assert drive(start(), at(0, "pauseStart"), at(300, "sessionEnd")).close.flags == []


def test_a_cap_on_gaps_can_be_set() -> None:
    numbers = drive(start(), at(0, "play"), at(3_000, "sessionEnd", 3_000), rules=Rules(gap_cap_ms=60_000)).close
    assert numbers["timePlayed"] == 60


@pytest.mark.parametrize(("seconds", "blocks"), [(19 * 60, 1), (31 * 60, 2), (78 * 60, 3), (1800, 2), (0, 1)])
def test_estimated_streams_are_begun_half_hours(seconds: int, blocks: int) -> None:
    assert drive(start(), at(0, "play"), at(seconds, "sessionEnd", seconds)).close["estimatedStreams"] == blocks


def test_seconds_are_rounded_half_up_once() -> None:
    told = drive(start(), at(0, "play"), at(1.5, "pauseStart", 1), at(2.999, "play", 1), at(3.499, "sessionEnd", 2))
    assert told.close.of("timePlayed", "pauseTime") == (2, 1)  # 2.000 and 1.499


def test_server_startup_leaves_ads_and_pauses_out() -> None:
    numbers = drive(
        start(),
        at(2, "adBreakStart", 0, POD),
        at(3, "adStart", 0, AD),
        at(13, "adComplete"),
        at(13, "adBreakComplete"),
        at(14, "pauseStart"),
        at(18, "bufferStart"),
        at(20, "play"),
        at(30, "sessionEnd", 10),
    ).close
    assert numbers.extras["serverStartupMs"] == 6_000


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ((at(1, "error"), at(2, "bufferStart")), "error"),
        ((at(2, "bufferStart"),), "buffer"),
        ((at(1, "error"), at(1, "adBreakStart", 0, POD), at(1, "adStart", 0, AD), at(2, "adSkip")), "preroll"),
        ((), "none"),
    ],
)
def test_a_drop_before_start_has_its_likeliest_reason(before: tuple[object, ...], reason: str) -> None:
    told = Drive().fold(start(), *before, at(5, "sessionEnd"))  # type: ignore[arg-type]
    assert told.close.extras["dropReason"] == reason


def test_buffering_in_a_pre_roll_ad_is_the_ads_and_no_start_up() -> None:
    extras = drive(
        start(),
        at(0, "bufferStart"),
        at(2, "adBreakStart", 0, POD),
        at(2, "adStart", 0, AD),
        at(5, "bufferStart"),
        at(9, "play"),
        at(15, "adComplete"),
        at(15, "adBreakComplete"),
        at(15, "play"),
        at(20, "sessionEnd", 5),
    ).close.extras
    assert (extras["bufferMs"], extras["bufferStartupMs"], extras["bufferAdMs"]) == (6_000, 2_000, 4_000)
