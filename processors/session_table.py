"""The sessions of one partition: what is committed, and the draft of one transaction over it.

Which record belongs to which session, and what comes due when; `arrival.py` takes an event on to the machine,
`endings.py` ends a session. Pure: records and time come in as values, records to write go out.
"""

from collections.abc import Sequence
from typing import Final

from processors.arrival import Arrivals
from processors.committed import WARM_DRAFTS, Committed
from processors.counts import Counts
from processors.deadlines import Deadline
from processors.endings import DETAIL
from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.rejects import Code
from processors.session.rules import Rules
from processors.session.state import COLLECTION
from processors.session.window import Arrival
from processors.sheaves import Sheaves
from processors.state_records import write
from processors.stored_session import NEVER, Draft, Kind, digest_of
from schemas import topics
from schemas.codec import Undecodable, decode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord

_new: Final = tuple.__new__
"""Makes a named tuple in half the time its own constructor takes."""

EXPIRIES_A_TRANSACTION: Final = 2_000
EXPIRIES_A_TURN: Final = 100
"""After so many the caller gets control back, to let other tasks run."""
AHEAD_MS: Final = 2_000
"""A door's clock is believed up to this far beyond the log's append time."""


class SessionTable:
    """A Fold over sessions. A transaction that does not hold drops its drafts; what is committed stays as it is."""

    input_topic: str = topics.EVENTS.name
    state_topic: str = topics.STATE.name

    def __init__(
        self, partition: int, rules: Rules, counts: Counts | None = None, warm_drafts: int = WARM_DRAFTS
    ) -> None:
        self.partition = partition
        self.counts = counts or Counts()
        self._rules = rules
        self._committed = Committed(partition, self.counts, warm_drafts)
        self._deadlines = Sheaves()
        self._clock = 0
        # The transaction.
        self._drafts: dict[str, Draft] = {}
        self._written: list[tuple[Draft, bytes | None]] = []
        self._outcome = Outcome(partition)
        self._arrivals = Arrivals(rules, self._deadlines, self._outcome)
        self._endings = self._arrivals.endings
        self._excluded = self._endings.excluded
        self._struck: set[str] = set()

    # Committed state.

    def restore(self, records: Sequence[StoredRecord]) -> None:
        self._committed.restore(records)

    def restored(self) -> None:
        self._clock, entries = self._committed.restored(self._rules.reorder_window_ms)
        self._deadlines.load(entries)
        self._endings.clock = self._clock

    def next_deadline(self) -> int | None:
        return self._deadlines.next_at()

    # The transaction.

    def fold(self, records: Sequence[StoredRecord], start: int, stop: int, wall: int) -> int:
        self._outcome.wall = wall
        take = self._take
        record = None
        try:
            for index in range(start, stop):
                record = records[index]
                if not take(record, wall):
                    return index
        except (Poisoned, MemoryError):
            raise
        except Exception as error:
            if record is None:
                raise
            raise Poisoned(record.key.decode(errors="replace"), record.offset) from error
        return stop

    def pass_time(self, until: int, wall: int) -> bool:
        self._outcome.wall = wall
        self._endings.clock = max(self._endings.clock, until)
        return self._expire_due()

    def full(self) -> bool:
        return self._outcome.expiries >= EXPIRIES_A_TRANSACTION

    def finish(self) -> list[Record]:
        self._written.clear()
        for draft in self._drafts.values():
            if draft.changed:
                current = write(draft, self._outcome, self._rules, self._endings.clock)
                self._written.append((draft, current))
        return self._outcome.records

    def commit(self) -> None:
        self._committed.commit(self._written, self._endings.clock)
        self._outcome.add_to(self.counts)
        self._clock = self._endings.clock
        self._deadlines.commit()
        self._excluded.clear()
        self._forget_draft()

    def rollback(self) -> None:
        self._endings.clock = self._clock
        self._deadlines.rollback()
        self._committed.cool()  # rare: something raised, or the lane ends and its table may lie unused
        self._forget_draft()

    def exclude(self, poisoned: Poisoned) -> None:
        self._excluded.add(poisoned)

    def _forget_draft(self) -> None:
        self._drafts = {}
        self._written = []
        self._struck.clear()
        self._outcome = self._arrivals.outcome = self._endings.outcome = Outcome(self.partition)

    # A record.

    def _take(self, record: StoredRecord, wall: int) -> bool:
        """Fold one record; False if what is due before it must be committed, or the turn is over, first."""
        offset, timestamp, _, value = record
        endings = self._endings
        try:
            envelope = decode_envelope(value or b"")
        except Undecodable as error:
            self._refuse_value(record, str(error))
            return True
        received = min(envelope.received_at, timestamp + AHEAD_MS)
        if received > endings.clock:
            endings.clock = max(endings.clock, min(received, wall))
        due = self._deadlines.next_at()
        if due is not None and due < endings.clock and not self._expire_due():
            return False
        self._outcome.consumed += 1
        sid = envelope.sid
        draft = self._drafts.get(sid) or self._draft(sid)
        arrivals, excluded = self._arrivals, self._excluded
        arrival = _new(Arrival, (offset, received, digest_of(envelope.event), envelope))
        if offset in excluded.offsets or sid in excluded.sids:
            self._refuse_excluded(draft, arrival)
        elif draft is None:
            self._open(arrival)
        elif draft.batch:
            arrivals.take_element(draft, arrival)
        else:
            arrivals.take(draft, arrival)
        return True

    def _open(self, arrival: Arrival) -> None:
        """A record of a session that is not in the table."""
        draft = self._arrivals.open(arrival)
        if draft is not None:
            self._drafts[draft.sid] = draft

    def _refuse_value(self, record: StoredRecord, detail: str) -> None:
        """What cannot be read is kept as it stands on the log, under its key."""
        self._outcome.consumed += 1
        sid = record.key.decode(errors="replace")
        envelope = Envelope(sid, record.timestamp, COLLECTION, None, None, record.value or b"")
        self._outcome.add_reject(Code.UNDECODABLE, detail, record.offset, envelope)

    def _refuse_excluded(self, draft: Draft | None, arrival: Arrival) -> None:
        """The machine raised on this record, or its session cannot be written with what this batch would add."""
        if draft is None:
            self._outcome.add_reject(Code.POISONED, DETAIL[Code.POISONED], arrival.offset, arrival.envelope)
            return
        place = arrival.envelope.batch
        if place is not None:
            draft.next_position = max(draft.next_position, place.position + 1)
        draft.changed = True
        if arrival.offset in self._excluded.offsets:
            self._arrivals.poisoned(draft, arrival)
        else:
            self._endings.refuse(draft, arrival, Code.POISONED)
            if draft.sid not in self._struck:
                self._struck.add(draft.sid)
                self._endings.strike(draft)
        if place is not None and draft.sid not in self._excluded.sids:
            self._arrivals.end_batch(draft, place, arrival.envelope.received_at)

    def _draft(self, sid: str) -> Draft | None:
        draft = self._committed.draft(sid)
        if draft is not None:
            self._drafts[sid] = draft
        return draft

    # What comes due.

    def _expire_due(self) -> bool:
        """Expire what the clock has passed; False when more is due than fits this turn or this transaction."""
        clock = self._endings.clock
        for _ in range(EXPIRIES_A_TURN):
            if self.full():
                break
            entry = self._deadlines.take_due(clock)
            if entry is None:
                return True
            self._outcome.expiries += self._came_due(entry, clock)
        due = self._deadlines.next_at()
        return due is None or due >= clock

    def _came_due(self, entry: Deadline, clock: int) -> bool:
        """Whether something really was due; entries may be early."""
        _, sid, window = entry
        draft = self._drafts.get(sid)
        if draft is not None:
            if draft.kind is Kind.GONE:
                return False
            deadline = draft.deadline
            window_deadline = draft.window_deadline(self._rules.reorder_window_ms) if window else NEVER
        else:
            told = self._committed.deadlines(sid)
            if told is None:
                return False
            deadline, window_deadline = told
        if (window_deadline if window else deadline) >= clock:
            if not window:
                self._deadlines.add(deadline, sid, window=False)
            return False
        draft = draft or self._draft(sid)
        if draft is None:
            return False
        if window:
            self._arrivals.leave_by_clock(draft)
            return True
        if draft.kind is Kind.OPEN:
            self._arrivals.expire(draft)
        else:
            draft.kind = Kind.GONE
            draft.changed = True
        if draft.kind is not Kind.GONE:
            self._deadlines.add(draft.deadline, sid, window=False)
        return True
