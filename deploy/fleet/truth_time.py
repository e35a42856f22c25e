"""Where the time of one session went: a second reading of reports.md 4.1, 5.1, 5.2, 5.5 and 5.6.

Everything is kept as plain lists of what happened and summed when asked for: nothing is ever un-added, so a stall that
is found late only renames the spans it covers.
"""

from dataclasses import dataclass

MAX_RATE = 2
JUMP_SLACK_MS = 2_000
STALL_EVENTS = 3
STALL_MS = 3_000


@dataclass(slots=True)
class Span:
    """Time between two consecutive events, in milliseconds of the player's clock.

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

    def __init__(self, ts: int, playhead: float) -> None:
        self.last_ts = ts
        self.position = _content_ms(playhead)
        self.spans: list[Span] = []
        self.played: list[tuple[int, int]] = []
        self.seen: list[int] = []
        self.jumps = 0
        self.jumps_not_playing = 0
        self.stalls = 0
        self.largest_gap_ms = 0
        self._run: _Run | None = None

    def elapse(self, at: int, bucket: str | None, ad: int | None, chapter: int | None, bitrate: float | None) -> None:
        """Put the time since the last event where the state before this one says (None: nowhere)."""
        if bucket is None:
            return
        self.largest_gap_ms = max(self.largest_gap_ms, at - self.last_ts)
        if at > self.last_ts:
            self.spans.append(Span(self.last_ts, at, bucket, ad, chapter, bitrate))

    def main_event(self, at: int, playhead: float, *, playing: bool, boundary: bool, length_ms: int | None) -> None:
        """Take notice of a playhead received in main context. `playing`: the state before the event was play.

        `boundary`: the event opens a break; its playhead is the main position, but it is no event of a stall.
        """
        position = _content_ms(playhead)
        is_jump = not (position == self.position or self.runs_on(at, playhead))
        if playing:
            self._interval(position, at - self.last_ts, length_ms, is_jump=is_jump)
        else:
            self.jumps_not_playing += is_jump
        if boundary:
            self._run = None
        elif playing and self._run is not None and position == self._run.position:
            self._stand_still(at)
        else:
            self._run = _Run(position, at, len(self.spans))
        self.position = position

    def stands_at(self, at: int, playhead: float) -> bool:
        """Whether neither time nor content went on."""
        return at == self.last_ts and _content_ms(playhead) == self.position

    def runs_on(self, at: int, playhead: float) -> bool:
        """Whether the playhead went forward no further than playing takes it."""
        moved = _content_ms(playhead) - self.position
        return 0 < moved <= (at - self.last_ts) * MAX_RATE + JUMP_SLACK_MS

    def start_playing(self, at: int, *, already: bool) -> None:
        """A main `play`: the point it starts from is played, and a run of unmoved playheads may begin here."""
        self.played.append((self.position, self.position))
        if not already:
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

    def union(self) -> list[tuple[int, int]]:
        """The main playhead intervals played, merged, in milliseconds of content."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(self.played):
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return merged

    def unique_ms(self) -> int:
        return sum(high - low for low, high in self.union())

    def mean_bitrate(self) -> float | None:
        """Time-weighted over main play; None where no bitrate was known while playing."""
        weighed = [span for span in self.spans if span.bucket == "content" and span.bitrate is not None]
        total = sum(span.ms for span in weighed)
        return sum((span.bitrate or 0) * span.ms for span in weighed) / total if total else None

    def _interval(self, position: int, elapsed: int, length_ms: int | None, *, is_jump: bool) -> None:
        if not is_jump:
            self.played.append((self.position, position))
            return
        self.jumps += 1
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

    def __init__(self, position: int, at: int, first_span: int) -> None:
        self.position = position
        self.instants = [at]
        self.first_span = first_span
        self.is_stall = False


def _content_ms(playhead: float) -> int:
    return round(playhead * 1000)
