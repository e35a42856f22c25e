"""One session's events folded in their final order: a second reading of reports.md 3 and 4.

Written for the eye, not for speed. It says which rows an event makes; `truth_rows` says what stands in them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from deploy.fleet.truth_playback import Playback
from deploy.fleet.truth_quality import PlayerStates, Quality
from deploy.fleet.truth_records import Told
from deploy.fleet.truth_time import Timeline

AD_INFO = ("media.ad.id", "media.ad.name", "media.ad.length", "media.ad.podPosition")
BREAK_INFO = ("media.ad.podIndex", "media.ad.podSecond", "media.ad.podFriendlyName")
CHAPTER_INFO = (
    "media.chapter.index",
    "media.chapter.offset",
    "media.chapter.length",
    "media.chapter.friendlyName",
)


@dataclass(slots=True)
class Subject:
    """An ad or a chapter: `told` opened it. `reason` is None while it is open."""

    instance: int
    told: Told
    started_at: int
    pod: Told | None = None
    ended_at: int | None = None
    reason: str | None = None


class Note(NamedTuple):
    """A row to be made now. `subject` is the ad or chapter it is about, None for the session itself."""

    kind: str
    subject: Subject | None
    reason: str | None = None


@dataclass(slots=True)
class Opening:
    """What is open, with the instant it was opened."""

    pod: Told | None = None
    pod_at: int = 0
    ad: Subject | None = None
    chapter: Subject | None = None


@dataclass(slots=True)
class Story:
    """A session as its folded events tell it."""

    start: Told
    timeline: Timeline = field(init=False)
    playback: Playback = field(default_factory=Playback)
    opening: Opening = field(default_factory=Opening)
    quality: Quality = field(default_factory=Quality)
    states: PlayerStates = field(default_factory=PlayerStates)
    ads: list[Subject] = field(default_factory=list)
    chapters: list[Subject] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    told_playhead: float = field(init=False)
    moved_at: int = field(init=False)
    first_play_at: int | None = None
    first_play_position: int = 0
    startup_ms: int = 0
    completed: bool = False
    closed: bool = False
    break_ended_at: int | None = None
    folded: int = 0

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.start.ts, self.start.playhead)
        self.told_playhead, self.moved_at = self.start.playhead, self.start.ts
        self.quality.notice(self.start, up_to_first_play=True)

    @property
    def last_ts(self) -> int:
        return self.timeline.last_ts

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
    def is_live(self) -> bool:
        return str(self.start.params.get("media.contentType", "")).lower() in ("live", "linear")

    def stands_still_ms(self, event: Told) -> int:
        """How long (by `ts`) the playhead, as told by whatever event, has not moved if this one were folded now."""
        return 0 if event.playhead != self.told_playhead else max(event.ts, self.last_ts) - self.moved_at

    def fold(self, event: Told) -> list[Note]:
        """Take the next event of the final order; the rows it makes, in order."""
        self.folded += 1
        at = max(event.ts, self.last_ts)
        if event.ts < self.last_ts:
            self.flags.add("clockSkew")
        notes = self._fold_at(event, at)
        self.timeline.last_ts = at
        if event.playhead != self.told_playhead:
            self.told_playhead, self.moved_at = event.playhead, at
        return notes

    def _fold_at(self, event: Told, at: int) -> list[Note]:
        self._infer_play(event, at)
        self._elapse(at)
        if self.playback.state == "completed" and event.type not in ("play", "sessionComplete", "sessionEnd"):
            return []  # nothing accrues after sessionComplete until a play (topics.md 3)
        if self.context == "main" and self.playback.state != "completed":
            self._main_playhead(event, at)
        self.quality.notice(event, up_to_first_play=self.first_play_at is None)
        self.states.apply(event, at)
        notes = self._apply(event, at)
        if self.playback.state != "play" or self.context != "main":
            self.timeline.interrupt()
        return notes

    def close_open(self, reason: str) -> list[Note]:
        """Close what is open, at the last folded `ts`."""
        return self._close_open(self.last_ts, reason)

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
            self._first_play(ended_at)
            self.playback.enter("play", ended_at)
            self.timeline.start_playing(ended_at, already=False)

    def _main_playhead(self, event: Told, at: int) -> None:
        self.timeline.main_event(
            at,
            event.playhead,
            playing=self.playback.state == "play",
            boundary=event.type == "adBreakStart",
            length_ms=round(self.length * 1000) if self.length is not None else None,
        )
        if self.first_play_at is not None or event.type == "play":
            self.timeline.seen.append(self.timeline.position)

    def _first_play(self, at: int) -> None:
        if self.first_play_at is None:
            self.first_play_at = at
            self.first_play_position = self.timeline.position
            self.startup_ms = at - self.start.ts - self.timeline.sum_ms("ad") - self.timeline.sum_ms("pause")

    def _apply(self, event: Told, at: int) -> list[Note]:
        match event.type:
            case "play":
                self._play(event, at)
            case "pauseStart" | "bufferStart":
                if self.playback.state != "completed":
                    self.playback.enter("pause" if event.type == "pauseStart" else "buffer", at)
            case "adBreakStart":
                return self._open_break(event, at)
            case "adBreakComplete":
                return self._close_break(at)
            case "adStart":
                return self._open_ad(event, at)
            case "adComplete" | "adSkip":
                return self._close_ad(at, "complete" if event.type == "adComplete" else "skip")
            case "chapterStart":
                return self._open_chapter(event, at)
            case "chapterComplete" | "chapterSkip":
                return self._close_chapter(at, "complete" if event.type == "chapterComplete" else "skip")
            case "sessionComplete" | "sessionEnd":
                return self._finish(event, at)
        return []

    def _play(self, event: Told, at: int) -> None:
        if self.context != "ad":
            self._first_play(at)
        if self.playback.state == "completed":
            self.timeline.position = round(event.playhead * 1000)
            self.states.go_on(at)
        already = self.playback.state == "play"
        self.playback.enter("play", at)
        if self.context == "main":
            self.timeline.start_playing(at, already=already)

    def _finish(self, event: Told, at: int) -> list[Note]:
        notes = self._close_open(at, "sessionEnd")
        self.playback.state = "completed"
        self.completed = self.completed or event.type == "sessionComplete"
        self.closed = event.type == "sessionEnd"
        return [*notes, Note("session-close", None, "complete" if self.completed else "end")]

    def _open_break(self, event: Told, at: int) -> list[Note]:
        if _same(self.opening.pod, event, BREAK_INFO):
            return []
        notes = self._close_ad(at, "implicitSkip")
        if self.opening.pod is not None:
            self.flags.add("unclosedBreak")
        self.opening.pod, self.opening.pod_at = event, at
        return notes

    def _close_break(self, at: int) -> list[Note]:
        if self.opening.pod is None:
            return []
        notes = self._close_ad(at, "implicitSkip")
        self.opening.pod = None
        if self.first_play_at is None:
            self.playback.state = "starting"
            self.break_ended_at = at
        return notes

    def _open_ad(self, event: Told, at: int) -> list[Note]:
        if self.opening.pod is None or not event.params.get("media.ad.id"):
            return []
        if self.opening.ad is not None and _same(self.opening.ad.told, event, AD_INFO):
            return []
        notes = self._close_ad(at, "implicitSkip")
        ad = Subject(len(self.ads) + 1, event, at, pod=self.opening.pod)
        self.ads.append(ad)
        self.opening.ad = ad
        self.playback.enter("play", at)  # a starting ad plays by itself (reports.md 4.2)
        return [*notes, Note("ad-start", ad)]

    def _close_ad(self, at: int, reason: str) -> list[Note]:
        ad, self.opening.ad = self.opening.ad, None
        if ad is None:
            return []
        ad.ended_at, ad.reason = at, reason
        return [Note("ad-close", ad, reason)]

    def _open_chapter(self, event: Told, at: int) -> list[Note]:
        if self.opening.chapter is not None and _same(self.opening.chapter.told, event, CHAPTER_INFO):
            return []
        notes = self._close_chapter(at, "implicitSkip")
        self.opening.chapter = Subject(len(self.chapters) + 1, event, at)
        self.chapters.append(self.opening.chapter)
        return notes

    def _close_chapter(self, at: int, reason: str) -> list[Note]:
        chapter, self.opening.chapter = self.opening.chapter, None
        if chapter is None:
            return []
        chapter.ended_at, chapter.reason = at, reason
        return [Note("chapter-close", chapter, reason)]

    def _close_open(self, at: int, reason: str) -> list[Note]:
        notes = self._close_ad(at, reason)
        if self.opening.pod is not None:
            self.flags.add("unclosedBreak")
            self.opening.pod = None
        notes += self._close_chapter(at, reason)
        self.states.hold(at)
        return notes


def _same(active: Told | None, repeated: Told, info: tuple[str, ...]) -> bool:
    return active is not None and all(active.params.get(key) == repeated.params.get(key) for key in info)
