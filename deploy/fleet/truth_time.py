"""Where the time of one session went: a second reading of reports.md 4.1, 5.1, 5.2, 5.5 and 5.6.

Everything is kept as plain lists of what happened and summed when asked for: nothing is ever un-added, so a stall that
is found late only renames the spans it covers.
"""

from dataclasses import dataclass
from fractions import Fraction

MAX_RATE = 2
JUMP_SLACK_MS = 2_000
BLUR_MS = Fraction(1, 1000)
"""Players reckon in binary fractions: a microsecond beyond a limit is none."""
STALL_EVENTS = 3
STALL_MS = 3_000


@dataclass(slots=True)
class Span:
    """Time between two consecutive events, in milliseconds of the session's stopwatch.

    `bucket`: content, ad, pause, buffer, starting, gap (playing in a break with no ad open) or stall. `credited`: a gap
    after the first main play, which counts as content (reports.md 9, C2).
    """

    start: int
    end: int
    bucket: str
    ad: int | None
    chapter: int | None
    bitrate: float | None
    credited: bool = False

    @property
    def ms(self) -> int:
        return self.end - self.start


class Timeline:
    """The spans of one session, and the playheads its main content went through (in milliseconds of content)."""

    def __init__(self, playhead: float) -> None:
        self.now = 0
        self.position = place_ms(playhead)
        self.spans: list[Span] = []
        self.played: list[tuple[Fraction, Fraction]] = []
        self.seen: list[Fraction] = []
        self.seeks = 0
        self._left_at = self.position
        self.stalls = 0
        self.largest_gap_ms = 0
        self._run: _Run | None = None

    def elapse(self, at: int, bucket: str | None, ad: int | None, chapter: int | None, bitrate: float | None) -> None:
        """Put the time since the last event where the state before this one says (None: nowhere)."""
        if bucket is None:
            return
        self.largest_gap_ms = max(self.largest_gap_ms, at - self.now)
        if at > self.now:
            self.spans.append(Span(self.now, at, bucket, ad, chapter, bitrate))

    def main_event(
        self, at: int, playhead: float, *, playing: bool, boundary: bool, length_ms: Fraction | None
    ) -> None:
        """Take notice of a playhead received in main context. `playing`: the state before the event was play.

        `boundary`: the event opens a break; its playhead is the main position, but it is no event of a stall.
        """
        position = place_ms(playhead)
        moved = position - self.position
        is_jump = not -BLUR_MS <= moved <= self._farthest(at)
        if playing:
            self._interval(position, at - self.now, length_ms, is_jump=is_jump)
            self._left_at = position
        if boundary:
            self._run = None
        elif playing and self._run is not None and position == self._run.position:
            self._stand_still(at)
        else:
            self._run = _Run(position, at, len(self.spans))
        self.position = position

    def stand_at(self, playhead: float) -> None:
        """The session is completed: where its playhead stands is where a replay would begin, and no seek."""
        self.position = place_ms(playhead)

    def stands_at(self, at: int, playhead: float) -> bool:
        """Whether neither time nor content went on."""
        return at == self.now and place_ms(playhead) == self.position

    def runs_on(self, at: int, playhead: float) -> bool:
        """Whether the playhead went forward no further than playing takes it."""
        moved = place_ms(playhead) - self.position
        return 0 < moved <= self._farthest(at)

    def _farthest(self, at: int) -> Fraction:
        """How far playing can have taken the playhead."""
        return (at - self.now) * MAX_RATE + JUMP_SLACK_MS + BLUR_MS

    def begin_playing(self) -> None:
        """Play of the content begins or goes on: the point it starts from is played."""
        self.played.append((self.position, self.position))
        self.seen.append(self.position)
        self._left_at = self.position

    def resume(self) -> None:
        """The content goes on: a playhead moved meanwhile is one seek, unless it was only nudged (DECISIONS 32)."""
        self.seeks += abs(self.position - self._left_at) > JUMP_SLACK_MS + BLUR_MS
        self.begin_playing()

    def begin_run(self, at: int) -> None:
        """A run of unmoved playheads may begin here."""
        self._run = _Run(self.position, at, len(self.spans))

    def interrupt(self) -> None:
        """Pause, buffer, break or end: a run of unmoved playheads does not survive it."""
        self._run = None

    def sum_ms(self, *buckets: str, ad: int | None = None, chapter: int | None = None) -> int:
        return sum(
            span.ms
            for span in self.spans
            if span.bucket in buckets and ad in (None, span.ad) and chapter in (None, span.chapter)
        )

    def content_ms(self) -> int:
        return self.sum_ms("content") + sum(span.ms for span in self.spans if span.credited)

    def union(self) -> list[tuple[Fraction, Fraction]]:
        """The main playhead intervals played, merged, in milliseconds of content."""
        merged: list[tuple[Fraction, Fraction]] = []
        for low, high in sorted(self.played):
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return merged

    def unique_ms(self) -> Fraction:
        """What lies before the content's beginning is none of it."""
        zero = Fraction()
        return round(sum((max(high, zero) - max(low, zero) for low, high in self.union()), zero), 3)

    def mean_bitrate(self) -> float | None:
        """Time-weighted over main play; None where no bitrate was known while playing."""
        weighed = [span for span in self.spans if span.bucket == "content" and span.bitrate is not None]
        total = sum(span.ms for span in weighed)
        return sum((span.bitrate or 0) * span.ms for span in weighed) / total if total else None

    def _interval(self, position: Fraction, elapsed: int, length_ms: Fraction | None, *, is_jump: bool) -> None:
        if not is_jump:
            self.played.append((min(self.position, position), max(self.position, position)))
            return
        self.seeks += 1
        reached = self.position + elapsed
        if length_ms is not None:
            reached = min(reached, length_ms)
        if reached >= self.position:
            self.played.append((self.position, reached))
        self.played.append((position, position))

    def _stand_still(self, at: int) -> None:
        assert self._run is not None
        self._run.instants.append(at)
        if len(set(self._run.instants)) < STALL_EVENTS or at - self._run.instants[0] < STALL_MS:
            return
        for span in self.spans[self._run.first_span :]:
            if span.bucket == "content":
                span.bucket = "stall"
        if not self._run.is_stall:
            self._run.is_stall = True
            self.stalls += 1


class _Run:
    """Consecutive main events with one playhead while the state is play."""

    def __init__(self, position: Fraction, at: int, first_span: int) -> None:
        self.position = position
        self.instants = [at]
        self.first_span = first_span
        self.is_stall = False


def place_ms(seconds: float) -> Fraction:
    """A place in the content in milliseconds, exactly as it was written."""
    return Fraction(str(seconds)) * 1000
