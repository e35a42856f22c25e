"""Which repeats change nothing, and which a player means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processors.partition import IOS, Partition, sid_of

A = sid_of(1)
AD = {"media.ad.id": "ad", "media.ad.name": "ad", "media.ad.length": 15, "media.ad.podPosition": 1}
POD = {"media.ad.podIndex": 1, "media.ad.podSecond": 0}


def test_a_repeat_changes_nothing() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 1, 1_000)
    partition.post(A, "error", 1, 1_000, at=2_000)
    partition.post(A, "error", 1, 1_000, at=20_000)
    partition.post(A, "sessionEnd", 21, 21_000)
    partition.fold()
    partition.pass_time(27_000)
    [close] = partition.rows("session-close")
    assert close["mediaReporting"]["qoeDataDetails"]["errorCount"] == 1
    assert partition.counts.duplicates == 2
    assert not partition.rejects()


def test_a_repeat_is_known_after_fifteen_other_events_and_a_restart() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 1, 1_000)
    for number in range(15):
        partition.post(A, "ping", number, 2_000 + number)
    partition.fold()
    partition.restart()
    partition.post(A, "error", 1, 1_000, at=9_000)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_a_repeat_is_forgotten_after_sixteen_other_events() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 1, 1_000)
    for number in range(16):
        partition.post(A, "ping", number, 2_000 + number)
    partition.post(A, "error", 1, 1_000, at=9_000)
    partition.fold()
    assert partition.counts.duplicates == 0


def test_repeats_do_not_push_other_events_out_of_memory() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 1, 1_000)
    partition.post(A, "ping", 1, 1_100)
    for _ in range(40):
        partition.post(A, "ping", 1, 1_100)
    partition.post(A, "error", 1, 1_000)
    partition.fold()
    assert partition.counts.duplicates == 41


def test_the_session_start_is_known_for_good() -> None:
    partition = Partition()
    partition.start(A)
    for number in range(40):
        partition.post(A, "ping", number, 2_000 + number)
    partition.start(A, received=4_000)
    partition.fold()
    assert partition.counts.duplicates == 1
    assert not partition.rejects()


def test_an_event_of_equal_time_but_other_bytes_is_no_repeat() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 1, 1_000)
    partition.post(A, "error", 1, 1_000, qoeData={"media.qoe.errorID": "other"})
    partition.fold()
    assert partition.counts.duplicates == 0


@pytest.mark.parametrize("event_type", ["play", "pauseStart", "bufferStart"])
@pytest.mark.parametrize("pause_between", [0, 10_000])
def test_a_repeat_across_an_ad_boundary_of_its_ts_is_meant(event_type: str, pause_between: int) -> None:
    """The mobile SDKs repeat the state after an ad boundary, at one `ts`; here also where the twin has left by then."""
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, event_type, 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD, at=1_000 + pause_between)
    partition.post(A, "adStart", 0, 1_000, params=AD, at=1_001 + pause_between)
    partition.post(A, event_type, 0, 1_000, at=1_002 + 2 * pause_between)
    partition.fold()
    partition.pass_time(60_000)
    assert partition.counts.duplicates == 0
    partition.post(A, event_type, 0, 1_000, at=60_000)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_a_meant_repeat_reaches_the_machine() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "pauseStart", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "adStart", 0, 1_000, params=AD)  # an ad plays, unless the player says otherwise
    partition.post(A, "pauseStart", 0, 1_000, at=1_001)
    partition.post(A, "sessionEnd", 0, 5_000)
    partition.fold()
    partition.pass_time(60_000)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["extras"]["pauseMs"] == 4_000
    assert close["mediabeat"]["extras"]["adMs"] == 0


def test_a_second_boundary_means_a_third_play() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "adStart", 0, 1_000, params=AD)
    partition.post(A, "play", 0, 1_000, at=1_001)
    partition.post(A, "adComplete", 0, 1_000)
    partition.post(A, "play", 0, 1_000, at=1_002)
    partition.post(A, "play", 0, 1_000, at=1_003)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_a_ping_repeated_across_an_ad_boundary_is_a_repeat() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "ping", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "ping", 0, 1_000, at=1_001)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_a_boundary_of_another_ts_gives_a_repeat_no_meaning() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_001, params=POD)
    partition.post(A, "play", 0, 1_000, at=1_002)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_a_play_doubled_right_after_a_boundary_is_a_repeat() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "play", 0, 1_000, at=1_001)
    partition.fold()
    assert partition.counts.duplicates == 1
    partition.pass_time(60_000)
    partition.restart()
    partition.post(A, "play", 0, 1_000, at=60_000)
    partition.fold()
    assert partition.counts.duplicates == 2


def test_a_repeat_is_meant_when_its_twin_has_left_and_the_boundary_still_waits() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD, at=11_000)
    partition.post(A, "play", 0, 1_000, at=11_001)
    partition.fold()
    assert (partition.counts.duplicates, partition.counts.folded) == (0, 2)


def test_what_was_folded_after_the_boundary_is_remembered_when_all_has_left() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "ping", 9, 10_000)
    partition.fold()
    assert partition.counts.folded == 3
    partition.restart()
    partition.post(A, "play", 0, 1_000, at=11_000)
    partition.fold()
    assert partition.counts.duplicates == 1


def test_the_newest_boundary_is_remembered_through_a_restart() -> None:
    partition = Partition()
    partition.start(A, **IOS)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "ping", 9, 10_000)
    partition.fold()
    partition.restart()
    partition.post(A, "play", 0, 1_000, at=11_000)
    partition.post(A, "ping", 9, 10_000, at=11_001)
    partition.fold()
    assert partition.counts.duplicates == 1  # the ping


def test_a_parallel_clients_play_stands_after_the_boundary_so_its_double_is_a_repeat() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "adBreakStart", 0, 1_000, params=POD)
    partition.post(A, "play", 0, 1_000, at=1_001)
    partition.post(A, "ping", 9, 10_000, at=10_000)
    partition.fold()
    assert partition.counts.duplicates == 1


@given(st.lists(st.sampled_from(["play", "pauseStart", "ping", "error"]), min_size=1, max_size=8), st.data())
def test_received_is_folded_and_duplicates_and_rejects_and_what_waits(types: list[str], data: st.DataObject) -> None:
    partition = Partition()
    partition.start(A)
    for number, event_type in enumerate([*types, "sessionEnd", "ping"]):
        for _ in range(data.draw(st.integers(1, 3))):
            partition.post(A, event_type, number, 3_000 * number, at=3_000 * number)
        if data.draw(st.booleans()):
            partition.fold()
            partition.restart()
        counts = partition.counts
        done = counts.folded + counts.duplicates + sum(counts.rejected.values())
        assert counts.consumed == done + counts.waiting[partition.number]


def _overtaken(partition: Partition, *, boundary: bool) -> dict[str, Any]:
    """A parallel client's pauseStart, its repeat, and (perhaps) an adStart of the same ts that comes after both."""
    partition.start(A)
    partition.post(A, "play", 0, 0, at=10)
    partition.post(A, "pauseStart", 10, 10_000, at=100)
    partition.post(A, "adBreakStart", 10, 10_000, params=POD, at=100)
    partition.post(A, "ping", 10, 10_001, at=5_050)
    partition.post(A, "ping", 10, 10_001, at=5_060)
    partition.post(A, "pauseStart", 10, 10_000, at=5_200)
    partition.fold()
    partition.restart()
    if boundary:
        partition.post(A, "adStart", 10, 10_000, params=AD, at=5_300)
    partition.post(A, "play", 10, 17_000, at=5_400)
    partition.post(A, "adComplete", 10, 25_000, at=6_000)
    partition.post(A, "sessionEnd", 10, 25_000, at=6_000)
    partition.fold()
    partition.pass_time(20_000)
    [close] = partition.rows("session-close")
    extras: dict[str, Any] = close["mediabeat"]["extras"]
    return extras


def test_a_repeat_is_meant_when_the_boundary_arrives_after_it_and_folds_between_it_and_its_twin() -> None:
    partition = Partition()
    extras = _overtaken(partition, boundary=True)
    assert (extras["pauseMs"], extras["adMs"]) == (7_000, 8_000)


def test_a_repeat_kept_aside_for_a_boundary_that_never_comes_changes_nothing() -> None:
    partition = Partition()
    extras = _overtaken(partition, boundary=False)
    assert extras["pauseMs"] == 7_000
    assert partition.counts.duplicates == 2
    assert partition.counts.waiting[partition.number] == 0


def test_a_double_whose_window_has_passed_gets_no_meaning_from_a_boundary_that_comes_later() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 0)
    partition.post(A, "adBreakStart", 9, 9_000, params=POD)
    partition.post(A, "pauseStart", 10, 10_000, at=10_000)
    partition.post(A, "pauseStart", 10, 10_000, at=10_001)
    partition.post(A, "adStart", 10, 10_000, at=16_000, params=AD)
    partition.post(A, "adComplete", 10, 20_000, at=20_000)
    partition.post(A, "sessionEnd", 10, 20_000, at=20_001)
    partition.fold()
    partition.pass_time(40_000)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["extras"]["adMs"] == 10_000
    assert partition.counts.duplicates == 1


def test_a_double_that_later_events_have_passed_gets_no_meaning_from_a_boundary() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 0)
    partition.post(A, "adBreakStart", 9, 9_000, at=100, params=POD)
    partition.post(A, "pauseStart", 10, 10_000, at=100)
    partition.post(A, "ping", 10, 10_500, at=1_000)
    partition.post(A, "pauseStart", 10, 10_000, at=1_001)
    partition.post(
        A, "error", 10, 11_000, at=6_050
    )  # the ping's window is over: it folds, and the double left before it
    partition.post(A, "adStart", 10, 10_000, at=6_000, params=AD)
    partition.post(A, "adComplete", 10, 20_000, at=7_000)
    partition.post(A, "sessionEnd", 10, 20_000, at=7_001)
    partition.fold()
    partition.pass_time(40_000)
    assert partition.counts.duplicates == 1
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["extras"]["adMs"] > 0
