"""When a session ends that nobody ends: silence, a playhead that stands still, age. Time is data."""

from hypothesis import given
from hypothesis import strategies as st

from processors.session.rules import Rules
from tests.processors.partition import HOUR, MINUTE, SECOND, START_PARAMS, T0, Partition, sid_of

A, B = sid_of(1), sid_of(2)
RULES = Rules(heartbeat_interval_ms=0)
IDLE = RULES.idle_timeout_ms + RULES.grace_ms
STILL = RULES.still_timeout_ms + RULES.grace_ms
CAP = RULES.session_cap_ms + RULES.grace_ms


def playing(partition: Partition, sid: str = A) -> None:
    partition.start(sid)
    partition.post(sid, "play", 0, 1_000)
    partition.post(sid, "ping", 9, 10_000)
    partition.fold()


def keep_pinging(partition: Partition, sid: str, since: int, until: int, playhead: float | None = None) -> None:
    for ts in range(since, until, 5 * MINUTE):
        partition.post(sid, "ping", ts / 1000 if playhead is None else playhead, ts)


def test_silence_of_timeout_and_grace_is_no_timeout() -> None:
    partition = Partition()
    playing(partition)
    partition.pass_time(10_000 + IDLE)
    assert not partition.rows("session-close")


def test_more_silence_than_timeout_and_grace_closes_the_session() -> None:
    partition = Partition()
    playing(partition)
    partition.pass_time(10_000 + IDLE + 1)
    [close] = partition.rows("session-close")
    own = close["mediabeat"]
    assert own["closeReason"] == "timeoutIdle"
    assert own["closedAt"] == T0 + 10_000 + RULES.idle_timeout_ms
    assert own["endedAt"] == T0 + 10_000
    assert own["receivedAt"] == T0 + 10_000
    assert close["timestamp"] == "2026-01-01T00:00:10.000Z"
    assert close["mediaReporting"]["sessionDetails"]["secondsSinceLastCall"] == 600
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 9
    assert partition.closed() == {A: {"closedAt": T0 + 10_000 + RULES.idle_timeout_ms, "reason": "timeoutIdle"}}


def test_the_gap_is_tested_before_the_next_record_folds() -> None:
    partition = Partition()
    playing(partition)
    partition.post(A, "ping", 700, 10_000 + IDLE + 1)
    # The wall is far behind, so only the gap itself can tell.
    partition.fold(wall=T0 + 10_000)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "timeoutIdle"
    assert len(partition.rejects("session_closed")) == 1


def test_silence_is_measured_on_receive_time() -> None:
    partition = Partition()
    playing(partition)
    partition.post(A, "ping", 20, 10 * HOUR, at=20_000)
    partition.post(A, "ping", 30, 20 * HOUR, at=30_000)
    partition.pass_time(30_000)
    partition.fold()
    assert not partition.rows("session-close")


def test_an_event_that_waits_counts_before_silence_ends_its_session() -> None:
    partition = Partition()
    playing(partition)
    partition.post(A, "sessionComplete", 19, 20_000)
    partition.post(A, "ping", 21, 22_000)
    partition.fold()
    partition.pass_time(20_000 + IDLE + MINUTE)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "complete"
    assert partition.counts.folded == 5
    assert partition.closed()[A]["reason"] == "complete"


def test_a_session_end_that_waits_makes_a_timeout_needless() -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=0, reorder_window_ms=20 * MINUTE))
    playing(partition)
    partition.post(A, "sessionEnd", 19, 20_000)
    partition.fold()
    partition.pass_time(20_000 + IDLE + 1)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"


def test_a_repeat_does_not_break_the_silence() -> None:
    partition = Partition()
    playing(partition)
    partition.post(A, "ping", 9, 10_000, at=5 * MINUTE)
    partition.fold()
    partition.pass_time(10_000 + IDLE + 1)
    assert len(partition.rows("session-close")) == 1


def test_a_playhead_that_stands_still_closes_the_session_before_the_event_folds() -> None:
    partition = Partition()
    playing(partition)
    keep_pinging(partition, A, 5 * MINUTE, 30 * MINUTE, playhead=9)
    partition.post(A, "ping", 9, 10_000 + STILL)
    partition.fold()
    partition.post(A, "ping", 9, 10_000 + STILL + 1)
    partition.post(A, "ping", 9, 10_000 + STILL + 6_000)
    partition.post(A, "ping", 9, 10_000 + STILL + 12_000)
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "timeoutStill"
    assert close["mediabeat"]["endedAt"] == T0 + 10_000 + STILL
    assert close["mediabeat"]["closedAt"] == T0 + 10_000 + 30 * MINUTE  # without the grace in which the last event fell
    assert len(partition.rejects("session_closed")) == 3


def test_a_session_end_at_thirty_minutes_sharp_is_a_clean_end() -> None:
    partition = Partition()
    playing(partition)
    keep_pinging(partition, A, 5 * MINUTE, 30 * MINUTE, playhead=9)
    partition.post(A, "sessionEnd", 9, 10_000 + 30 * MINUTE)
    partition.fold()
    partition.pass_time(10_000 + 31 * MINUTE)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"


def test_a_session_older_than_the_cap_is_closed() -> None:
    partition = Partition()
    partition.start(A)
    keep_pinging(partition, A, 5 * MINUTE, CAP)
    partition.fold()
    partition.pass_time(CAP)
    assert not partition.rows("session-close")
    partition.pass_time(CAP + 1)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "cap24h"
    assert close["mediabeat"]["closedAt"] == T0 + RULES.session_cap_ms


def test_the_cap_counts_from_the_ids_creation() -> None:
    partition = Partition()
    early = sid_of(1, T0 - 100_000)
    partition.start(early)
    keep_pinging(partition, early, 5 * MINUTE, CAP)
    partition.fold()
    partition.pass_time(CAP - 100_000 + 1)
    assert len(partition.rows("session-close")) == 1


def test_a_session_end_at_twenty_four_hours_sharp_is_a_clean_end() -> None:
    partition = Partition()
    partition.start(A)
    keep_pinging(partition, A, 5 * MINUTE, 24 * HOUR)
    partition.post(A, "sessionEnd", 86_400, 24 * HOUR)
    partition.fold()
    partition.pass_time(24 * HOUR + MINUTE)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"


def test_a_door_whose_clock_runs_an_hour_ahead_times_no_live_session_out() -> None:
    partition = Partition()
    playing(partition)
    fast = sid_of(2, T0 + HOUR)
    partition.post(fast, "sessionStart", 0, 0, at=HOUR, appended=15_000, params=START_PARAMS)
    partition.post(A, "ping", 14, 15_000)
    partition.post(A, "ping", 15, 16_000, at=HOUR, appended=16_000)
    partition.post(A, "ping", 19, 20_000)
    partition.fold(wall=T0 + 20_000)
    assert not partition.rows("session-close")
    assert partition.counts.rejected.get("session_closed", 0) == 0


def test_a_fast_door_is_not_believed_more_than_two_seconds_beyond_the_log() -> None:
    partition = Partition()
    playing(partition)
    partition.post(A, "ping", 19, 20_000, at=HOUR, appended=20_000)
    partition.fold()
    partition.pass_time(22_000 + IDLE)
    assert not partition.rows("session-close")
    partition.pass_time(22_000 + IDLE + 1)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closedAt"] == T0 + 22_000 + RULES.idle_timeout_ms


def test_a_log_whose_clock_runs_ahead_moves_no_clock_beyond_the_wall() -> None:
    partition = Partition()
    playing(partition)
    partition.start(B, received=HOUR)  # door and log agree on an hour that the worker does not see
    partition.fold(wall=T0 + 12_000)
    assert not partition.rows("session-close")


def test_a_backlog_times_no_live_session_out() -> None:
    """A worker that was away for an hour reads what it missed: the wall means nothing to it."""
    partition = Partition()
    playing(partition)
    keep_pinging(partition, A, 5 * MINUTE, HOUR)
    partition.fold(wall=T0 + HOUR)
    assert not partition.rows("session-close")
    assert not partition.rejects()


def test_a_lost_transaction_takes_its_time_back() -> None:
    partition = Partition()
    playing(partition)
    keep_pinging(partition, A, 5 * MINUTE, HOUR)
    waiting = partition.log[partition.position :]
    partition.table.fold(waiting, 0, len(waiting), T0 + HOUR)
    partition.table.finish()
    partition.table.rollback()
    for index in range(len(waiting)):  # this time they come one by one
        partition.table.fold(waiting, index, index + 1, T0 + HOUR)
        partition.written += partition.table.finish()
        partition.table.commit()
    assert not partition.rows("session-close")
    assert not partition.rejects()


def test_a_session_silent_in_the_backlog_is_timed_out_by_the_others() -> None:
    partition = Partition()
    playing(partition)
    partition.start(B)
    keep_pinging(partition, B, 5 * MINUTE, 30 * MINUTE)
    partition.fold(wall=T0 + HOUR)
    assert [row["mediabeat"]["sessionId"] for row in partition.rows("session-close")] == [A]


def test_a_transaction_holds_at_most_two_thousand_expiries_and_the_record_waits() -> None:
    partition = Partition()
    for number in range(2_100):
        partition.start(sid_of(number))
    partition.fold()
    partition.post(sid_of(0), "ping", 0, 15 * MINUTE)
    assert partition.transaction() == 0
    assert len(partition.rows("session-close")) == 2_000
    assert partition.transaction() == 1
    assert len(partition.rows("session-close")) == 2_100
    assert len(partition.rejects("session_closed")) == 1


@given(st.lists(st.integers(0, 400 * SECOND), max_size=12), st.integers(0, 12))
def test_a_session_times_out_at_the_same_moment_however_often_the_lane_restarts(gaps: list[int], cut: int) -> None:
    partition = Partition()
    partition.start(A)
    partition.fold()
    at = 0
    for index, gap in enumerate(gaps):
        at += gap
        partition.post(A, "ping", index, at)
        partition.fold(wall=T0)
        if index == cut:
            partition.restart()
    partition.pass_time(at + IDLE)
    assert not partition.rows("session-close")
    partition.pass_time(at + IDLE + 1)
    assert len(partition.rows("session-close")) == 1


def test_a_repeat_that_gets_a_meaning_later_was_a_sign_of_life() -> None:
    pod, ad = {"media.ad.podIndex": 0, "media.ad.podSecond": 10}, {"media.ad.id": "a", "media.ad.length": 15}
    partition = Partition()
    partition.start(A)
    partition.post(A, "pauseStart", 10, 10_000, at=100)
    partition.post(A, "adBreakStart", 10, 10_000, params=pod, at=100)
    partition.post(A, "pauseStart", 10, 10_000, at=5_200)
    partition.post(A, "adStart", 10, 10_000, params=ad | {"media.ad.podPosition": 1}, at=5_190)  # another door's clock
    partition.fold()
    partition.pass_time(2 * IDLE)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closedAt"] == T0 + 5_200 + RULES.idle_timeout_ms
