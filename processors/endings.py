"""How a session ends for its partition: closed, muted, incomplete, forgotten; and what is refused afterwards."""

from typing import Final

from processors.excluded import Excluded
from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.rejects import Code
from processors.session import machine
from processors.session.rules import Rules
from processors.session.state import Session
from processors.session.window import Arrival
from processors.stored_session import Draft, Kind
from schemas.reports import CloseReason

STUB_MS: Final = 10 * 60_000
"""How long a closed session's digests are kept."""
BATCH_STUB_MS: Final = 30 * 86_400_000
"""How long a batch's next position is kept."""
RETRY_MS: Final = 60_000
"""How long an expiry the machine raised on is put off."""
STRIKES: Final = 3
"""A session the machine raised on so often is muted."""

_CODE: Final = {Kind.NO_CONTENT: Code.EMPTY_CONTENT_ID, Kind.POISONED: Code.POISONED}
DETAIL: Final = {
    Code.SESSION_CLOSED: "no open session takes this event",
    Code.EMPTY_CONTENT_ID: "the session has no content id",
    Code.POISONED: "the machine raised on this event, or too often on others of its session",
}


class Endings:
    """Ends sessions within one transaction. `clock` is the lane's, in epoch ms."""

    __slots__ = ("_cap_ms", "_idle_ms", "_rules", "clock", "excluded", "outcome")

    def __init__(self, rules: Rules, outcome: Outcome) -> None:
        self.outcome = outcome
        self.clock = 0
        self.excluded = Excluded()
        self._rules = rules
        self._idle_ms = rules.idle_timeout_ms + rules.grace_ms
        self._cap_ms = rules.session_cap_ms + rules.grace_ms

    def deadline(self, draft: Draft) -> int:
        """When an open session is over if nothing more comes; a batch knows no silence."""
        cap = draft.cap_from + self._cap_ms
        return cap if draft.batch else min(draft.received + self._idle_ms, cap)

    def expire(self, draft: Draft, session: Session) -> None:
        """A deadline has passed, and nothing waits any more."""
        draft.changed = True
        if draft.sid in self.excluded.expiries:
            draft.deadline = self.clock + RETRY_MS
            self.strike(draft)
            return
        cap_at = draft.cap_from + self._rules.session_cap_ms
        idle_at = draft.received + self._rules.idle_timeout_ms
        if draft.batch or cap_at < idle_at:
            self.end(draft, session, CloseReason.CAP_24H, cap_at, draft.deadline)
        else:
            self.end(draft, session, CloseReason.TIMEOUT_IDLE, idle_at, draft.deadline)

    def end(self, draft: Draft, session: Session, reason: CloseReason, closed_at: int, now: int) -> None:
        """End a session that did not end itself. `closed_at` is the deadline without grace. Raises Poisoned."""
        try:
            self.outcome.add_rows(machine.expire(session, reason, closed_at, self._rules))
        except MemoryError:
            raise
        except Exception as error:
            raise Poisoned(draft.sid, None, expiry=True) from error
        self.close(draft, CloseReason.COMPLETE if session.completed else reason, closed_at, now)
        if draft.batch and reason is CloseReason.CAP_24H:
            draft.kind = Kind.INCOMPLETE

    def close(self, draft: Draft, reason: CloseReason, closed_at: int, now: int) -> None:
        """Leave a stub. What still waits was sorted after the end."""
        draft.changed = True
        draft.kind = Kind.CLOSED
        draft.deadline = now + (BATCH_STUB_MS if draft.batch else STUB_MS)
        self.outcome.add_closed(draft.sid, closed_at, reason, told=not draft.batch)
        self._refuse_waiting(draft)

    def mute(self, draft: Draft, kind: Kind) -> None:
        """Let nothing of this session reach the machine again."""
        draft.changed = True
        draft.kind = kind
        draft.session = None
        draft.machine = b""
        draft.deadline = max(self.clock, draft.received) + self._cap_ms
        self.outcome.muted += 1
        self._refuse_waiting(draft)

    def strike(self, draft: Draft) -> None:
        """The machine raised on something of this session."""
        draft.changed = True
        draft.strikes = min(draft.strikes + 1, 255)
        if draft.strikes >= STRIKES and draft.kind is Kind.OPEN:
            self.mute(draft, Kind.POISONED)

    def refuse(self, draft: Draft, arrival: Arrival, code: Code | None = None, detail: str = "") -> None:
        """Send an event to the rejects; by default for what its session has become."""
        code = code or _CODE.get(draft.kind, Code.SESSION_CLOSED)
        self.outcome.add_reject(code, detail or DETAIL[code], arrival.offset, arrival.envelope)

    def _refuse_waiting(self, draft: Draft) -> None:
        for item in draft.waiting:
            self.refuse(draft, item.arrival)
        draft.waiting.clear()
        draft.waiting_bytes = 0
        self.outcome.duplicates += len(draft.doubtful)
        draft.doubtful = ()
