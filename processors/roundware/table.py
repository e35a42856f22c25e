"""The Roundware sessions of one partition: committed bytes, and the draft of one transaction over them. A Fold.

Which record belongs to which session, what comes due when, and what the machine raised on; `machine.py` does the rest.
Pure: records and time come in as values, records to write go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processors.counts import Counts
from processors.endings import DETAIL, RETRY_MS, STRIKES
from processors.excluded import Excluded
from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.rejects import Code
from processors.roundware import machine, packed
from processors.roundware.arrival import Arrival, read
from processors.roundware.effects import Effects
from processors.roundware.rules import RoundwareRules
from processors.roundware.schedule import Schedule
from processors.roundware.session import Kind, State
from schemas import roundware, topics
from schemas.codec import Undecodable, decode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord

EXPIRIES_A_TRANSACTION: Final = 2_000
EXPIRIES_A_TURN: Final = 100
TOMBSTONES_A_TRANSACTION: Final = 20_000
"""Of what lists no longer show: a session that is forgotten may bury more than a thousand."""
AHEAD_MS: Final = 2_000
"""A door's clock is believed up to this far beyond the log's append time."""


@dataclass(slots=True)
class Draft:
    """A session within a transaction. `was`: what its committed record stands for, None if there is none."""

    state: State
    was: Kind | None
    has_folded: bool = False
    struck: bool = False


class RoundwareTable:
    """A Fold over Roundware sessions. The table holds bytes, which the cyclic collector does not track."""

    input_topic: str = topics.EVENTS.name
    state_topic: str = topics.STATE.name

    def __init__(self, partition: int, rules: RoundwareRules, counts: Counts | None = None) -> None:
        self.partition = partition
        self.counts = counts or Counts()
        self._rules = rules
        self._currents: dict[str, bytes] = {}
        self._schedule = Schedule()
        self._committed_clock = 0
        self._open_visits = 0
        # The transaction.
        self._clock = 0
        self._outcome = Outcome(partition)
        self._drafts: dict[str, Draft] = {}
        self._written: list[tuple[Draft, bytes | None]] = []
        self._buried = 0
        self._excluded = Excluded()

    # Committed state.

    def restore(self, records: Sequence[StoredRecord]) -> None:
        for record in records:
            sid = record.key.decode()
            if record.value is None:
                self._currents.pop(sid, None)
            else:
                self._currents[sid] = record.value

    def restored(self) -> None:
        for current in self._currents.values():
            self._open_visits += packed.kind_of(current) is Kind.OPEN
            self._clock = max(self._clock, packed.times_of(current)[1])
        self._schedule.load((sid, packed.times_of(current)[0]) for sid, current in self._currents.items())
        self._committed_clock = self._clock
        self._gauge()

    def next_deadline(self) -> int | None:
        return self._schedule.next_at()

    # The transaction.

    def fold(self, records: Sequence[StoredRecord], start: int, stop: int, wall: int) -> int:
        self._outcome.wall = wall
        for index in range(start, stop):
            record = records[index]
            try:
                if not self._take(record, wall):
                    return index
            except (Poisoned, MemoryError):
                raise
            except Exception as error:
                raise Poisoned(record.key.decode(errors="replace"), record.offset) from error
        return stop

    def pass_time(self, until: int, wall: int) -> bool:
        self._outcome.wall = wall
        self._clock = max(self._clock, until)
        return self._expire_due()

    def full(self) -> bool:
        return self._outcome.expiries >= EXPIRIES_A_TRANSACTION or self._buried >= TOMBSTONES_A_TRANSACTION

    def finish(self) -> list[Record]:
        self._written.clear()
        for sid, draft in self._drafts.items():
            try:
                self._written.append((draft, self._write(draft)))
            except MemoryError:
                raise
            except Exception as error:
                if sid not in self._excluded.sids:
                    raise Poisoned(sid, None) from error
                # Not even what is left of it can be written: its committed state stands.
        return self._outcome.records

    def commit(self) -> None:
        for draft, current in self._written:
            kind, sid = draft.state.kind, draft.state.sid
            self._open_visits += (kind is Kind.OPEN) - (draft.was is Kind.OPEN)
            if current is None:
                self._currents.pop(sid, None)
            else:
                self._currents[sid] = current
        self._outcome.add_to(self.counts)
        self._committed_clock = self._clock
        self._schedule.commit()
        self._excluded.clear()
        self._gauge()
        self._forget_drafts()

    def rollback(self) -> None:
        self._clock = self._committed_clock
        self._schedule.rollback()
        self._forget_drafts()

    def exclude(self, poisoned: Poisoned) -> None:
        self._excluded.add(poisoned)

    def _forget_drafts(self) -> None:
        self._drafts = {}
        self._written = []
        self._buried = 0
        self._outcome = Outcome(self.partition)

    def _gauge(self) -> None:
        self.counts.open_visits[self.partition] = self._open_visits

    def _write(self, draft: Draft) -> bytes | None:
        state = draft.state
        if state.kind is Kind.GONE:
            if draft.was is not None:
                self._outcome.add_state(state.sid, None)
            return None
        if draft.has_folded:
            self._effect(machine.heartbeat(state, self._rules))
        current = packed.pack(state, self._rules, self._clock)
        self._outcome.add_state(state.sid, current)
        return current

    # A record.

    def _take(self, record: StoredRecord, wall: int) -> bool:
        """Fold one record; False if what is due before it must be committed, or the turn is over, first."""
        try:
            envelope = decode_envelope(record.value or b"")
        except Undecodable as error:
            self._refuse_value(record, str(error))
            return True
        received = min(envelope.received_at, record.timestamp + AHEAD_MS)
        self._clock = max(self._clock, min(received, wall))
        due = self._schedule.next_at()
        if due is not None and due < self._clock and not self._expire_due():
            return False
        self._outcome.consumed += 1
        try:
            arrival = read(record.key, envelope, received)
        except Undecodable as error:
            self._outcome.add_reject(Code.UNDECODABLE, str(error), record.offset, envelope)
        else:
            self._arrive(arrival, record.offset, envelope)
        return True

    def _arrive(self, arrival: Arrival, offset: int, envelope: Envelope) -> None:
        """A record arrives at its session."""
        sid = envelope.sid
        is_excluded = offset in self._excluded.offsets or sid in self._excluded.sids
        if is_excluded or self._is_muted(sid, arrival.received):
            self._outcome.add_reject(Code.POISONED, DETAIL[Code.POISONED], offset, envelope)
            if is_excluded:
                self._strike(sid, once=sid in self._excluded.sids)
            return
        draft = self._draft(sid) or Draft(State(sid), None)
        effects = machine.take(draft.state, arrival, self._rules)
        self._drafts[sid] = draft
        if effects is None:
            self._outcome.duplicates += 1
            return
        draft.has_folded = True
        self._outcome.folded += 1
        self._effect(effects)
        self._schedule.at_latest(sid, draft.state.deadline(self._rules))

    def _is_muted(self, sid: str, received: int) -> bool:
        draft = self._draft(sid)
        return draft is not None and draft.state.kind is Kind.POISONED and received <= draft.state.deadline(self._rules)

    def _draft(self, sid: str) -> Draft | None:
        draft = self._drafts.get(sid)
        if draft is None and sid in self._currents:
            current = self._currents[sid]
            draft = self._drafts[sid] = Draft(packed.unpack(sid, current), packed.kind_of(current))
        return draft

    def _effect(self, effects: Effects) -> None:
        """Add what the machine wants written. TooLarge for a row no topic takes."""
        self._outcome.add_rows(effects.rows)
        self._outcome.opened += effects.opened
        self._outcome.closed.update(effects.closed)
        self._outcome.records += [
            Record(topics.ROUNDWARE.name, self.partition, key.encode(), value) for key, value in effects.folded
        ]
        self._buried += sum(value is None for _, value in effects.folded)

    def _refuse_value(self, record: StoredRecord, detail: str) -> None:
        """What cannot be read is kept as it stands on the log, under its key."""
        self._outcome.consumed += 1
        sid = record.key.decode(errors="replace")
        envelope = Envelope(sid, record.timestamp, roundware.SOURCE, None, None, record.value or b"")
        self._outcome.add_reject(Code.UNDECODABLE, detail, record.offset, envelope)

    def _strike(self, sid: str, *, once: bool) -> None:
        """The machine raised on something of this session."""
        try:
            draft = self._draft(sid)
        except (Undecodable, ValueError, TypeError, LookupError, AttributeError):
            return  # its very state cannot be read, so nothing can be noted in it
        if draft is None or (once and draft.struck):
            return
        draft.struck = True
        state = draft.state
        state.strikes = min(state.strikes + 1, 255)
        if state.strikes >= STRIKES and state.kind is not Kind.POISONED:
            machine.mute(state)
            self._outcome.muted += 1
            self._schedule.at_latest(state.sid, state.deadline(self._rules))

    # What comes due.

    def _expire_due(self) -> bool:
        """Expire what the clock has passed; False when more is due than fits this turn or this transaction."""
        for _ in range(EXPIRIES_A_TURN):
            if self.full():
                break
            sid = self._schedule.take_due(self._clock)
            if sid is None:
                return True
            self._outcome.expiries += self._came_due(sid)
        next_at = self._schedule.next_at()
        return next_at is None or next_at >= self._clock

    def _came_due(self, sid: str) -> bool:
        """Whether something really was due; entries may be early."""
        if sid not in self._drafts and sid in self._currents:
            deadline, _ = packed.times_of(self._currents[sid])
            if deadline >= self._clock:
                self._schedule.at_latest(sid, deadline)
                return False
        if sid in self._excluded.expiries or sid in self._excluded.sids:
            self._strike(sid, once=True)
            self._schedule.at_latest(sid, self._clock + RETRY_MS)
            return True
        try:
            draft = self._draft(sid)
            if draft is None:
                return False
            # Not what the record says: the idle limit may be another than when that was written.
            is_due = draft.state.deadline(self._rules) < self._clock
            if is_due:
                self._effect(machine.expire(draft.state, self._rules))
        except MemoryError:
            raise
        except Exception as error:
            raise Poisoned(sid, None, expiry=True) from error
        if draft.state.kind is not Kind.GONE:
            self._schedule.at_latest(sid, draft.state.deadline(self._rules))
        return is_due
