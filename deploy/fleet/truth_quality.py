"""What a player told about quality, errors and player states: a second reading of reports.md 1.3, 1.4 and 5.6."""

from dataclasses import dataclass
from typing import Any

from deploy.fleet.truth_records import Told

BPS_FROM = 100_000
"""A bitrate from here on is taken as bits per second (reports.md 9, C8)."""

STATES_AT_MOST = 10
KNOWN_NAMES = {name.lower(): name for name in ("fullscreen", "mute", "closedCaptioning", "pictureInPicture", "inFocus")}
"""Documents and clients spell them differently; rows spell them one way (reports.md 1.4)."""


class Quality:
    """The quality values of one session, in the order they were told."""

    def __init__(self) -> None:
        self.bitrate: float | None = None
        self.is_bps = False
        self.bitrate_changes = 0
        self.errors = 0
        self.error_ids: dict[str, list[str]] = {"player": [], "external": []}
        self.dropped_frames: list[int] = []
        self.frames_per_second: float | None = None
        self.times_to_start: list[tuple[float, bool]] = []

    def notice(self, event: Told, *, up_to_first_play: bool) -> None:
        qoe = event.qoe
        bitrate = qoe.get("media.qoe.bitrate", qoe.get("bitrate"))
        if bitrate is not None and bitrate > 0:
            self.bitrate = bitrate / 1000 if bitrate >= BPS_FROM else bitrate
            self.is_bps = self.is_bps or bitrate >= BPS_FROM
        if "media.qoe.droppedFrames" in qoe:
            self.dropped_frames.append(qoe["media.qoe.droppedFrames"])
        if "media.qoe.framesPerSecond" in qoe:
            self.frames_per_second = qoe["media.qoe.framesPerSecond"]
        if "media.qoe.timeToStart" in qoe:
            self.times_to_start.append((qoe["media.qoe.timeToStart"], up_to_first_play))

    def count(self, event: Told) -> None:
        """Every change and every error counts, whenever it comes."""
        if event.type == "bitrateChange":
            self.bitrate_changes += 1
        if event.type == "error":
            self._error(event)

    def _error(self, event: Told) -> None:
        self.errors += 1
        name = event.qoe.get("media.qoe.errorID", event.params.get("media.errorId"))
        source = event.qoe.get("media.qoe.errorSource", event.params.get("media.errorSource"))
        known = self.error_ids["external" if source == "external" else "player"]
        if name is not None and name not in known:
            known.append(str(name))

    def time_to_start_ms(self) -> float | None:
        """The latest value up to and including the first main play, else the first one told."""
        early = [value for value, is_early in self.times_to_start if is_early]
        if early:
            return early[-1]
        return self.times_to_start[0][0] if self.times_to_start else None

    def dropped_frames_sum(self) -> int:
        """The sum of all increases: a player that starts again at 0 loses nothing here."""
        total = last = 0
        for value in self.dropped_frames:
            total += value - last if value >= last else value
            last = value
        return total


@dataclass(slots=True)
class PlayerState:
    """`since` is when it was switched on, or began to count again, on the session's stopwatch; `on_ts` its `ts`."""

    name: str
    count: int = 0
    ms: int = 0
    is_on: bool = False
    since: int = 0
    on_ts: int = 0


class PlayerStates:
    """Which player states were on, how often and how long. Names are one whatever their case."""

    def __init__(self) -> None:
        self.by_name: dict[str, PlayerState] = {}
        self.waits = False
        """The session is completed: what is on goes on counting if a replay comes."""

    def start(self, name: str, at: int, ts: int) -> bool:
        """False if one more would be too many."""
        state = self.by_name.get(name.lower())
        if state is None:
            if len(self.by_name) >= STATES_AT_MOST:
                return False
            state = self.by_name[name.lower()] = PlayerState(KNOWN_NAMES.get(name.lower(), name))
        if not state.is_on:
            state.is_on, state.since, state.on_ts = True, at, ts
            state.count += 1
        return True

    def end(self, name: str, at: int) -> None:
        state = self.by_name.get(name.lower())
        if state is not None and state.is_on:
            state.ms += 0 if self.waits else at - state.since
            state.is_on = False

    def hold(self, at: int) -> None:
        """The session closes: what is on counts up to here."""
        if not self.waits:
            for state in self._on():
                state.ms += at - state.since
        self.waits = True

    def go_on(self, at: int) -> None:
        """A play after sessionComplete: what is on still is; nothing accrued in between."""
        self.waits = False
        for state in self._on():
            state.since = at

    def any_on(self) -> bool:
        return bool(self._on())

    def on_since(self, name: str) -> int | None:
        """The `ts` at which a state was switched on, if it is on."""
        state = self.by_name.get(name.lower())
        return state.on_ts if state and state.is_on else None

    def apply(self, event: Told, at: int, ts: int) -> bool:
        """False if a state was one too many."""
        started, ended = [], []
        if event.type == "stateStart":
            started = [event.params]
        elif event.type == "stateEnd":
            ended = [event.params]
        elif event.type == "statesUpdate":
            started, ended = event.params.get("statesStart", []), event.params.get("statesEnd", [])
        for state in ended:
            self.end(state["media.state.name"], at)
        taken = [self.start(state["media.state.name"], at, ts) for state in started]
        return all(taken)

    def rows(self, at: int) -> list[dict[str, Any]]:
        """As `mediaReporting.states`, in the order of their first start; open ones count up to `at`."""
        return [
            {
                "name": state.name,
                "isSet": True,
                "count": state.count,
                "ms": state.ms + (at - state.since if state.is_on and not self.waits else 0),
            }
            for state in self.by_name.values()
        ]

    def _on(self) -> list[PlayerState]:
        return [state for state in self.by_name.values() if state.is_on]
