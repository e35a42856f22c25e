"""A visit of a Roundware session: what is kept of it, and the intervals its numbers are made of. Times in epoch ms."""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from processors.roundware.reading import PAUSE, PLAY, duration_ms
from processors.roundware.rules import MAX_ASSETS, MAX_WAITING, RoundwareRules
from schemas.reports import CloseReason
from schemas.roundware import Listen

ESTIMATED: Final = "estimated"
HEARD_AS_LISTENING: Final = "heardAsListening"
STOP_WITHOUT_START: Final = "stopWithoutStart"
TRUNCATED: Final = "truncated"
UNCLOSED_LISTENING: Final = "unclosedListening"

Position = tuple[float, float]


class Mark(NamedTuple):
    """A listen start or stop. `client` is its client's clock, None if that cannot be read; `at` ours."""

    client: int | None
    at: int
    is_start: bool


@dataclass(slots=True)
class Play:
    """A listen event: `at` of its POST, the visit that is in, and `cut_at` the first listen stop after it."""

    listen: Listen
    at: int
    visit: int
    cut_at: int | None = None

    @property
    def is_estimated(self) -> bool:
        return self.listen.duration_seconds is None

    def until(self, end: int, next_at: int | None) -> int:
        """Where its interval ends, in a visit that ends at `end` and plays its asset again at `next_at`."""
        duration = self.listen.duration_seconds
        if duration is not None:
            return min(self.at + duration_ms(duration), end)
        return min(at for at in (self.cut_at, next_at, end) if at is not None)


@dataclass(slots=True)
class Asset:
    """What a visit heard of one asset."""

    plays: int = 0
    ms: int = 0
    estimated: int = 0


@dataclass(slots=True)
class Listening:
    """Whether the listener listens: `since` when (None: not), `ms` of what is over, `at` of the last start or stop."""

    ms: int = 0
    since: int | None = None
    at: int = 0
    stopped_twice: bool = False

    def switch(self, at: int, *, is_start: bool) -> None:
        """Start or stop, never before the last of them."""
        at = self.at = max(at, self.at)
        if is_start:
            self.since = at if self.since is None else self.since
        elif self.since is None:
            self.stopped_twice = True
        else:
            self.ms += at - self.since
            self.since = None


@dataclass(slots=True)
class Visit:
    """One visit. `stop_at`: where its client said it would end. The last members are set when it is closed.

    `marks` wait to enter `listening`. `recent`: digest and time of the newest events. `retired_ms`, `heard_ms` with
    `heard_until`, and `retired` hold the plays that are no longer kept one by one.
    """

    ordinal: int
    started_at: int
    stop_at: int | None = None
    is_first: bool = False
    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    listening: Listening = field(default_factory=Listening)
    first_position: Position | None = None
    last_position: Position | None = None
    meters: float = 0.0
    recent: list[tuple[str, int]] = field(default_factory=list)
    retired_ms: int = 0
    heard_ms: int = 0
    heard_until: int = 0
    retired: dict[int, Asset] = field(default_factory=dict)

    ended_at: int = 0
    closed_at: int | None = None
    reason: CloseReason | None = None
    revision: int = 0
    received_at: int = 0

    def flag(self, word: str) -> None:
        if word not in self.flags:
            self.flags.append(word)

    def mark(self, mark: Mark, rules: RoundwareRules) -> None:
        """Take a listen start or stop to its place among those that wait; some leave."""
        marks = self.marks
        if mark.client is None:
            self._leave(len(marks))
            self.listening.switch(mark.at, is_start=mark.is_start)
            return
        passed = [place for place, waiting in enumerate(marks) if waiting.at < mark.at - rules.reorder_window_ms]
        self._leave(passed[-1] + 1 if passed else 0)
        insort(marks, mark, key=lambda waiting: waiting.client or 0)
        self._leave(len(marks) - MAX_WAITING)

    def _leave(self, count: int) -> None:
        for mark in self.marks[: max(0, count)]:
            self.listening.switch(mark.at, is_start=mark.is_start)
        del self.marks[: max(0, count)]

    def retire(self, play: Play, later: Iterable[Play], end: int) -> None:
        """Take the oldest play into the sums; `end` is as far as the visit is known to go."""
        again = (next_.at for next_ in later if (next_.visit, next_.listen.asset) == (play.visit, play.listen.asset))
        until = play.until(end, next(again, None) if play.is_estimated else None)
        self.retired_ms += until - play.at
        self.heard_ms += max(0, until - max(play.at, self.heard_until))
        self.heard_until = max(self.heard_until, until)
        if play.is_estimated:
            self.flag(ESTIMATED)
        if not count_play(self.retired, play, until):
            self.flag(TRUNCATED)


class Measures(NamedTuple):
    """The numbers of a visit up to some moment, in milliseconds, and the flags that follow from them."""

    listening_ms: int
    asset_ms: int
    heard_ms: int
    assets: dict[int, Asset]
    flags: list[str]


def measure(visit: Visit, plays: Iterable[Play], end: int) -> Measures:
    """Measure a visit to `end`; nothing in it is changed. `plays` are the session's, in order of arrival."""
    flags = set(visit.flags)
    listening_ms = _listened(visit, end, flags)
    asset_ms, heard_ms, heard_until = visit.retired_ms, visit.heard_ms, visit.heard_until
    assets = {number: replace(asset) for number, asset in visit.retired.items()}
    for play, until in _intervals(visit, plays, end):
        asset_ms += until - play.at
        heard_ms += max(0, until - max(play.at, heard_until))
        heard_until = max(heard_until, until)
        if play.is_estimated:
            flags.add(ESTIMATED)
        if not count_play(assets, play, until):
            flags.add(TRUNCATED)
    if heard_ms and not visit.counts.keys() & {PLAY, PAUSE}:
        listening_ms = heard_ms
        flags.add(HEARD_AS_LISTENING)
    return Measures(listening_ms, asset_ms, heard_ms, assets, sorted(flags))


def _intervals(visit: Visit, plays: Iterable[Play], end: int) -> list[tuple[Play, int]]:
    """The plays of a visit in order, each with where it ends."""
    next_at: dict[int, int] = {}
    found = []
    for play in reversed(list(plays)):
        if play.visit == visit.ordinal:
            found.append((play, play.until(end, next_at.get(play.listen.asset))))
            next_at[play.listen.asset] = play.at
    return found[::-1]


def count_play(assets: dict[int, Asset], play: Play, until: int) -> bool:
    """Count a play under its asset; False if there are too many assets to name this one."""
    number = play.listen.asset
    asset = assets.get(number)
    if asset is None:
        if len(assets) >= MAX_ASSETS:
            return False
        asset = assets[number] = Asset()
    asset.plays += 1
    asset.ms += until - play.at
    asset.estimated += play.is_estimated
    return True


def _listened(visit: Visit, end: int, flags: set[str]) -> int:
    """Listening up to `end`, with the starts and stops that wait in the order they have now."""
    listening = replace(visit.listening)
    for mark in visit.marks:
        listening.switch(mark.at, is_start=mark.is_start)
    if listening.stopped_twice:
        flags.add(STOP_WITHOUT_START)
    if listening.since is None:
        return listening.ms
    flags.add(UNCLOSED_LISTENING)
    return listening.ms + max(0, end - listening.since)
