"""Where in the content the player was: stretches played, seeks, unique time, progress markers, segment."""

from bisect import bisect_left, bisect_right, insort
from math import ceil, floor, inf
from typing import Final

from processors.session import flags
from processors.session.rules import MAX_INTERVALS, Rules
from processors.session.state import Session

THRESHOLDS: Final = (10, 25, 50, 75, 95)
BLUR: Final = 1e-6
"""Seconds by which binary fractions may miss the playheads as written: less is no difference."""
_LIVE: Final = frozenset({"live", "linear"})
_BITS: Final = tuple((1 << n) - 1 for n in range(len(THRESHOLDS) + 1))


def begin(session: Session, playhead: float, rules: Rules) -> None:
    """The main content begins to play, here."""
    session.low = session.high = session.played_from = session.played_to = playhead
    live = str(session.told().get("dims", {}).get("contentType", "")).casefold() in _LIVE
    wanted = rules.live_markers
    from_zero = wanted == "fromZero" and 0 <= playhead <= rules.live_zero_seconds
    session.with_markers = session.length > 0 and (not live or wanted == "always" or from_zero)
    if session.with_markers:
        _mark(session, playhead, playhead)


def resume(session: Session, playhead: float, rules: Rules) -> None:
    """Play goes on, here: after a pause the playhead may have been moved."""
    moved = playhead - session.played_to
    if not moved:
        return
    if abs(moved) > rules.seek_slack_seconds + BLUR:
        session.seek_count += 1
    _start_anew(session, playhead)


def replay(session: Session, playhead: float) -> None:
    """Play begins again after the end, here: no seek."""
    session.low, session.high = min(session.low, playhead), max(session.high, playhead)
    if playhead != session.played_to:
        _start_anew(session, playhead)


def play(session: Session, start: float, end: float, gap_ms: int, rules: Rules) -> None:
    """The main content played for `gap_ms` while its playhead went from `start` to `end`."""
    moved = end - start
    elapsed = gap_ms / 1000
    if -BLUR <= moved <= elapsed * rules.max_rate + rules.seek_slack_seconds + BLUR:
        session.played_to = end
        if session.with_markers and (end + BLUR) * 100 >= session.next_marker:
            _mark(session, start, end)
        return
    until = start + elapsed
    if session.length > 0:
        until = min(until, max(session.length, start))
    session.played_to = max(session.played_to, until)
    if session.with_markers:
        _mark(session, start, until)
    session.seek_count += 1
    _start_anew(session, end)


def _start_anew(session: Session, playhead: float) -> None:
    _keep(session)
    session.played_from = session.played_to = playhead
    if session.with_markers:
        _mark(session, playhead, playhead)


def _mark(session: Session, start: float, end: float) -> None:
    """Set what lies in this stretch, both ends included."""
    length = session.length
    first = bisect_left(THRESHOLDS, (start - BLUR) * 100 / length)
    last = bisect_right(THRESHOLDS, (end + BLUR) * 100 / length)
    session.crossed |= _BITS[last] & ~_BITS[first]
    session.next_marker = THRESHOLDS[last] * length if last < len(THRESHOLDS) else inf


def _keep(session: Session) -> None:
    """Put the current stretch among the others: sorted, never overlapping, at most so many."""
    session.intervals = intervals = stretches(session)
    if len(intervals) > MAX_INTERVALS:
        session.flags |= flags.TRUNCATED
        del intervals[min(range(len(intervals)), key=lambda n: intervals[n][1] - intervals[n][0])]


def stretches(session: Session) -> list[tuple[float, float]]:
    """What of the content has been played at least once: (from, to) in seconds, sorted, apart."""
    low, high = max(session.played_from, 0.0), session.played_to
    if not session.played or high <= low:
        return list(session.intervals)
    apart = []
    for start, end in session.intervals:
        if end < low or start > high:
            apart.append((start, end))
        else:
            low, high = min(low, start), max(high, end)
    insort(apart, (low, high))
    return apart


def unique_seconds(session: Session) -> float:
    return round(sum(end - start for start, end in stretches(session)), 6)


def segment(session: Session, rules: Rules) -> str:
    """The minutes of content seen, rounded out: `[0-1]`."""
    minutes = rules.segment_minutes
    size = 60 * minutes
    return f"[{floor(session.low / size) * minutes}-{ceil(session.high / size) * minutes}]"


def reached(session: Session) -> int:
    """The markers at or below the furthest playhead seen, as bits."""
    if not session.with_markers:
        return 0
    return _BITS[bisect_right(THRESHOLDS, (session.high + BLUR) * 100 / session.length)]


def markers(bits: int) -> list[int]:
    return [threshold for place, threshold in enumerate(THRESHOLDS) if bits >> place & 1]
