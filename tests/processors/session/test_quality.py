"""Bitrate, start-up time, frames and errors, rule by rule."""

from typing import Any

import pytest

from processors.session import rules as limits
from processors.session.rules import Rules
from schemas.events import Event
from tests.processors.session.drive import Numbers, at, drive, start

BITRATE = "media.qoe.bitrate"


def closed(*events: Event, rules: Rules | None = None) -> Numbers:
    return drive(start(), *events, rules=rules).close


def test_the_average_bitrate_is_weighted_with_main_play_time() -> None:
    numbers = closed(
        at(0, "play", qoe={BITRATE: 1_000}),
        at(10, "ping", 10, qoe={BITRATE: 4_000}),
        at(15, "pauseStart", 15, qoe={BITRATE: 9_000}),
        at(60, "play", 15, qoe={BITRATE: 2_500}),
        at(65, "sessionEnd", 20),
    )
    assert numbers["bitrateAverage"] == round((10 * 1_000 + 5 * 4_000 + 5 * 2_500) / 20)
    assert numbers["bitrateAverageBucket"] == "2100-2199"


def test_time_before_the_first_bitrate_has_no_weight() -> None:
    assert closed(at(0, "play"), at(10, "ping", 10, qoe={BITRATE: 80}), at(20, "sessionEnd", 20)).of(
        "bitrateAverage", "bitrateAverageBucket"
    ) == (80, "0-99")


def test_without_play_time_the_last_bitrate_stands() -> None:
    assert closed(at(1, "ping", qoe={BITRATE: 900}), at(2, "sessionEnd"))["bitrateAverage"] == 900


@pytest.mark.parametrize("value", [0, -5, "fast", None, True])
def test_what_is_no_bitrate_is_ignored(value: Any) -> None:
    assert closed(at(0, "play", qoe={BITRATE: value}), at(9, "sessionEnd", 9))["bitrateAverage"] is None


def test_a_bitrate_without_its_prefix_is_one() -> None:
    assert closed(at(0, "play", qoe={"bitrate": 10_000}), at(9, "sessionEnd", 9))["bitrateAverage"] == 10_000


def test_bits_per_second_are_told_from_kilobits_and_flagged() -> None:
    events = at(0, "play", qoe={BITRATE: 2_000_000}), at(9, "sessionEnd", 9)
    assert closed(*events)["bitrateAverage"] == 2_000
    assert closed(*events).flags == ["bitrateBps"]
    assert closed(*events, rules=Rules(bps_from=0))["bitrateAverage"] == 2_000_000


def test_only_bitrateChange_events_are_bitrate_changes() -> None:
    numbers = closed(
        at(0, "play", qoe={BITRATE: 1}),
        at(1, "ping", 1, qoe={BITRATE: 2}),
        at(2, "bitrateChange", 2, qoe={BITRATE: 2}),
        at(3, "bitrateChange", 3),
        at(4, "sessionEnd", 4),
    )
    assert numbers.of("bitrateChangeCount", "hasBitrateChangeImpactedStreams") == (2, True)


def test_quality_keys_in_params_are_read_where_qoeData_is_silent() -> None:
    numbers = closed(at(0, "play"), at(0, "bitrateChange", 0, {BITRATE: 700}), at(9, "sessionEnd", 9))
    assert numbers["bitrateAverage"] == 700
    started = start(0)
    started.params["media.qoe.timeToStart"] = 800
    assert drive(started, at(1, "sessionEnd")).close["timeToStart"] == 1


def test_time_to_start_is_the_latest_up_to_the_first_main_play() -> None:
    key = "media.qoe.timeToStart"
    numbers = closed(
        at(0, "bufferStart", qoe={key: 5}),
        at(1, "play", qoe={key: 1_234}),
        at(2, "error", 1, qoe={key: 365_330}),
        at(3, "sessionEnd", 2),
    )
    assert numbers["timeToStart"] == 1
    assert numbers.extras["timeToStartMs"] == 1_234


def test_a_time_to_start_only_heard_later_is_the_first_of_those() -> None:
    key = "media.qoe.timeToStart"
    numbers = closed(
        at(1, "play"), at(2, "ping", 1, qoe={key: 0}), at(3, "ping", 2, qoe={key: 9_000}), at(4, "sessionEnd", 3)
    )
    assert numbers["timeToStart"] == 0
    assert closed(at(1, "play"), at(2, "sessionEnd", 1))["timeToStart"] is None


def test_dropped_frames_are_the_last_word_and_their_sum_survives_a_reset() -> None:
    key = "media.qoe.droppedFrames"
    numbers = closed(
        at(0, "play", qoe={key: 3}),
        at(1, "ping", 1, qoe={key: 10}),
        at(2, "ping", 2, qoe={key: 4}),
        at(3, "sessionEnd", 3, qoe={key: 6}),
    )
    assert numbers.of("droppedFrames", "hasDroppedFrameImpactedStreams") == (6, True)
    assert numbers.extras["droppedFramesSum"] == 16
    nothing = closed(at(0, "play", qoe={key: 0}), at(3, "sessionEnd", 3))
    assert nothing.of("droppedFrames", "hasDroppedFrameImpactedStreams") == (0, None)
    assert closed(at(3, "sessionEnd"))["droppedFrames"] is None


def test_frames_per_second_are_the_last_word_rounded() -> None:
    assert (
        closed(at(0, "play", qoe={"media.qoe.framesPerSecond": 23.5}), at(1, "sessionEnd", 1))["framesPerSecond"] == 24
    )


def test_every_error_counts_with_an_id_or_without() -> None:
    numbers = closed(
        at(0, "error", 0, {"media.errorId": "p", "media.errorSource": "player"}),
        at(1, "error", 0, qoe={"media.qoe.errorID": "x", "media.qoe.errorSource": "external"}),
        at(2, "error", 0, qoe={"media.qoe.errorID": "x", "media.qoe.errorSource": "external"}),
        at(3, "error", 0, qoe={"media.qoe.errorID": 42}),
        at(4, "error", 0, qoe={"media.qoe.errorID": "t", "media.qoe.media.errorSource": "external"}),
        at(5, "error"),
        at(6, "sessionEnd"),
    )
    assert numbers["errorCount"] == 6
    assert numbers["playerSdkErrors"] == ["p", "42"]
    assert numbers["externalErrors"] == ["x", "t"]


def test_ids_beyond_the_limit_are_counted_but_not_kept() -> None:
    many = limits.MAX_ERROR_IDS + 5
    errors = (at(n, "error", 0, qoe={"media.qoe.errorID": f"e{n}"}) for n in range(many))
    numbers = closed(*errors, at(100, "sessionEnd"))
    assert numbers["errorCount"] == many
    assert len(numbers["playerSdkErrors"]) == limits.MAX_ERROR_IDS
    assert numbers.flags == ["truncated"]


def test_a_long_error_id_is_cut() -> None:
    numbers = closed(at(0, "error", 0, qoe={"media.qoe.errorID": "e" * 3_000}), at(1, "sessionEnd"))
    assert numbers["playerSdkErrors"] == ["e" * limits.MAX_ERROR_ID_BYTES]
    assert numbers.flags == ["truncated"]
