"""What the machine raises on: rejected in its transaction, while the partition goes on."""

from typing import Any

import orjson
import pytest

from processors import arrival, endings, folding, state_records
from processors.fold import Poisoned
from processors.session import machine
from processors.session.rules import Rules
from schemas.events import EventType
from tests.processors.partition import FAR, MINUTE, START_PARAMS, T0, Partition, document, sid_of

A, B = sid_of(1), sid_of(2)


class Allergic:
    """A machine that raises on events of a given playhead, and on expiries and heartbeats when told."""

    def __init__(self) -> None:
        self.playhead = 13
        self.expiries = False
        self.heartbeats = False
        self.rows_of_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(machine, name)

    def begin(self, envelope: Any, event: Any, rules: Rules) -> Any:
        if event.playhead == self.playhead:
            raise RuntimeError("allergic to this start")
        return machine.begin(envelope, event, rules)

    def advance(self, session: Any, event: Any, received_at: int, rules: Rules) -> Any:
        rows = machine.advance(session, event, received_at, rules)
        if event.playhead == self.playhead:
            session.folded_events += 1000  # a draft that is no good any more
            raise ZeroDivisionError("allergic to this playhead")
        return rows

    def expire(self, session: Any, reason: Any, closed_at: int, rules: Rules) -> Any:
        if self.expiries:
            raise RuntimeError("allergic to ends")
        return machine.expire(session, reason, closed_at, rules)

    def heartbeat(self, session: Any, rules: Rules) -> Any:
        if self.heartbeats:
            raise RuntimeError("allergic to heartbeats")
        row = machine.heartbeat(session, rules)
        row.value["ballast"] = "x" * self.rows_of_bytes
        return row


# Compiled rooms call the machine without looking for it in their modules: there only a handler can be replaced.
@pytest.fixture
def allergy(monkeypatch: pytest.MonkeyPatch) -> Allergic:
    allergic = Allergic()
    for room in (arrival, endings, folding, state_records):
        monkeypatch.setattr(room, "machine", allergic)
    return allergic


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_a_record_the_machine_raises_on_is_rejected_and_all_others_are_folded() -> None:
    partition = Partition()
    for sid in (A, B):
        partition.start(sid)
        partition.post(sid, "play", 0, 1_000)
    partition.post(A, "error", 13, 2_000)
    for sid in (A, B):
        partition.post(sid, "sessionEnd", 9, 10_000)
    partition.fold()
    partition.pass_time(16_000)
    [reject] = partition.rejects("poisoned")
    assert (reject["sid"], reject["origin"]["offset"]) == (A, 4)
    assert reject["body"].startswith('{"eventType":"error"')
    for sid in (A, B):
        [close] = partition.rows("session-close", sid)
        assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 9
        assert close["mediabeat"].get("extras", {}).get("foldedEvents") is None


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_an_event_that_waited_through_a_commit_is_rejected_with_its_origin() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "chapterComplete", 13, 1_000)
    partition.fold()
    partition.restart()
    assert not partition.rejects()
    partition.pass_time(7_000)
    [reject] = partition.rejects("poisoned")
    assert reject["origin"]["offset"] == 1
    assert reject["peer"] == "192.0.2.0"


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_a_session_is_muted_at_the_third_time() -> None:
    partition = Partition()
    partition.start(A)
    for number in (1, 2):
        partition.post(A, "error", 13, number * 10_000)
        partition.fold()
        partition.restart()
    partition.post(A, "play", 1, 30_000)
    partition.post(A, "ping", 2, 40_000)
    partition.fold()
    assert partition.counts.open_sessions == {3: 1}
    partition.post(A, "error", 13, 50_000)
    partition.post(A, "ping", 3, 60_000)
    partition.post(A, "ping", 4, 70_000)
    partition.fold()
    assert partition.counts.open_sessions == {3: 0}
    assert partition.counts.muted == 1
    assert partition.live_state() == {A}
    # The three errors, the ping that waited, and the two that came too late.
    assert [reject["origin"]["offset"] for reject in partition.rejects("poisoned")] == [1, 2, 5, 4, 6, 7]
    partition.restart()
    partition.post(A, "ping", 5, 80_000)
    partition.fold()
    assert len(partition.rejects("poisoned")) == 7
    assert not partition.rows("session-close")
    partition.pass_time(25 * 60 * MINUTE)
    assert not partition.live_state()


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_a_batch_whose_last_element_is_poisoned_is_over_all_the_same() -> None:
    partition = Partition()
    steps = [("sessionStart", 0, {"params": START_PARAMS}), ("play", 0, {}), ("ping", 13, {}), ("sessionEnd", 13, {})]
    bodies = [orjson.dumps(document(kind, playhead, T0, **members)) for kind, playhead, members in steps]
    partition.upload(A, bodies)
    partition.upload(A, bodies, at=MINUTE)
    partition.fold()
    assert [reject["origin"]["offset"] for reject in partition.rejects("poisoned")] == [2, 3]
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"
    assert partition.counts.duplicates == 4


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_a_start_the_machine_raises_on_opens_nothing() -> None:
    partition = Partition()
    partition.post(A, "sessionStart", 13, 0, params=START_PARAMS)
    partition.post(A, "ping", 0, 1_000)
    partition.fold()
    assert [reject["code"] for reject in partition.rejects()] == ["poisoned", "session_closed"]
    assert not partition.live_state()


@pytest.mark.interpreted
def test_an_expiry_the_machine_raises_on_is_tried_again_and_mutes_its_session(allergy: Allergic) -> None:
    partition = Partition()
    for sid in (A, B):
        partition.start(sid)
    partition.fold()
    allergy.expiries = True
    partition.pass_time(11 * MINUTE + 1)
    assert partition.counts.open_sessions == {3: 2}
    allergy.expiries = False
    partition.pass_time(12 * MINUTE + 2)
    assert len(partition.rows("session-close")) == 2

    allergy.expiries = True
    late = sid_of(3, T0 + 12 * MINUTE)
    partition.post(late, "sessionStart", 0, 12 * MINUTE, params=START_PARAMS)
    partition.fold()
    for minute in range(20, 30):
        partition.pass_time(minute * MINUTE)
    assert partition.counts.muted == 1
    assert partition.counts.open_sessions == {3: 0}


@pytest.mark.interpreted
def test_a_session_that_cannot_be_written_is_left_alone_and_the_others_go_on(allergy: Allergic) -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=10_000))
    for sid in (A, B):
        partition.start(sid)
    partition.fold()
    allergy.heartbeats = True
    partition.post(A, "ping", 1, 11_000)
    partition.post(A, "ping", 2, 22_000)
    partition.post(B, "sessionEnd", 2, 22_000)
    partition.fold()
    partition.pass_time(30_000)
    assert [reject["origin"]["offset"] for reject in partition.rejects("poisoned")] == [2, 3]
    assert len(partition.rows("session-close", B)) == 1
    allergy.heartbeats = False
    partition.post(A, "sessionEnd", 3, 33_000)
    partition.fold()
    partition.pass_time(40_000)
    assert len(partition.rows("session-close", A)) == 1


@pytest.mark.interpreted
def test_a_row_over_its_limit_is_never_written(allergy: Allergic) -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=10_000))
    partition.start(A)
    allergy.rows_of_bytes = 600_000
    partition.post(A, "ping", 1, 11_000)
    partition.post(A, "ping", 2, 22_000)
    partition.fold()
    assert not partition.rows("heartbeat")
    assert len(partition.rejects("poisoned")) == 3
    assert max(len(record.value or b"") for record in partition.written) < 10_000


@pytest.mark.interpreted
@pytest.mark.usefixtures("allergy")
def test_a_lost_transaction_with_a_reject_is_folded_to_the_same_again() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "error", 13, 2_000)
    partition.post(A, "ping", 1, 12_000)
    with pytest.raises(Poisoned) as caught:
        partition.table.fold(partition.log, 0, 3, FAR)
    assert (caught.value.sid, caught.value.offset) == (A, 1)
    partition.table.rollback()
    partition.table.exclude(caught.value)
    partition.table.fold(partition.log, 0, 3, FAR)
    lost = partition.table.finish()
    partition.table.rollback()
    partition.fold()
    assert partition.written == lost
    assert partition.counts.rejected == {"poisoned": 1}


def test_a_handler_that_raises_costs_its_event_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """In either form of the machine."""

    def raises(*_: Any) -> None:
        raise ZeroDivisionError("allergic to errors")

    monkeypatch.setitem(machine.HANDLERS, EventType.ERROR, raises)
    partition = Partition()
    for sid in (A, B):
        partition.start(sid)
        partition.post(sid, "play", 0, 1_000)
    partition.post(A, "error", 1, 2_000)
    for sid in (A, B):
        partition.post(sid, "sessionEnd", 9, 10_000)
    partition.fold()
    partition.pass_time(16_000)
    [reject] = partition.rejects("poisoned")
    assert (reject["sid"], reject["origin"]["offset"]) == (A, 4)
    for sid in (A, B):
        [close] = partition.rows("session-close", sid)
        assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 9
