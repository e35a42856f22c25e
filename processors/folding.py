"""Out of the reorder window and into the machine: the events of one session, one transaction long."""

from typing import Final

from processors.deadlines import Deadlines
from processors.endings import RETRY_MS, Endings
from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.rejects import Code
from processors.session import machine, packed
from processors.session.rules import Rules
from processors.session.state import Session
from processors.session.window import BOUNDARY, TIMED, Arrival, Waiting, first
from processors.stored_session import DIGEST_BYTES, DIGESTS_KEPT, Draft, Kind
from schemas.codec import decode_event
from schemas.events import EventType
from schemas.reports import CloseReason

_BOUNDARIES: Final = frozenset(
    {
        EventType.AD_BREAK_START,
        EventType.AD_BREAK_COMPLETE,
        EventType.AD_START,
        EventType.AD_COMPLETE,
        EventType.AD_SKIP,
    }
)
MEANT_TWICE: Final = frozenset({EventType.PLAY, EventType.PAUSE_START, EventType.BUFFER_START})
"""What players send again, byte for byte, after an ad boundary of the same `ts`, and mean."""
MARKS: Final = {
    event_type: (TIMED if machine.makes_row(event_type) else 0) | (BOUNDARY if event_type in _BOUNDARIES else 0)
    for event_type in EventType
}


class Folding:
    """Hands events to the machine in their final order. Whatever the machine raises becomes a Poisoned."""

    __slots__ = ("_deadlines", "_rules", "_window_ms", "endings", "excluded", "outcome")

    def __init__(self, rules: Rules, deadlines: Deadlines, outcome: Outcome) -> None:
        self.outcome = outcome
        self.endings = Endings(rules, outcome)
        self.excluded = self.endings.excluded
        self._rules = rules
        self._deadlines = deadlines
        self._window_ms = rules.reorder_window_ms

    def leave_by_clock(self, draft: Draft) -> None:
        """Let go the events on which a row or a deadline depends, when the clock has passed their window."""
        if draft.sid in self.excluded.sids:
            self._deadlines.add(self.endings.clock + RETRY_MS, draft.sid, window=True)
            return
        passed = self.endings.clock - self._window_ms
        while any(item.marks & TIMED and item.received < passed for item in draft.waiting):
            self.fold_first(draft)

    def expire(self, draft: Draft, offset: int | None = None) -> None:
        """An open session's deadline has passed: what waits is folded, then it ends, unless it ended itself."""
        if draft.sid in self.excluded.sids:
            draft.changed = True
            draft.deadline = self.endings.clock + RETRY_MS
            return
        while draft.waiting:
            self.fold_first(draft)
        if draft.kind is Kind.OPEN:
            self.endings.expire(draft, self.session(draft, offset))

    def poisoned(self, draft: Draft, arrival: Arrival) -> None:
        """Refuse an event the machine raised on."""
        self.endings.refuse(draft, arrival, Code.POISONED)
        self.endings.strike(draft)

    def fold_first(self, draft: Draft) -> None:
        """Take the first of the waiting events to the machine."""
        waiting = draft.waiting
        head = waiting[0]
        index = 0
        tied = len(waiting) > 1 and head.ts == waiting[1].ts and not draft.serial
        if tied and head.offset not in self.excluded.offsets:
            index = first(waiting, self.session(draft, head.offset))
        item = waiting.pop(index)
        draft.waiting_bytes -= len(item.arrival.envelope.event)
        if draft.doubtful:
            self._pass_doubtful(draft, item)
        self.fold(draft, item)

    def _pass_doubtful(self, draft: Draft, item: Waiting) -> None:
        """A repeat leaves before whatever stands after it: what folds later gives it no meaning."""
        left = [doubt for doubt in draft.doubtful if doubt > item]
        self.outcome.duplicates += len(draft.doubtful) - len(left)
        draft.doubtful = left

    def fold(self, draft: Draft, item: Waiting) -> None:
        """Take one event of an open session to the machine."""
        if self.excluded.offsets and item.offset in self.excluded.offsets:
            self.poisoned(draft, item.arrival)
            return
        session = draft.session or self.session(draft, item.offset)
        arrival = item.arrival
        try:
            event = item.event or decode_event(arrival.envelope.event)
            if not draft.batch and machine.stands_still(session, event, self._rules):
                closed_at = machine.still_deadline(session, self._rules)
                self.endings.end(draft, session, CloseReason.TIMEOUT_STILL, closed_at, draft.received)
                self.endings.refuse(draft, arrival)
                return
            rows = machine.advance(session, event, arrival.envelope.received_at, self._rules)
            if rows:
                self.outcome.add_rows(rows)
        except MemoryError:
            raise
        except Exception as error:
            raise Poisoned(draft.sid, item.offset) from error
        draft.changed = True
        self.outcome.folded += 1
        draft.folded_received = max(draft.folded_received, item.received)
        event_type = event.type
        if event_type in _BOUNDARIES:
            draft.boundary_ts = event.ts
            draft.repeats = b""
        elif event.ts == draft.boundary_ts and event_type in MEANT_TWICE:
            draft.repeats = (draft.repeats + arrival.digest)[-DIGEST_BYTES * DIGESTS_KEPT :]
        if session.closed:
            reason = CloseReason.COMPLETE if session.completed else CloseReason.END
            self.endings.close(draft, reason, arrival.envelope.received_at, draft.received)

    def session(self, draft: Draft, offset: int | None) -> Session:
        """The machine's draft, unpacked when first needed. Poisoned names the record that needed it, or an expiry."""
        session = draft.session
        if session is None:
            try:
                session = draft.session = packed.unpack(draft.sid, draft.start or b"", draft.machine)
            except MemoryError:
                raise
            except Exception as error:
                raise Poisoned(draft.sid, offset, expiry=offset is None) from error
        return session
