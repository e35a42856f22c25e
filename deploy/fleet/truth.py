"""The expected rows of a session, from its accepted events alone: reports.md and topics.md read a second time.

Nothing here imports `ingest` or `processors`. One list of told events in, every row and every worker's reject out.

Where the contract leaves room, the truth accepts more than one value (each a `Loose` expectation beside its code):
- shares (`percentReached`, `percentUnique`) to half a percent; flags on rows but session-close;
- which rows but session-close and heartbeat carry `extras.lengthSeconds`; extras the contract gives no name, checked
  where their meaning is plain (`timeToStartMs`, `bufferAdMs`, ...), else any number;
- the player's own `ts` or the newest folded one as `timestamp` of a row that a late arrival made;
- of a close by still playhead: `closedAt` in the player's time or at the same moment of the door's clock;
  `secondsSinceLastCall` of it and of a cap;
- on heartbeats what only a close can know (`isDroppedBeforeStart`, `dropReason`, `hasResume`): there or not.
Not modelled, and never sent by the fleet: what passes a limit of a session's state, but player states. The audience
topic is not judged here.
"""

import copy
from collections.abc import Iterable
from typing import Any

from deploy.fleet import truth_clock, truth_order
from deploy.fleet.expectation import Anything, Maybe, OneOf
from deploy.fleet.outcome import Reject, Timeouts
from deploy.fleet.truth_order import Waiting
from deploy.fleet.truth_records import Told
from deploy.fleet.truth_reports import Reports
from deploy.fleet.truth_rows import Document, Moment, row
from deploy.fleet.truth_story import Story
from deploy.fleet.truth_subjects import Note
from schemas.session_ids import created_at

OPENS_WITHIN_MS = 120_000
DIGESTS = 16
STUB_MS = 600_000
FOREVER = 1 << 62


class SessionTruth:
    """What must come out of one session. `horizon`: how far the lane's clock is taken to have come, epoch ms."""

    def __init__(self, events: Iterable[Told], timeouts: Timeouts, horizon: int = FOREVER) -> None:
        self.timeouts = timeouts
        self.reports = Reports()
        self.rows = self.reports.rows
        self.rejects: list[Reject] = []
        self.folded: list[Told] = []
        self.story: Story | None = None
        self.closed = False
        self.open_folds = 1
        self._waiting: list[Waiting] = []
        self._known: list[str] = []
        self._next_index = 0
        self._newest: Told | None = None
        self._mute_until: int | None = None
        self._cap_from = 0
        self._over_at = 0
        self._broke_off = False
        for event in events:
            self._arrive(event)
        self._come_to(horizon)

    @property
    def is_open(self) -> bool:
        return self.story is not None and not self.closed and not self._broke_off

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
        self._expire_if_due(event.clock)
        if self._mute_until is not None:
            self._refuse_muted(event, self._mute_until)
        elif self.story is None:
            self._open(event)
        elif event.source == "batch":
            self._arrive_in_batch(event)
        else:
            self._arrive_live(event)

    def _open(self, event: Told) -> None:
        fresh = event.source == "batch" or abs(event.received_at - created_at(event.sid)) <= OPENS_WITHIN_MS
        if event.type != "sessionStart" or not fresh:
            self.rejects.append(Reject(event, "session_closed"))
            return
        if not event.params.get("media.id"):
            self._mute_until = event.clock + self.timeouts.cap + self.timeouts.grace
            self._refuse_muted(event, self._mute_until)
            return
        self.story = Story(event)
        self._newest, self._next_index = event, 1
        self._cap_from = event.arrived_at if event.source == "batch" else created_at(event.sid)
        self.reports.emit(self.story, [Note("session-start", None)], Moment(event.ts, event.received_at))
        if event.of == 1:
            self._finish_batch()

    def _refuse_muted(self, event: Told, until: int) -> None:
        """A session without a content id has no rows (reports.md 1, G13); a repeated upload is still no reject."""
        if event.index is not None:
            if event.index < self._next_index:
                return
            self._next_index = event.index + 1
        self.rejects.append(Reject(event, "empty_content_id" if event.clock <= until else "session_closed"))

    def _arrive_live(self, event: Told) -> None:
        assert self.story is not None
        window, waiting = self.timeouts.window, self._waiting
        while truth_order.row_is_due(waiting, event.clock, window):
            self._fold_first()
        is_forgotten = self.closed and event.clock > self._over_at + STUB_MS
        is_repeat = self._is_known(event) and not is_forgotten
        if is_repeat and (self.closed or event.type not in truth_order.REPEATABLE):
            return
        has_place = not is_repeat or self._repeat_has_place(event)
        if not has_place and truth_order.is_serial(self.story.start):
            return  # whatever a serial client posts after it follows it
        if not is_repeat and not self.closed:
            self._known = [*self._known, event.body][-DIGESTS:]
        if has_place and not self.closed:
            self._hear(event)
        while has_place and truth_order.is_due(waiting, event.arrived_at, window):
            self._fold_first()
        if self.closed:
            self.rejects.append(Reject(event, "session_closed"))
            return
        if has_place:
            truth_order.settle_repeats(waiting, event, window)
        waiting.append(Waiting(event, has_place))
        for one in waiting:
            if one.has_place:
                self._hear(one.event)
        while truth_order.is_full(waiting):
            self._fold_first()

    def _is_known(self, event: Told) -> bool:
        """Whether it is a repeat: of one of the last 16 distinct events, or of the start, which is never forgotten."""
        assert self.story is not None
        return event.body in self._known or event.body == self.story.start.body

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
        if self._broke_off:
            self._broke_off, self._cap_from = False, event.arrived_at
        self._hear(event)
        was_open, is_repeat = not self.closed, self._is_known(event)
        if not is_repeat or (was_open and self._is_meant(event)):
            self._fold(Waiting(event))
        if not is_repeat and was_open:
            self._known = [*self._known, event.body][-DIGESTS:]
        if self._next_index == event.of and not self.closed:
            self._finish_batch()

    def _hear(self, event: Told) -> None:
        """A sign of life. Doors' clocks differ: of two records the later one is the one received later."""
        if self._newest is None or event.arrived_at > self._newest.arrived_at:
            self._newest = event

    def _finish_batch(self) -> None:
        assert self.story is not None
        reason = "complete" if self.story.completed else "end"
        notes = [*self.story.close_open("sessionEnd"), Note("session-close", None, reason)]
        self.reports.emit(self.story, notes, Moment(self.story.last_ts, self._received_so_far()[-1]))
        self.closed = True

    def _fold_first(self) -> None:
        assert self.story is not None
        self._fold(truth_order.take_first(self._waiting, self.story))

    def _fold(self, one: Waiting) -> None:
        story, event = self.story, one.event
        assert story is not None
        if not one.has_place:
            return  # nothing gave the repeat a meaning in time: it was a double
        if not self.closed and event.source != "batch":
            self._expire_if_still(event)
        if self.closed:
            self.rejects.append(Reject(event, "session_closed"))
            return
        self.folded.append(event)
        self.open_folds += not self.reports.has_closed
        notes = story.fold(event)
        ts = story.last_ts if event.ts == story.last_ts else OneOf((story.last_ts, event.ts))
        moment = Moment(ts, event.received_at, is_dated=truth_clock.is_date(event.ts))
        self.reports.emit(story, notes, moment)
        self.reports.revise_chapters(story, moment)
        self.closed = story.closed
        assert self._newest is not None
        self._over_at = self._newest.arrived_at

    def _is_meant(self, repeat: Told) -> bool:
        """Whether the newest ad boundary folded has the same `ts`, and these bytes were folded before it and not since.

        A repeat that comes after a boundary of another `ts` is a double (DECISIONS 44).
        """
        boundaries = [event.ts for event in self.folded if event.type in truth_order.AD_BOUNDARIES]
        if repeat.type not in truth_order.REPEATABLE or boundaries[-1:] != [repeat.ts]:
            return False
        since = [event for event in self.folded if event.ts == repeat.ts]
        while since and since[-1].body != repeat.body:
            if since.pop().type in truth_order.AD_BOUNDARIES:
                return any(event.body == repeat.body for event in self.folded)
        return False

    def _expire_if_still(self, event: Told) -> None:
        assert self.story is not None
        if self.story.stands_still_ms(event) > self.timeouts.still + self.timeouts.grace:
            left = self.timeouts.still - (self.story.timeline.now - self.story.moved_at)
            deadline, on_our_clock = self.story.last_ts + left, self._received_so_far()[-1] + left
            # A deadline in the player's time: printed as such, or as the same moment on the door's clock.
            self._expire("timeoutStill", OneOf((deadline, on_our_clock)))

    def _received_so_far(self) -> tuple[int, int]:
        """`receivedAt` of the event folded last, and the highest of all that are folded."""
        assert self.story is not None
        received = [event.received_at for event in (self.story.start, *self.folded)]
        return received[-1], max(received)

    def _expire_if_due(self, clock: int) -> None:
        """Idle and cap, by the lane's clock before the record that moved it there is folded."""
        if self.story is None or self._newest is None or not self.is_open:
            return
        cap_at = self._cap_from + self.timeouts.cap
        if self.story.start.source == "batch":
            if clock > cap_at + self.timeouts.grace:
                self._break_off(cap_at)
            return
        if clock <= min(self._newest.arrived_at + self.timeouts.idle, cap_at) + self.timeouts.grace:
            return
        while self._waiting:
            self._fold_first()
        idle_at = self._newest.arrived_at + self.timeouts.idle
        if idle_at <= cap_at:
            self._expire("timeoutIdle", idle_at)
        else:
            self._expire("cap24h", cap_at)

    def _expire(self, reason: str, closed_at: Any) -> None:
        assert self.story is not None
        if self.closed:
            return  # what waited in the window ended it
        story = self.story
        assert self._newest is not None
        self._over_at = self._newest.arrived_at if reason == "timeoutStill" else closed_at + self.timeouts.grace
        since: Any = self.timeouts.idle / 1000 if reason == "timeoutIdle" else Anything()
        if story.completed:
            # A replay was cut off. Its session was completed: whether its last call counts is not said.
            reason, since = "complete", since if reason != "timeoutIdle" else OneOf((0, since))
        notes = [*story.close_open("timeout"), Note("session-close", None, reason)]
        stamp: Any = Maybe(closed_at) if story.completed else closed_at
        self.reports.emit(story, notes, Moment(story.last_ts, self._received_so_far()[-1], stamp, since))
        self.closed = True

    def _break_off(self, closed_at: int) -> None:
        """The rest of a batch has not come: it is reported as if it ended here, and goes on if the rest comes."""
        story = copy.deepcopy(self.story)
        assert story is not None
        story.flags.add("incompleteBatch")
        reason = "complete" if story.completed else "cap24h"
        notes = [*story.close_open("timeout"), Note("session-close", None, reason)]
        moment = Moment(story.last_ts, self._received_so_far()[-1], closed_at, Anything())
        self.reports.emit_part(story, notes, moment)
        self._broke_off = True

    def _come_to(self, horizon: int) -> None:
        """Let the clock run on after the last record."""
        self._expire_if_due(horizon)
        while not self.closed and truth_order.row_is_due(self._waiting, horizon, self.timeouts.window):
            self._fold_first()
        if self.closed:
            while self._waiting:
                self._fold_first()
