"""Which records make a session, when its rows leave, and what a closed one leaves behind."""

from processors.counts import Counts
from processors.session.rules import Rules
from schemas.events import BatchPlace
from schemas.records import StoredRecord
from tests.processors.partition import FAR, MINUTE, SECOND, T0, Partition, sid_of

A, B = sid_of(1), sid_of(2)


def test_session_start_leaves_at_once() -> None:
    partition = Partition()
    partition.start(A)
    partition.fold()
    [row] = partition.rows("session-start")
    assert row["_id"] == f"{A}:session-start:1:0"
    assert row["mediabeat"]["receivedAt"] == T0


def test_an_event_leaves_the_window_when_a_record_of_its_session_comes_more_than_the_window_later() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "sessionEnd", 0, 1_000)
    partition.post(A, "ping", 0, 500, at=6_000)  # exactly the window later: not more
    partition.fold(wall=T0)
    assert not partition.rows("session-close")
    partition.post(A, "ping", 0, 501, at=6_001)
    partition.fold(wall=T0)
    assert len(partition.rows("session-close")) == 1


def test_a_record_of_another_session_does_not_move_a_ping_out_of_the_window() -> None:
    partition = Partition()
    partition.start(A)
    partition.start(B)
    partition.post(A, "ping", 1, 1_000)
    partition.post(B, "ping", 1, 60_000)
    partition.fold()
    assert partition.counts.folded == 2  # the starts
    assert partition.counts.waiting == {3: 2}


def test_an_eleventh_event_lets_the_first_in_order_leave() -> None:
    partition = Partition()
    partition.start(A)
    for number in range(10):
        partition.post(A, "ping", number, 1_000 - number, at=1_000)
    partition.fold()
    assert partition.counts.folded == 1
    partition.post(A, "ping", 10, 2_000, at=1_000)
    partition.fold()
    assert partition.counts.folded == 2
    assert partition.counts.waiting == {3: 10}


def test_an_event_a_row_depends_on_leaves_when_the_clock_passes_its_window() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "sessionEnd", 0, 1_000)
    partition.fold()
    partition.pass_time(6_000)
    assert not partition.rows("session-close")
    partition.pass_time(6_001)
    assert len(partition.rows("session-close")) == 1


def test_the_clock_is_also_moved_by_records_of_other_sessions() -> None:
    partition = Partition()
    partition.start(A)
    partition.start(B)
    partition.post(A, "sessionEnd", 0, 1_000)
    partition.post(B, "ping", 0, 6_001)
    partition.fold()
    assert len(partition.rows("session-close", A)) == 1


def test_no_timer_is_spent_on_a_ping() -> None:
    partition = Partition()
    partition.start(A)
    partition.fold()
    deadline = partition.table.next_deadline()
    partition.post(A, "ping", 1, 1_000)
    partition.fold()
    assert partition.table.next_deadline() == deadline
    partition.pass_time(60_000)
    assert partition.counts.folded == 1


def test_a_ping_leaves_before_a_later_event_that_the_clock_lets_go() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "ping", 4, 5_000)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(11_001)
    [close] = partition.rows("session-close")
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 5


def test_a_late_arrival_folds_at_the_newest_folded_ts() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "ping", 9, 10_000)
    partition.post(A, "ping", 19, 20_000)
    partition.post(A, "ping", 14, 15_000, at=26_000)  # the 20 s have left by now
    partition.post(A, "sessionEnd", 29, 30_000)
    partition.fold()
    partition.pass_time(36_000)
    [close] = partition.rows("session-close")
    assert "clockSkew" in close["mediabeat"]["flags"]
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 29


def test_only_a_session_start_opens_a_session() -> None:
    partition = Partition()
    partition.post(A, "play", 0, 0)
    partition.fold()
    [reject] = partition.rejects()
    assert reject["code"] == "session_closed"
    assert not partition.all_rows()
    assert not partition.live_state()


def test_a_session_opens_only_within_120_seconds_of_its_ids_creation() -> None:
    partition = Partition()
    partition.start(A, received=120_000)
    partition.start(B, received=120_001)
    partition.start(sid_of(3, T0 + 500_000), received=500_000 - 120_001)
    partition.fold()
    assert [row["mediabeat"]["sessionId"] for row in partition.rows("session-start")] == [A]
    assert [reject["sid"] for reject in partition.rejects("session_closed")] == [B, sid_of(3, T0 + 500_000)]


def test_the_120_seconds_go_by_what_the_door_stamped_not_by_the_log() -> None:
    partition = Partition()
    partition.start(A, received=130_000)
    partition.log[-1] = partition.log[-1]._replace(timestamp=T0)  # the log believes only T0 + 2 s
    partition.fold()
    assert partition.rejects("session_closed")


def test_a_closed_session_leaves_a_stub_for_ten_minutes_that_knows_its_events() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(11_001)
    assert partition.live_state() == {A}
    rows = partition.all_rows()
    partition.start(A, received=20_000)
    partition.post(A, "play", 0, 1_000, at=30_000)
    partition.post(A, "sessionEnd", 5, 6_000, at=40_000)
    partition.fold()
    assert not partition.rejects()
    assert partition.counts.duplicates == 3
    assert partition.all_rows() == rows
    partition.pass_time(6_000 + 10 * MINUTE)
    assert partition.live_state() == {A}
    partition.pass_time(6_000 + 11 * MINUTE)
    assert not partition.live_state()


def test_a_known_event_is_a_reject_once_the_stub_is_over() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(12_000)
    partition.post(A, "sessionEnd", 5, 6_000, at=6_001 + 10 * MINUTE)
    partition.fold()
    assert [reject["code"] for reject in partition.rejects()] == ["session_closed"]


def test_any_other_event_of_a_closed_session_is_rejected() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.post(A, "ping", 6, 12_000)
    partition.post(A, "ping", 7, 13_000)
    partition.fold()
    assert [reject["origin"]["offset"] for reject in partition.rejects("session_closed")] == [2, 3]


def test_an_event_sorted_after_session_end_is_rejected_once() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "ping", 7, 7_000, at=6_000)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(12_000)
    [reject] = partition.rejects("session_closed")
    assert reject["origin"] == {"topic": "media.events.v1", "partition": 3, "offset": 1}
    partition.post(A, "ping", 7, 7_000, at=14_000)
    partition.fold()
    assert len(partition.rejects()) == 1
    assert partition.counts.duplicates == 1


def test_a_reject_says_why_and_where_it_came_from() -> None:
    partition = Partition()
    partition.post(A, "play", 3, 0, peer="198.51.100.0")
    partition.fold(wall=T0 + 77)
    [reject] = partition.rejects()
    assert reject == {
        "rejectedAt": T0 + 77,
        "stage": "worker",
        "code": "session_closed",
        "status": None,
        "sid": A,
        "endpoint": None,
        "errors": [{"path": "", "rule": "session_closed", "detail": "no open session takes this event"}],
        "peer": "198.51.100.0",
        "origin": {"topic": "media.events.v1", "partition": 3, "offset": 0},
        "body": '{"eventType":"play","playerTime":{"playhead":3,"ts":1767225600000}}',
    }


def test_a_closed_session_is_told_to_the_doors() -> None:
    partition = Partition()
    for sid, last in ((A, "sessionEnd"), (B, "sessionComplete")):
        partition.start(sid)
        partition.post(sid, last, 5, 6_000)
    partition.fold()
    partition.pass_time(12_000)
    assert partition.closed() == {A: {"closedAt": T0 + 6_000, "reason": "end"}}
    partition.pass_time(12 * MINUTE)
    assert partition.closed()[B] == {"closedAt": T0 + 6_000 + 10 * MINUTE, "reason": "complete"}


def test_what_cannot_be_read_is_rejected_as_it_stands() -> None:
    partition = Partition()
    partition.log.append(StoredRecord(0, T0, A.encode(), b"\xff{}"))
    partition.log.append(StoredRecord(1, T0, b"", None))
    partition.fold()
    first, second = partition.rejects("undecodable")
    assert (first["sid"], first["bodyBase64"]) == (A, "/3t9")
    assert (second["sid"], second["body"]) == (None, "")


def test_an_event_that_cannot_be_read_leaves_its_session_open() -> None:
    partition = Partition()
    partition.start(A)
    partition.put(A, b'{"eventType":"unheardOf","playerTime":{"playhead":0,"ts":1}}', T0 + 1_000)
    partition.put(A, b"{", T0 + 2_000)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(12_000)
    assert [reject["origin"]["offset"] for reject in partition.rejects("undecodable")] == [1, 2]
    assert len(partition.rows("session-close")) == 1


def test_a_second_session_start_of_another_body_is_rejected() -> None:
    partition = Partition()
    partition.start(A)
    partition.start(A, **{"media.name": "another"})
    partition.fold()
    assert len(partition.rejects("undecodable")) == 1
    assert len(partition.rows("session-start")) == 1


def test_a_session_without_content_id_is_muted() -> None:
    partition = Partition()
    partition.start(A, **{"media.id": " "})
    partition.post(A, "play", 0, 1_000)
    partition.post(A, "sessionEnd", 0, 2_000)
    partition.fold()
    partition.pass_time(60_000)
    assert [reject["code"] for reject in partition.rejects()] == ["empty_content_id"] * 3
    assert partition.rejects()[0]["errors"][0]["path"] == "params.media.id"
    assert not partition.all_rows()
    assert partition.live_state() == {A}
    partition.restart()
    partition.post(A, "ping", 0, 3_000)
    partition.fold()
    assert len(partition.rejects("empty_content_id")) == 4
    partition.pass_time(25 * 60 * MINUTE)
    assert not partition.live_state()


def test_heartbeats_go_out_at_a_commit_when_the_interval_has_passed() -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=30_000))
    partition.start(A)
    partition.post(A, "play", 0, 0)
    for second in (10, 20, 30, 40):
        partition.post(A, "ping", second, second * SECOND)
        partition.fold(wall=T0)
    assert [row["mediabeat"]["instance"] for row in partition.rows("heartbeat")] == [1]
    [beat] = partition.rows("heartbeat")
    assert beat["mediabeat"]["extras"]["foldedEvents"] == 5  # up to the ping at 30 s, the start included
    assert beat["mediabeat"]["final"] is False
    for second in (50, 60, 70):
        partition.post(A, "ping", second, second * SECOND)
    partition.fold(wall=T0)
    assert [row["mediabeat"]["instance"] for row in partition.rows("heartbeat")] == [1, 2]


def test_no_heartbeat_follows_the_first_close_row() -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=30_000))
    partition.start(A)
    partition.post(A, "sessionComplete", 5, 6_000)
    for second in range(10, 120, 10):
        partition.post(A, "ping", second, second * SECOND)
    partition.fold()
    assert len(partition.rows("session-close")) == 1
    assert not partition.rows("heartbeat")


def test_a_transaction_that_does_not_hold_changes_nothing() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 0)
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.post(A, "ping", 6, 12_000)
    partition.table.fold(partition.log, 0, len(partition.log), FAR)
    lost = partition.table.finish()
    partition.table.rollback()
    assert (partition.counts.folded, partition.counts.rejected) == (0, {})
    partition.fold()
    assert partition.written == lost


def test_deadlines_taken_in_a_lost_transaction_come_due_again() -> None:
    partition = Partition()
    partition.start(A)
    partition.fold()
    assert partition.table.pass_time(T0 + 12 * MINUTE, FAR)
    partition.table.finish()
    partition.table.rollback()
    assert partition.table.next_deadline() == T0 + 11 * MINUTE
    partition.pass_time(12 * MINUTE)
    assert len(partition.rows("session-close")) == 1


def test_a_session_is_written_only_if_one_of_its_records_was_consumed_or_a_row_emitted() -> None:
    partition = Partition()
    partition.start(A)
    partition.start(B)
    partition.fold()
    before = len(partition.written)
    partition.post(B, "ping", 1, 1_000)
    partition.post(A, "sessionStart", 0, 0, params={}, at=2_000)
    partition.fold()
    written = [record.key.decode() for record in partition.written[before:] if record.topic == "media.state.session.v1"]
    assert written == [B]


def test_open_sessions_and_waiting_events_are_counted() -> None:
    partition = Partition(counts=Counts())
    partition.start(A)
    partition.start(B)
    partition.post(A, "ping", 1, 1_000)
    partition.fold()
    assert (partition.counts.open_sessions, partition.counts.waiting) == ({3: 2}, {3: 1})
    partition.restart()
    assert (partition.counts.open_sessions, partition.counts.waiting) == ({3: 2}, {3: 1})
    partition.post(A, "sessionEnd", 5, 6_000)
    partition.fold()
    partition.pass_time(12_000)
    assert (partition.counts.open_sessions, partition.counts.waiting) == ({3: 1}, {3: 0})


def test_three_starts_of_one_body_are_three_sessions() -> None:
    partition = Partition()
    for number in (1, 2, 3):
        partition.start(sid_of(number), received=500 * number)
    partition.fold()
    rows = partition.rows("session-start")
    assert len({row["mediabeat"]["sessionId"] for row in rows}) == 3
    assert len({row["mediabeat"]["extras"]["startHash"] for row in rows}) == 1


def test_a_record_of_a_source_no_machine_knows_is_rejected() -> None:
    partition = Partition()
    partition.post(A, "sessionStart", 0, 0, source="roundware")
    partition.post(A, "sessionStart", 0, 0, source="collection", batch=BatchPlace(A, 0, 1))
    partition.fold()
    assert [reject["code"] for reject in partition.rejects()] == ["undecodable"] * 2
