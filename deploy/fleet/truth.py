"""The expected rows of a session, from its accepted events alone: reports.md and topics.md read a second time.

Nothing here imports `ingest` or `processors`. One list of told events in, every row and every worker's reject out.

Where the contract leaves room, the truth accepts more than one value (each a `Loose` expectation beside its code):
- shares (`percentReached`, `percentUnique`) to half a percent, capped at 100 or not; flags topics.md does not name;
- which rows but session-close and heartbeat carry `extras.lengthSeconds`; extras the contract gives no name, checked
  where their meaning is plain (`timeToStartMs`, `bufferAdMs`, ...), else any number;
- `seekCount` of jumps while playing (reports.md 5.2), or with those told as pauseStart ... play, each or some as one;
- the segment of played intervals (5.2) or of playheads seen (2.2) where a jump sets them apart;
- the player's own `ts` or the newest folded one as `timestamp` of a row that a late arrival made;
- of a close by still playhead: `closedAt` in the player's time or at the same moment of the door's clock, the last
  folded or last arrived record as `receivedAt`; `secondsSinceLastCall` of it and of a cap;
- on heartbeats what only a close can know (`isDroppedBeforeStart`, `dropReason`, `hasResume`): there or not.
Not modelled, and never sent by the fleet: ads and chapters between sessionComplete and the next play, batches whose
rest never comes, repeats known only by a stub that has expired. The audience topic is not judged here.
"""

import copy
from collections.abc import Iterable
from typing import Any

from deploy.fleet import truth_order
from deploy.fleet.expectation import Anything, Maybe, OneOf, differences, plain
from deploy.fleet.outcome import Expected, Reject, Timeouts
from deploy.fleet.truth_order import Waiting
from deploy.fleet.truth_records import Told
from deploy.fleet.truth_rows import Document, Moment, row
from deploy.fleet.truth_story import Note, Story
from schemas.session_ids import created_at

OPENS_WITHIN_MS = 120_000
DIGESTS = 16
FOREVER = 1 << 62


class SessionTruth:
    """What must come out of one session. `horizon`: how far the lane's clock is taken to have come, epoch ms."""

    def __init__(self, events: Iterable[Told], timeouts: Timeouts, horizon: int = FOREVER) -> None:
        self.timeouts = timeouts
        self.rows: list[Expected] = []
        self.rejects: list[Reject] = []
        self.folded: list[Told] = []
        self.story: Story | None = None
        self.closed = False
        self.open_folds = 1
        self._waiting: list[Waiting] = []
        self._known: list[str] = []
        self._next_index = 0
        self._last: Told | None = None
        self._closing: Document | None = None
        self._chapter_ms: dict[int, int] = {}
        for event in events:
            self._arrive(event)
        self._come_to(horizon)

    @property
    def is_open(self) -> bool:
        return self.story is not None and not self.closed

    def heartbeat(self, folded: int, instance: int) -> Document:
        """The heartbeat row after the first `folded` events of the final order, the start being the first."""
        assert self.story is not None
        story = Story(self.story.start)
        heard = [self.story.start, *self.folded[: folded - 1]]
        for event in heard[1:]:
            story.fold(event)
        newest = heard[-1]
        moment = Moment(
            OneOf((story.last_ts, newest.ts)),
            OneOf((newest.received_at, max(event.received_at for event in heard))),
        )
        document = row(story, Note("heartbeat", None), moment)
        document["_id"] = f"{story.start.sid}:heartbeat:{instance}:0"
        document["mediabeat"] |= {"instance": instance, "revision": 0}
        document["mediabeat"]["extras"]["foldedEvents"] = folded
        return document

    def _arrive(self, event: Told) -> None:
        if self.story is None:
            self._open(event)
        elif event.source == "batch":
            self._arrive_in_batch(event)
        else:
            self._expire_if_due(event.clock)
            self._arrive_live(event)

    def _open(self, event: Told) -> None:
        fresh = event.source == "batch" or event.received_at - created_at(event.sid) <= OPENS_WITHIN_MS
        if event.type != "sessionStart" or not fresh:
            self.rejects.append(Reject(event, "session_closed"))
            return
        self.story = Story(event)
        self._last, self._known, self._next_index = event, [event.body], 1
        self._emit([Note("session-start", None)], Moment(event.ts, event.received_at))

    def _arrive_live(self, event: Told) -> None:
        assert self.story is not None
        is_repeat = event.body in self._known
        if is_repeat and (self.closed or event.type not in truth_order.REPEATABLE):
            return
        if self.closed:
            self.rejects.append(Reject(event, "session_closed"))
            return
        window, waiting = self.timeouts.window, self._waiting
        has_place = not is_repeat or self._repeat_has_place(event)
        while truth_order.leaving(waiting, event, window):
            self._fold_first()
        if not is_repeat:
            self._last = event
            self._known = [*self._known, event.body][-DIGESTS:]
            truth_order.settle_repeats(waiting, event, window)
        waiting.append(Waiting(event, is_repeat, has_place))
        while truth_order.is_full(waiting):
            self._fold_first()

    def _repeat_has_place(self, repeat: Told) -> bool:
        assert self.story is not None
        serial = truth_order.is_serial(self.story.start)
        return truth_order.repeat_has_place(repeat, self._waiting, serial=serial, after_boundary=self._is_meant(repeat))

    def _arrive_in_batch(self, event: Told) -> None:
        """No window, no idle or still timeout; a repeated upload has indexes that came before."""
        assert event.index is not None
        if event.index < self._next_index:
            return
        self._next_index = event.index + 1
        self._last = event
        is_repeat = event.body in self._known
        self._fold(Waiting(event, is_repeat))
        if not is_repeat:
            self._known = [*self._known, event.body][-DIGESTS:]
        if self._next_index == event.of and not self.closed:
            self._finish_batch()

    def _finish_batch(self) -> None:
        assert self.story is not None
        assert self._last is not None
        reason = "complete" if self.story.completed else "end"
        notes = [*self.story.close_open("sessionEnd"), Note("session-close", None, reason)]
        self._emit(notes, Moment(self.story.last_ts, self._last.received_at))
        self.closed = True

    def _fold_first(self) -> None:
        assert self.story is not None
        self._fold(truth_order.take_first(self._waiting, self.story))

    def _fold(self, one: Waiting) -> None:
        story, event = self.story, one.event
        assert story is not None
        if one.is_repeat and not self._is_meant(event):
            return
        if not self.closed and event.source != "batch":
            self._expire_if_still(event)
        if self.closed:
            self.rejects.append(Reject(event, "session_closed"))
            return
        if one.is_repeat and self._last is not None and event.offset > self._last.offset:
            self._last = event
        self.folded.append(event)
        self.open_folds += self._closing is None
        notes = story.fold(event)
        ts = story.last_ts if event.ts == story.last_ts else OneOf((story.last_ts, event.ts))
        self._emit(notes, Moment(ts, event.received_at))
        self._revise_chapters(Moment(ts, event.received_at))
        self.closed = story.closed

    def _is_meant(self, repeat: Told) -> bool:
        """Whether an ad boundary of the same `ts` was folded since these bytes were last folded."""
        if repeat.type not in truth_order.REPEATABLE:
            return False
        since = [event for event in self.folded if event.ts == repeat.ts]
        while since and since[-1].body != repeat.body:
            if since.pop().type in truth_order.AD_BOUNDARIES:
                return any(event.body == repeat.body for event in self.folded)
        return False

    def _expire_if_still(self, event: Told) -> None:
        assert self.story is not None
        if self.story.stands_still_ms(event) > self.timeouts.still + self.timeouts.grace:
            deadline = self.story.moved_at + self.timeouts.still
            on_our_clock = self._received_so_far()[-1] + deadline - self.story.last_ts
            # A deadline in the player's time: printed as such, or as the same moment on the door's clock.
            self._expire("timeoutStill", OneOf((deadline, on_our_clock)))

    def _heard_at(self) -> int:
        """When the session was last heard of: by a waiting repeat only if it would turn out to be meant."""
        if not any(one.is_repeat for one in self._waiting):
            assert self._last is not None
            return self._last.arrived_at
        return copy.deepcopy(self).heard_when_all_is_folded()

    def heard_when_all_is_folded(self) -> int:
        while self._waiting:
            self._fold_first()
        assert self._last is not None
        return self._last.arrived_at

    def _received_so_far(self) -> tuple[int, int]:
        """`receivedAt` of the event folded last, and the highest of all that are folded."""
        assert self.story is not None
        received = [event.received_at for event in (self.story.start, *self.folded)]
        return received[-1], max(received)

    def _expire_if_due(self, clock: int) -> None:
        """Idle and cap, by the lane's clock before the record that moved it there is folded."""
        if self.story is None or self._last is None or not self.is_open or self.story.start.source == "batch":
            return
        cap_at = created_at(self.story.start.sid) + self.timeouts.cap
        if clock <= min(self._heard_at() + self.timeouts.idle, cap_at) + self.timeouts.grace:
            return
        while self._waiting:
            self._fold_first()
        idle_at = self._last.arrived_at + self.timeouts.idle
        if idle_at <= cap_at:
            self._expire("timeoutIdle", idle_at)
        else:
            self._expire("cap24h", cap_at)

    def _expire(self, reason: str, closed_at: Any) -> None:
        assert self.story is not None
        assert self._last is not None
        if self.closed:
            return  # what waited in the window ended it
        story = self.story
        since: Any = self.timeouts.idle / 1000 if reason == "timeoutIdle" else Anything()
        if story.completed:
            # A replay was cut off. Its session was completed: whether its last call counts is not said.
            reason, since = "complete", OneOf((0, self.timeouts.idle / 1000))
        notes = [*story.close_open("timeout"), Note("session-close", None, reason)]
        stamp: Any = Maybe(closed_at) if story.completed else closed_at
        # The session's last record: as it arrived, or the last one that was folded before it stood too long.
        received = OneOf((self._last.received_at, *self._received_so_far()))
        self._emit(notes, Moment(story.last_ts, received if reason == "timeoutStill" else received.plain, stamp, since))
        self.closed = True

    def _come_to(self, horizon: int) -> None:
        """Let the clock run on after the last record."""
        self._expire_if_due(horizon)
        while self._waiting and not self.closed and self._row_is_due(horizon):
            self._fold_first()
        if self.closed:
            while self._waiting:
                self._fold_first()

    def _row_is_due(self, horizon: int) -> bool:
        return any(
            one.event.type in truth_order.ROW_MAKERS and horizon > one.event.arrived_at + self.timeouts.window
            for one in self._waiting
        )

    def _emit(self, notes: list[Note], moment: Moment) -> None:
        assert self.story is not None
        for note in notes:
            document = row(self.story, note, moment)
            optional = False
            if note.kind == "session-close":
                numbers = _numbers(document)
                if plain(numbers) == self._closing:
                    continue  # sessionEnd, pings and expiry alone revise nothing
                optional = self._closing is not None and not any(differences(numbers, self._closing))
                self._closing = plain(numbers)
            self._add(note.kind, note.subject.instance if note.subject else 1, document, optional=optional)
            if note.kind == "chapter-close" and note.subject:
                self._chapter_ms[note.subject.instance] = document["mediabeat"]["extras"]["contentMs"]

    def _revise_chapters(self, moment: Moment) -> None:
        """A stall found after chapterComplete takes its time back out of that chapter."""
        assert self.story is not None
        for chapter in self.story.chapters:
            known = self._chapter_ms.get(chapter.instance)
            if known not in (None, self.story.timeline.sum_ms("content", chapter=chapter.instance)):
                self._emit([Note("chapter-close", chapter, chapter.reason)], moment)

    def _add(self, kind: str, instance: int, document: Document, *, optional: bool = False) -> None:
        assert self.story is not None
        revision = sum(known.kind == kind and known.instance == instance for known in self.rows)
        document["_id"] = f"{self.story.start.sid}:{kind}:{instance}:{revision}"
        document["mediabeat"]["revision"] = revision
        self.rows.append(Expected(kind, instance, revision, document, optional))


def _numbers(document: Document) -> Document:
    """What a replay can change in a session-close: all of it but when and by which record it was made."""
    reporting = dict(document["mediaReporting"])
    reporting["sessionDetails"] = {
        key: value for key, value in reporting["sessionDetails"].items() if key != "secondsSinceLastCall"
    }
    return {"reporting": reporting, "extras": document["mediabeat"]["extras"]}
