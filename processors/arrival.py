"""One event's way from its arrival to the machine: duplicates, reorder window, deadlines."""

from typing import Final

from processors.deadlines import Deadlines
from processors.endings import RETRY_MS, Endings
from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.rejects import Code
from processors.session import machine, packed
from processors.session.rules import Rules
from processors.session.state import BATCH, Session
from processors.session.window import (
    BOUNDARY,
    RANK,
    TIMED,
    WAITING_BYTES,
    Arrival,
    Waiting,
    first,
    must_leave,
    wait,
)
from processors.stored_session import DIGEST_BYTES, DIGESTS_KEPT, Draft, Kind
from schemas.codec import Undecodable, decode_event
from schemas.events import BatchPlace, Event, EventType
from schemas.reports import CloseReason
from schemas.session_ids import created_at

_BOUNDARIES: Final = frozenset(
    {
        EventType.AD_BREAK_START,
        EventType.AD_BREAK_COMPLETE,
        EventType.AD_START,
        EventType.AD_COMPLETE,
        EventType.AD_SKIP,
    }
)
_MEANT_TWICE: Final = frozenset({EventType.PLAY, EventType.PAUSE_START, EventType.BUFFER_START})
_MARKS: Final = {
    event_type: (TIMED if machine.makes_row(event_type) else 0) | (BOUNDARY if event_type in _BOUNDARIES else 0)
    for event_type in EventType
}


class Arrivals:
    """Takes records to the drafts of their sessions, within one transaction."""

    __slots__ = (
        "_deadlines",
        "_rules",
        "_window_events",
        "_window_ms",
        "endings",
        "excluded_offsets",
        "excluded_sids",
        "outcome",
    )

    def __init__(self, rules: Rules, deadlines: Deadlines, outcome: Outcome) -> None:
        self.outcome = outcome
        self.endings = Endings(rules, outcome)
        self.excluded_offsets: set[int] = set()
        """Records the machine raised on: rejected in this transaction."""
        self.excluded_sids: set[str] = set()
        """Sessions that could not be written: left alone in this transaction."""
        self._rules = rules
        self._deadlines = deadlines
        self._window_ms = rules.reorder_window_ms
        self._window_events = rules.reorder_window_events

    # A session begins.

    def begin(self, arrival: Arrival, event: Event) -> Draft:
        """The draft of a new session; muted if it has no content id."""
        envelope, received = arrival.envelope, arrival.received
        draft = Draft(envelope.sid, received, arrival.digest)
        draft.batch = envelope.source == BATCH
        draft.cap_from = received if draft.batch else created_at(envelope.sid)
        draft.next_position = 1
        content_id = event.params.get("media.id")
        if isinstance(content_id, str) and content_id.strip():
            self._start(draft, arrival, event)
        else:
            self.endings.mute(draft, Kind.NO_CONTENT)
            self.endings.refuse(draft, arrival)
        self._deadlines.add(draft.deadline, draft.sid, window=False)
        if envelope.batch is not None:
            self._end_batch(draft, envelope.batch, envelope.received_at)
        return draft

    def _start(self, draft: Draft, arrival: Arrival, event: Event) -> None:
        try:
            session, rows = machine.begin(arrival.envelope, event, self._rules)
            self.outcome.add_rows(rows)
            draft.start = packed.pack_start(session)
        except MemoryError:
            raise
        except Exception as error:
            raise Poisoned(draft.sid, arrival.offset) from error
        draft.session = session
        draft.start_is_new = True
        draft.serial = draft.batch or session.is_serial
        draft.changed = True
        draft.deadline = self.endings.deadline(draft)
        self.outcome.folded += 1
        self.outcome.opened += 1

    # A record arrives at a session.

    def take(self, draft: Draft, arrival: Arrival) -> None:
        """A record of a session that posts its events."""
        offset, received, digest, envelope = arrival
        if received > draft.deadline and draft.kind is Kind.OPEN:
            self.expire(draft, offset)
        if draft.kind is not Kind.OPEN:
            if draft.kind is Kind.CLOSED and draft.knows(digest) and received <= draft.deadline:
                self.outcome.duplicates += 1
            else:
                self.endings.refuse(draft, arrival)
            return
        event = self._distinct(draft, arrival)
        if event is None:
            return
        draft.changed = True
        if received > draft.received:
            draft.received = received
            draft.deadline = self.endings.deadline(draft)
        # What this record's arrival lets go leaves before the record has a place among those that wait.
        waiting = draft.waiting
        if waiting and not self._leave_by_arrival(draft, received - self._window_ms):
            self.endings.refuse(draft, arrival)
            return
        marks = _MARKS[event.type]
        wait(
            waiting, Waiting(event.ts, 0 if draft.serial else RANK[event.type], offset, received, marks, arrival, event)
        )
        draft.waiting_bytes += len(envelope.event)
        while len(waiting) > self._window_events or draft.waiting_bytes > WAITING_BYTES:
            self._fold_first(draft)
        if marks & TIMED and waiting:
            self._deadlines.add(received + self._window_ms, draft.sid, window=True)

    def take_element(self, draft: Draft, arrival: Arrival) -> None:
        """An element of an offline batch: in order, without a window; one already seen changes nothing."""
        offset, received, _, envelope = arrival
        place = envelope.batch
        if place is None or place.position > draft.next_position:
            detail = f"not element {draft.next_position} of its batch, which is the next"
            self.endings.refuse(draft, arrival, Code.UNDECODABLE, detail)
            return
        if place.position < draft.next_position:
            self.outcome.duplicates += 1
            return
        draft.next_position += 1
        draft.changed = True
        if received > draft.deadline and draft.kind is Kind.OPEN:
            self.expire(draft, offset)
        if draft.kind is Kind.INCOMPLETE:
            self._reopen(draft, arrival)
        if draft.kind is not Kind.OPEN:
            self.endings.refuse(draft, arrival)
            return
        draft.received = max(draft.received, received)
        event = self._distinct(draft, arrival)
        if event is not None:
            self._fold(draft, Waiting(event.ts, 0, offset, received, 0, arrival, event))
        self._end_batch(draft, place, envelope.received_at)

    def _end_batch(self, draft: Draft, place: BatchPlace, received_at: int) -> None:
        """A batch is over with its last element, whatever that was."""
        if draft.kind is not Kind.OPEN or draft.next_position < place.of:
            return
        if draft.sid in self.endings.excluded_expiries:
            self.endings.strike(draft)
        else:
            session = self._session(draft, None)
            self.endings.end(draft, session, CloseReason.END, received_at, draft.received)

    def _reopen(self, draft: Draft, arrival: Arrival) -> None:
        """A missing element has come: the rows it changes go out again, as revisions."""
        machine.reopen(self._session(draft, arrival.offset))
        draft.kind = Kind.OPEN
        draft.cap_from = draft.received = arrival.received
        draft.deadline = self.endings.deadline(draft)
        self._deadlines.add(draft.deadline, draft.sid, window=False)

    def _distinct(self, draft: Draft, arrival: Arrival) -> Event | None:
        """The event, if it is one: not a repeat, and readable."""
        body, digest = arrival.envelope.event, arrival.digest
        if draft.knows(digest):
            event = self._meant_again(draft, digest, body)
            if event is None:
                self.outcome.duplicates += 1
            return event
        try:
            event = decode_event(body)
        except Undecodable as error:
            self.endings.refuse(draft, arrival, Code.UNDECODABLE, str(error))
            return None
        if event.type is EventType.SESSION_START:
            self.endings.refuse(draft, arrival, Code.UNDECODABLE, "a second sessionStart of its session")
            return None
        draft.remember(digest)
        return event

    def _meant_again(self, draft: Draft, digest: bytes, body: bytes) -> Event | None:
        """The event, if an ad boundary of its `ts` is, or will be, folded between its twin and itself.

        Players send the same play, pauseStart or bufferStart before and after such a boundary, and mean both.
        """
        waiting = draft.waiting
        if not waiting and draft.boundary_ts is None:
            return None
        event = decode_event(body)
        if event.type not in _MEANT_TWICE:
            return None
        boundaries = [item.offset for item in waiting if item.marks & BOUNDARY and item.ts == event.ts]
        twins = [item.offset for item in waiting if item.arrival.digest == digest]
        if twins:
            # Of a parallel client both would leave after every boundary of their ts: nothing stands between them.
            between = draft.serial and bool(boundaries) and max(boundaries) > max(twins)
        else:
            between = bool(boundaries) or (draft.boundary_ts == event.ts and not draft.repeated(digest))
        return event if between else None

    # Events leave the window.

    def leave_by_clock(self, draft: Draft) -> None:
        """Let go the events on which a row or a deadline depends, when the clock has passed their window."""
        if draft.sid in self.excluded_sids:
            self._deadlines.add(self.endings.clock + RETRY_MS, draft.sid, window=True)
            return
        passed = self.endings.clock - self._window_ms
        while any(item.marks & TIMED and item.received < passed for item in draft.waiting):
            self._fold_first(draft)

    def expire(self, draft: Draft, offset: int | None = None) -> None:
        """An open session's deadline has passed: what waits is folded, then it ends, unless it ended itself."""
        if draft.sid in self.excluded_sids:
            draft.changed = True
            draft.deadline = self.endings.clock + RETRY_MS
            return
        while draft.waiting:
            self._fold_first(draft)
        if draft.kind is Kind.OPEN:
            self.endings.expire(draft, self._session(draft, offset))

    def poisoned(self, draft: Draft, arrival: Arrival) -> None:
        """Refuse an event the machine raised on."""
        self.endings.refuse(draft, arrival, Code.POISONED)
        self.endings.strike(draft)

    def _leave_by_arrival(self, draft: Draft, passed: int) -> bool:
        """Let go what was received before `passed`, and whatever stands before it. False: that closed the session."""
        waiting = draft.waiting
        while must_leave(waiting, passed):
            self._fold_first(draft)
        return draft.kind is Kind.OPEN

    def _fold_first(self, draft: Draft) -> None:
        waiting = draft.waiting
        head = waiting[0]
        index = 0
        tied = len(waiting) > 1 and head.ts == waiting[1].ts and not draft.serial
        if tied and head.offset not in self.excluded_offsets:
            index = first(waiting, self._session(draft, head.offset))
        item = waiting.pop(index)
        draft.waiting_bytes -= len(item.arrival.envelope.event)
        self._fold(draft, item)

    def _fold(self, draft: Draft, item: Waiting) -> None:
        if self.excluded_offsets and item.offset in self.excluded_offsets:
            self.poisoned(draft, item.arrival)
            return
        session = draft.session or self._session(draft, item.offset)
        try:
            event = item.event or decode_event(item.arrival.envelope.event)
            still = not draft.batch and machine.stands_still(session, event, self._rules)
            if not still:
                rows = machine.advance(session, event, item.arrival.envelope.received_at, self._rules)
                if rows:
                    self.outcome.add_rows(rows)
        except MemoryError:
            raise
        except Exception as error:
            raise Poisoned(draft.sid, item.offset) from error
        draft.changed = True
        if still:
            self._stood_still(draft, session, item)
            return
        self.outcome.folded += 1
        if draft.folded_received is None or item.received > draft.folded_received:
            draft.folded_received = item.received
        if event.type in _BOUNDARIES:
            draft.boundary_ts = event.ts
            draft.repeats = b""
        elif event.ts == draft.boundary_ts and event.type in _MEANT_TWICE:
            draft.repeats = (draft.repeats + item.arrival.digest)[-DIGEST_BYTES * DIGESTS_KEPT :]
        if session.closed:
            reason = CloseReason.COMPLETE if session.completed else CloseReason.END
            self.endings.close(draft, reason, item.arrival.envelope.received_at, draft.received)

    def _stood_still(self, draft: Draft, session: Session, item: Waiting) -> None:
        try:
            closed_at = machine.still_deadline(session, self._rules)
            self.endings.end(draft, session, CloseReason.TIMEOUT_STILL, closed_at, draft.received)
        except Poisoned as poisoned:
            raise Poisoned(draft.sid, item.offset) from poisoned
        self.endings.refuse(draft, item.arrival)

    def _session(self, draft: Draft, offset: int | None) -> Session:
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
