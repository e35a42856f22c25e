"""One session's events folded in their final order: a second reading of reports.md 3 and 4.

Written for the eye, not for speed. It says which rows an event makes; `truth_rows` says what stands in them.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from deploy.fleet import truth_clock
from deploy.fleet.truth_playback import Playback
from deploy.fleet.truth_quality import PlayerStates, Quality
from deploy.fleet.truth_records import Told
from deploy.fleet.truth_subjects import AD_INFO, BREAK_INFO, CHAPTER_INFO, Note, Opening, Subject, same
from deploy.fleet.truth_time import Timeline, place_ms

LIVE_FROM_ZERO_MS = 10_000
LONG_GAP_MS = 60_000


@dataclass(slots=True)
class Story:
    """A session as its folded events tell it.

    `last_ts` is the newest `ts`. What lasts is measured on a stopwatch of the session's own, in milliseconds since its
    start: `at` and the instants it is kept under are times of that stopwatch.
    """

    start: Told
    last_ts: int = field(init=False)
    timeline: Timeline = field(init=False)
    playback: Playback = field(default_factory=Playback)
    opening: Opening = field(default_factory=Opening)
    quality: Quality = field(default_factory=Quality)
    states: PlayerStates = field(default_factory=PlayerStates)
    ads: list[Subject] = field(default_factory=list)
    chapters: list[Subject] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    told_playhead: float = field(init=False)
    moved_at: int = 0
    first_play_at: int | None = None
    first_play_position: Fraction = Fraction()
    startup_ms: int = 0
    completed: bool = False
    closed: bool = False
    break_ended_at: int | None = None
    folded: int = 0

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.start.playhead)
        self.last_ts, self.told_playhead = self.start.ts, self.start.playhead
        if not truth_clock.is_date(self.last_ts):
            self.flags.add("clockSkew")
        self.quality.notice(self.start, up_to_first_play=True)

    @property
    def context(self) -> str:
        if self.opening.ad is not None:
            return "ad"
        return "break" if self.opening.pod is not None else "main"

    @property
    def length(self) -> float | None:
        """The content's length in seconds; None where it cannot be divided by."""
        length = self.start.params.get("media.length")
        return length if length is not None and length > 0 else None

    @property
    def length_ms(self) -> Fraction | None:
        return place_ms(self.length) if self.length is not None else None

    @property
    def is_live(self) -> bool:
        return str(self.start.params.get("media.contentType", "")).lower() in ("live", "linear")

    @property
    def has_markers(self) -> bool:
        """Live and linear content has marks only if its player counts from zero, not from midnight (DECISIONS 37)."""
        return not self.is_live or 0 <= self.first_play_position <= LIVE_FROM_ZERO_MS

    def stands_still_ms(self, event: Told) -> int:
        """How long (by `ts`) the playhead, as told by whatever event, has not moved if this one were folded now."""
        if event.playhead != self.told_playhead:
            return 0
        return self.timeline.now - self.moved_at + truth_clock.tick(self.last_ts, event.ts).elapsed

    def fold(self, event: Told) -> list[Note]:
        """Take the next event of the final order; the rows it makes, in order."""
        self.folded += 1
        elapsed, self.last_ts, is_skewed = truth_clock.tick(self.last_ts, event.ts)
        if is_skewed:
            self.flags.add("clockSkew")
        at = self.timeline.now + elapsed
        notes = self._fold_at(event, at)
        self.timeline.now = at
        if event.playhead != self.told_playhead:
            self.told_playhead, self.moved_at = event.playhead, at
        return notes

    def _fold_at(self, event: Told, at: int) -> list[Note]:
        self._infer_play(event, at)
        if self.playback.state == "play" and at - self.timeline.now > LONG_GAP_MS:
            self.flags.add("longGap")
        self._elapse(at)
        is_over = self.playback.state == "completed"
        if self.context == "main":
            if is_over:
                self.timeline.stand_at(event.playhead)
            else:
                self._main_playhead(event, at)
        if not is_over or event.type == "play":  # nothing accrues after sessionComplete until a play (topics.md 3)
            self.quality.notice(event, up_to_first_play=self.first_play_at is None)
        self.quality.count(event)
        if not self.states.apply(event, at, self.last_ts):
            self.flags.add("truncated")
        notes = self._apply(event, at)
        if self.playback.state != "play" or self.context != "main":
            self.timeline.interrupt()
        return notes

    def close_open(self, reason: str) -> list[Note]:
        """Close what is open, at the last folded `ts`."""
        return self._close_open(self.timeline.now, reason)

    def _elapse(self, at: int) -> None:
        state, context = self.playback.state, self.context
        bucket: str | None = state
        if state == "completed":
            bucket = None
        elif state == "play":
            bucket = {"main": "content", "break": "gap", "ad": "ad"}[context]
        ad, chapter = self.opening.ad, self.opening.chapter
        spans = len(self.timeline.spans)
        self.timeline.elapse(
            at,
            bucket,
            ad.instance if ad else None,
            chapter.instance if chapter and context == "main" else None,
            self.quality.bitrate,
        )
        for span in self.timeline.spans[spans:]:
            span.credited = bucket == "gap" and self.first_play_at is not None

    def _infer_play(self, event: Told, at: int) -> None:
        """The playhead ran on right after a break although no play was told: it played from the break's end."""
        ended_at = self.break_ended_at
        if ended_at is None or self.playback.state != "starting" or self.context != "main":
            self.break_ended_at = None
            return
        if not self.timeline.stands_at(at, event.playhead):
            self.break_ended_at = None
        if at > ended_at and self.timeline.runs_on(at, event.playhead):
            self.flags.add("inferredPlay")
            self._first_play(ended_at)
            self.playback.enter("play", ended_at)
            self.timeline.begin_run(ended_at)

    def _main_playhead(self, event: Told, at: int) -> None:
        self.timeline.main_event(
            at,
            event.playhead,
            playing=self.playback.state == "play",
            boundary=event.type == "adBreakStart",
            length_ms=self.length_ms,
        )
        if self.first_play_at is not None:
            self.timeline.seen.append(self.timeline.position)

    def _first_play(self, at: int) -> None:
        if self.first_play_at is None:
            self.first_play_at = at
            self.first_play_position = self.timeline.position
            self.timeline.begin_playing()
            self.startup_ms = at - self.timeline.sum_ms("ad") - self.timeline.sum_ms("pause")

    def _apply(self, event: Told, at: int) -> list[Note]:
        match event.type:
            case "play":
                self._play(at)
            case "pauseStart" | "bufferStart":
                if self.playback.state != "completed":
                    self.playback.enter("pause" if event.type == "pauseStart" else "buffer", at)
            case "adBreakStart":
                return self._open_break(event)
            case "adBreakComplete":
                return self._close_break(at)
            case "adStart":
                return self._open_ad(event, at)
            case "adComplete" | "adSkip":
                return self._close_ad("complete" if event.type == "adComplete" else "skip")
            case "chapterStart":
                return self._open_chapter(event)
            case "chapterComplete" | "chapterSkip":
                return self._close_chapter("complete" if event.type == "chapterComplete" else "skip")
            case "sessionComplete" | "sessionEnd":
                return self._finish(event, at)
        return []

    def _play(self, at: int) -> None:
        if self.context != "ad":
            self._first_play(at)
        if self.playback.state == "completed":
            self.states.go_on(at)
            if self.first_play_at is not None:
                self.timeline.begin_playing()  # a replay is no seek
        was = self.playback.state
        self.playback.enter("play", at)
        if self.context == "main" and was != "play":
            self.timeline.resume()
            self.timeline.begin_run(at)

    def _finish(self, event: Told, at: int) -> list[Note]:
        notes = self._close_open(at, "sessionEnd")
        self.playback.state = "completed"
        self.completed = self.completed or event.type == "sessionComplete"
        self.closed = event.type == "sessionEnd"
        return [*notes, Note("session-close", None, "complete" if self.completed else "end")]

    def _open_break(self, event: Told) -> list[Note]:
        if same(self.opening.pod, event, BREAK_INFO):
            return []
        notes = self._close_ad("implicitSkip")
        if self.opening.pod is not None:
            self.flags.add("unclosedBreak")
        self.opening.pod, self.opening.pod_at = event, self.last_ts
        return notes

    def _close_break(self, at: int) -> list[Note]:
        if self.opening.pod is None:
            return []
        notes = self._close_ad("implicitSkip")
        self.opening.pod = None
        if self.first_play_at is None and self.playback.state != "completed":
            self.playback.state = "starting"
            self.break_ended_at = at
        elif self.playback.state == "play":
            self.timeline.resume()
        return notes

    def _open_ad(self, event: Told, at: int) -> list[Note]:
        if self.opening.pod is None:
            self.flags.add("ignoredAd")
            return []
        if not event.params.get("media.ad.id"):
            self.flags.add("ignoredAd")
            return self._close_ad("implicitSkip")  # a stranger's seconds are not the open ad's (DECISIONS 34)
        if self.opening.ad is not None and same(self.opening.ad.told, event, AD_INFO):
            return []
        notes = self._close_ad("implicitSkip")
        ad = Subject(len(self.ads) + 1, event, self.last_ts, pod=self.opening.pod)
        self.ads.append(ad)
        self.opening.ad = ad
        if self.playback.state != "completed":
            self.playback.enter("play", at)  # a starting ad plays by itself (reports.md 4.2)
        return [*notes, Note("ad-start", ad)]

    def _close_ad(self, reason: str) -> list[Note]:
        ad, self.opening.ad = self.opening.ad, None
        if ad is None:
            return []
        ad.ended_at, ad.reason = self.last_ts, reason
        return [Note("ad-close", ad, reason)]

    def _open_chapter(self, event: Told) -> list[Note]:
        if self.opening.chapter is not None and same(self.opening.chapter.told, event, CHAPTER_INFO):
            return []
        notes = self._close_chapter("implicitSkip")
        self.opening.chapter = Subject(len(self.chapters) + 1, event, self.last_ts)
        self.chapters.append(self.opening.chapter)
        return notes

    def _close_chapter(self, reason: str) -> list[Note]:
        chapter, self.opening.chapter = self.opening.chapter, None
        if chapter is None:
            return []
        chapter.ended_at, chapter.reason = self.last_ts, reason
        return [Note("chapter-close", chapter, reason)]

    def _close_open(self, at: int, reason: str) -> list[Note]:
        notes = self._close_ad(reason)
        if self.opening.pod is not None:
            self.flags.add("unclosedBreak")
            self.opening.pod = None
        notes += self._close_chapter(reason)
        self.states.hold(at)
        return notes
