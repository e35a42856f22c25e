"""What arrives at a session: its start, its events, repeats of them, the elements of a batch."""

from typing import Final

from processors.deadlines import Deadlines
from processors.endings import DETAIL
from processors.fold import Poisoned
from processors.folding import MARKS, MEANT_TWICE, Folding
from processors.outcome import Outcome
from processors.rejects import Code
from processors.session import machine, packed
from processors.session.rules import Rules
from processors.session.state import BATCH, COLLECTION
from processors.session.window import BOUNDARY, DOUBTFUL, RANK, TIMED, WAITING_BYTES, Arrival, Waiting, must_leave, wait
from processors.stored_session import Draft, Kind
from schemas.codec import Undecodable, decode_event
from schemas.events import BatchPlace, Event, EventType
from schemas.reports import CloseReason
from schemas.session_ids import created_at

_new: Final = tuple.__new__
"""Makes a named tuple in half the time its own constructor takes."""

START_WITHIN_MS: Final = 120_000
"""A sessionStart received further from its id's creation opens no session."""
DOUBTFUL_EVENTS: Final = 4
DOUBTFUL_BYTES: Final = 1024
"""So many repeats of so many bytes are kept aside; any other is judged by what has come."""


class Arrivals(Folding):
    """Takes records to the drafts of their sessions, within one transaction."""

    __slots__ = ("_window_events",)

    def __init__(self, rules: Rules, deadlines: Deadlines, outcome: Outcome) -> None:
        super().__init__(rules, deadlines, outcome)
        self._window_events = rules.reorder_window_events

    # A session begins.

    def open(self, arrival: Arrival) -> Draft | None:
        """The draft of a new session. Only a sessionStart opens one; whatever else comes is refused."""
        sid, received_at, source, _, place, body = arrival.envelope
        code, detail = Code.UNDECODABLE, f"no machine takes this record of source {source}"
        try:
            event = decode_event(body)
            late = source == COLLECTION and abs(received_at - created_at(sid)) > START_WITHIN_MS
        except (Undecodable, ValueError) as error:
            detail = str(error)
        else:
            if source in {COLLECTION, BATCH} and (source == BATCH) == (place is not None):
                if event.type is EventType.SESSION_START and not late and (place is None or place.position == 0):
                    return self._begin(arrival, event)
                code, detail = Code.SESSION_CLOSED, DETAIL[Code.SESSION_CLOSED]
        self.outcome.add_reject(code, detail, arrival.offset, arrival.envelope)
        return None

    def _begin(self, arrival: Arrival, event: Event) -> Draft:
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
            self.end_batch(draft, envelope.batch, envelope.received_at)
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
        marks = MARKS[event.type]
        rank = 0 if draft.serial else RANK[event.type]
        if draft.doubtful:
            self._settle_doubtful(draft, event if marks & BOUNDARY else None, received - self._window_ms)
        wait(waiting, _new(Waiting, (event.ts, rank, offset, received, marks, arrival, event)))
        draft.waiting_bytes += len(envelope.event)
        while len(waiting) > self._window_events or draft.waiting_bytes > WAITING_BYTES:
            self.fold_first(draft)
        if marks & TIMED and waiting:
            self._deadlines.add(received + self._window_ms, draft.sid, window=True)

    def _leave_by_arrival(self, draft: Draft, passed: int) -> bool:
        """Let go what was received before `passed`, and whatever stands before it. False: that closed the session."""
        waiting = draft.waiting
        while waiting and (waiting[0].received < passed or must_leave(waiting, passed)):
            self.fold_first(draft)
        return draft.kind is Kind.OPEN

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
            if draft.kind is Kind.CLOSED and draft.knows(arrival.digest):
                self.outcome.duplicates += 1
            else:
                self.endings.refuse(draft, arrival)
            return
        draft.received = max(draft.received, received)
        event = self._distinct(draft, arrival)
        if event is not None:
            self.fold(draft, Waiting(event.ts, 0, offset, received, 0, arrival, event))
        self.end_batch(draft, place, envelope.received_at)

    def end_batch(self, draft: Draft, place: BatchPlace, received_at: int) -> None:
        """A batch is over with its last element, whatever that was."""
        if draft.kind is not Kind.OPEN or draft.next_position < place.of:
            return
        if draft.sid in self.excluded.expiries:
            self.endings.strike(draft)
        else:
            session = self.session(draft, None)
            self.endings.end(draft, session, CloseReason.END, received_at, draft.received)

    def _reopen(self, draft: Draft, arrival: Arrival) -> None:
        """A missing element has come: the rows it changes go out again, as revisions."""
        machine.reopen(self.session(draft, arrival.offset))
        draft.kind = Kind.OPEN
        draft.cap_from = draft.received = arrival.received
        draft.deadline = self.endings.deadline(draft)
        self._deadlines.add(draft.deadline, draft.sid, window=False)

    def _distinct(self, draft: Draft, arrival: Arrival) -> Event | None:
        """The event, if it is one: not a repeat, and readable."""
        body, digest = arrival.envelope.event, arrival.digest
        # find: "in" makes an error of each miss and throws it away, before it looks for bytes.
        if draft.digests.find(digest) >= 0 or digest == draft.start_digest:
            return self._meant_again(draft, arrival)
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

    def _meant_again(self, draft: Draft, arrival: Arrival) -> Event | None:
        """The event, if an ad boundary of its `ts` is, or will be, folded between its twin and itself.

        Players send the same play, pauseStart or bufferStart before and after such a boundary, and mean both. Where
        the boundary may be yet to come, because the posts of a parallel client overtook each other, it is kept
        aside.
        """
        digest, body = arrival.digest, arrival.envelope.event
        waiting = draft.waiting
        if draft.serial and not waiting and draft.boundary_ts is None:
            self.outcome.duplicates += 1
            return None
        event = decode_event(body)
        if event.type in MEANT_TWICE:
            boundaries = [item.offset for item in waiting if item.marks & BOUNDARY and item.ts == event.ts]
            twins = [item.offset for item in waiting if item.arrival.digest == digest]
            if twins:
                # Of a parallel client both would leave after every boundary of their ts: nothing stands between them.
                between = draft.serial and bool(boundaries) and max(boundaries) > max(twins)
            else:
                between = bool(boundaries) or (draft.boundary_ts == event.ts and not draft.repeated(digest))
            if between:
                return event
            if not draft.serial and len(body) <= DOUBTFUL_BYTES and len(draft.doubtful) < DOUBTFUL_EVENTS:
                rank = RANK[event.type]
                item = Waiting(event.ts, rank, arrival.offset, arrival.received, DOUBTFUL, arrival, event)
                draft.doubtful = [*draft.doubtful, item]
                draft.changed = True
                return None
        self.outcome.duplicates += 1
        return None

    def _settle_doubtful(self, draft: Draft, boundary: Event | None, passed: int) -> None:
        """A boundary that arrives gives the repeats of its `ts` a meaning if their twins are folded already.

        A repeat whose own window has passed without one was a double after all.
        """
        doubtful, draft.doubtful = draft.doubtful, ()
        twins = {item.arrival.digest for item in draft.waiting}
        for item in doubtful:
            digest = item.arrival.digest
            if item.received < passed:
                self.outcome.duplicates += 1
            elif boundary is not None and item.ts == boundary.ts and digest not in twins:
                wait(draft.waiting, item._replace(marks=MARKS[EventType.PLAY]))
                draft.received = max(draft.received, item.received)  # it was a sign of life after all
                draft.deadline = self.endings.deadline(draft)
                draft.waiting_bytes += len(item.arrival.envelope.event)
                twins.add(digest)
            else:
                draft.doubtful = [*draft.doubtful, item]
