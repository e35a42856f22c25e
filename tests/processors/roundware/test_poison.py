"""What the machine raises on: rejected in its transaction, while the partition goes on, as for the other dialect."""

from typing import Any

import pytest

from processors.fold import Poisoned
from processors.roundware import machine, table
from processors.roundware.rules import RoundwareRules
from tests.processors.partition import FAR
from tests.processors.roundware.listening import SID, N, Rounds

IDLE = 1800
OTHER = f"r:{N + 1}"


class Allergic:
    """A machine that raises on events of the type `allergen`, and on expiries and heartbeats when told."""

    def __init__(self) -> None:
        self.expiries = False
        self.heartbeats = False
        self.bytes_of_rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(machine, name)

    def take(self, state: Any, arrival: Any, rules: Any) -> Any:
        effects = machine.take(state, arrival, rules)
        if getattr(arrival.document, "event_type", "") == "allergen":
            state.visits += 1000  # a draft that is no good any more
            raise ZeroDivisionError("allergic to this")
        return effects

    def expire(self, state: Any, rules: Any) -> Any:
        if self.expiries and state.sid == SID:
            raise RuntimeError("allergic to ends")
        return machine.expire(state, rules)

    def heartbeat(self, state: Any, rules: Any) -> Any:
        if self.heartbeats and state.sid == SID:
            raise RuntimeError("allergic to heartbeats")
        effects = machine.heartbeat(state, rules)
        for row in effects.rows:
            row.value["ballast"] = "x" * self.bytes_of_rows
        return effects


@pytest.fixture
def allergy(monkeypatch: pytest.MonkeyPatch) -> Allergic:
    allergic = Allergic()
    monkeypatch.setattr(table, "machine", allergic)
    return allergic


def two_sessions(rounds: Rounds) -> None:
    for number in (N, N + 1):
        rounds.open(number=number)


def closes(rounds: Rounds, sid: str) -> list[dict[str, Any]]:
    return rounds.rows("session-close", sid)


@pytest.mark.usefixtures("allergy")
def test_a_record_the_machine_raises_on_is_rejected_and_all_others_are_folded() -> None:
    rounds = Rounds()
    two_sessions(rounds)
    rounds.tell("allergen", 1)
    for number in (N, N + 1):
        rounds.tell("stop_session", 9, number=number)
    rounds.fold()
    [reject] = rounds.rejects("poisoned")
    assert (reject["sid"], reject["origin"]["offset"]) == (SID, 2)
    assert '"eventType":"allergen"' in reject["body"]
    for sid in (SID, OTHER):
        [close] = closes(rounds, sid)
        assert close["mediabeat"]["instance"] == 1
        assert close["roundware"]["eventsByType"] == {"session.start": 1, "session.end": 1}
    assert not [key for key in rounds.shown() if "allergen" in str(rounds.shown()[key])]


@pytest.mark.usefixtures("allergy")
def test_the_third_time_its_session_is_muted_until_a_day_has_passed() -> None:
    rounds = Rounds()
    two_sessions(rounds)
    for number in range(3):
        rounds.tell("allergen", 1 + number)
        rounds.fold()
        rounds.restart()
    assert rounds.counts.muted == 1
    assert rounds.counts.open_visits == {rounds.number: 1}
    rounds.tell("heartbeat", 5)
    rounds.fold()
    assert [reject["origin"]["offset"] for reject in rounds.rejects("poisoned")] == [2, 3, 4, 5]
    rounds.wait(86_400.001)
    assert rounds.live_state() == {OTHER}
    assert SID not in rounds.shown()
    assert not closes(rounds, SID)
    rounds.tell("heartbeat", 86_405)
    rounds.fold()
    assert rounds.live_state() == {SID, OTHER}


@pytest.mark.usefixtures("allergy")
def test_a_first_record_the_machine_raises_on_opens_nothing() -> None:
    rounds = Rounds()
    rounds.tell("allergen", 1)
    rounds.fold()
    assert rounds.rejects("poisoned")
    assert not rounds.live_state()
    assert not rounds.all_rows()


def test_an_expiry_the_machine_raises_on_is_put_off_and_the_third_time_mutes(allergy: Allergic) -> None:
    rounds = Rounds()
    two_sessions(rounds)
    rounds.fold()
    allergy.expiries = True
    rounds.wait(IDLE + 1)
    assert not closes(rounds, SID)
    assert len(closes(rounds, OTHER)) == 1
    allergy.expiries = False
    rounds.wait(IDLE + 62)
    assert len(closes(rounds, SID)) == 1

    rounds.tell("heartbeat", IDLE + 70)
    rounds.fold()
    allergy.expiries = True
    for minute in range(10):
        rounds.wait(2 * IDLE + 71 + 61 * minute)
    assert rounds.counts.muted == 1
    assert rounds.counts.open_visits == {rounds.number: 0}
    assert len(closes(rounds, SID)) == 1


def test_a_session_that_cannot_be_written_is_left_alone_and_the_others_go_on(allergy: Allergic) -> None:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=1_000))
    two_sessions(rounds)
    rounds.fold()
    allergy.heartbeats = True
    rounds.tell("heartbeat", 11)
    rounds.tell("heartbeat", 12)
    rounds.tell("stop_session", 13, number=N + 1)
    rounds.fold()
    assert [reject["origin"]["offset"] for reject in rounds.rejects("poisoned")] == [2, 3]
    assert len(closes(rounds, OTHER)) == 1
    allergy.heartbeats = False
    rounds.tell("stop_session", 20)
    rounds.fold()
    [close] = closes(rounds, SID)
    assert close["roundware"]["eventsByType"] == {"session.start": 1, "session.end": 1}


def test_a_row_over_its_limit_is_never_written(allergy: Allergic) -> None:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=1_000))
    rounds.open()
    allergy.bytes_of_rows = 600_000
    rounds.tell("heartbeat", 11)
    rounds.fold()
    assert not rounds.rows("heartbeat")
    assert len(rounds.rejects("poisoned")) == 2
    assert max(len(record.value or b"") for record in rounds.written) < 10_000


def test_a_state_that_cannot_be_read_never_stops_the_others() -> None:
    rounds = Rounds()
    two_sessions(rounds)
    rounds.fold()
    states = rounds.state()
    rounds.table = rounds.new_table()
    broken = next(record for record in states if record.key == SID.encode())
    rounds.table.restore([broken._replace(value=(broken.value or b"")[:-3]), *(r for r in states if r is not broken)])
    rounds.table.restored()
    rounds.tell("heartbeat", 10)
    rounds.tell("stop_session", 11, number=N + 1)
    rounds.fold()
    rounds.wait(IDLE + 20)
    assert [reject["sid"] for reject in rounds.rejects("poisoned")] == [SID]
    assert len(closes(rounds, OTHER)) == 1


@pytest.mark.usefixtures("allergy")
def test_a_lost_transaction_with_a_reject_is_folded_to_the_same_again() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("allergen", 2)
    rounds.tell("heartbeat", 3)
    with pytest.raises(Poisoned) as caught:
        rounds.table.fold(rounds.log, 0, 3, FAR)
    assert (caught.value.sid, caught.value.offset) == (SID, 1)
    rounds.table.rollback()
    rounds.table.exclude(caught.value)
    rounds.table.fold(rounds.log, 0, 3, FAR)
    lost = rounds.table.finish()
    rounds.table.rollback()
    rounds.fold()
    assert rounds.written == lost
    assert rounds.counts.rejected == {"poisoned": 1}
