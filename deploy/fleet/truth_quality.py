"""What a player told about quality, errors and player states: a second reading of reports.md 1.3, 1.4 and 5.6."""

from dataclasses import dataclass
from typing import Any

from deploy.fleet.truth_records import Told

BPS_FROM = 100_000
"""A bitrate from here on is taken as bits per second (reports.md 9, C8)."""

STATES_AT_MOST = 10


class Quality:
    """The quality values of one session, in the order they were told."""

    def __init__(self) -> None:
        self.bitrate: float | None = None
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
        if "media.qoe.droppedFrames" in qoe:
            self.dropped_frames.append(qoe["media.qoe.droppedFrames"])
        if "media.qoe.framesPerSecond" in qoe:
            self.frames_per_second = qoe["media.qoe.framesPerSecond"]
        if "media.qoe.timeToStart" in qoe:
            self.times_to_start.append((qoe["media.qoe.timeToStart"], up_to_first_play))
        if event.type == "bitrateChange":
            self.bitrate_changes += 1
        if event.type == "error":
            self._error(event)

    def _error(self, event: Told) -> None:
        self.errors += 1
        name = event.params.get("media.errorId", event.qoe.get("media.qoe.errorID"))
        source = event.params.get("media.errorSource", event.qoe.get("media.qoe.errorSource"))
        known = self.error_ids.get(str(source))
        if name is not None and known is not None and name not in known:
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
    name: str
    count: int = 0
    ms: int = 0
    since: int | None = None
    is_held: bool = False
    """Still on when the session was completed: it goes on counting if a replay comes."""


class PlayerStates:
    """Which player states were on, how often and how long. Names are one whatever their case."""

    def __init__(self) -> None:
        self.by_name: dict[str, PlayerState] = {}

    def start(self, name: str, at: int) -> None:
        state = self.by_name.get(name.lower())
        if state is None:
            if len(self.by_name) >= STATES_AT_MOST:
                return
            state = self.by_name[name.lower()] = PlayerState(name)
        if state.since is None:
            state.since = at
            state.count += 1

    def end(self, name: str, at: int) -> None:
        state = self.by_name.get(name.lower())
        if state is not None and state.since is not None:
            state.ms += at - state.since
            state.since = None

    def hold(self, at: int) -> None:
        """The session closes: what is on counts up to here."""
        for state in self.by_name.values():
            if state.since is not None:
                state.ms += at - state.since
                state.since, state.is_held = None, True

    def go_on(self, at: int) -> None:
        """A play after sessionComplete: what was on still is; nothing accrued in between."""
        for state in self.by_name.values():
            if state.is_held:
                state.since, state.is_held = at, False

    def since(self, name: str) -> int | None:
        state = self.by_name.get(name.lower())
        return state.since if state else None

    def apply(self, event: Told, at: int) -> None:
        if event.type == "stateStart":
            self.start(event.params["media.state.name"], at)
        elif event.type == "stateEnd":
            self.end(event.params["media.state.name"], at)
        elif event.type == "statesUpdate":
            for ended in event.params.get("statesEnd", []):
                self.end(ended["media.state.name"], at)
            for started in event.params.get("statesStart", []):
                self.start(started["media.state.name"], at)

    def rows(self, at: int) -> list[dict[str, Any]]:
        """As `mediaReporting.states`, in the order of their first start; open ones count up to `at`."""
        return [
            {
                "name": state.name,
                "isSet": True,
                "count": state.count,
                "ms": state.ms + (at - state.since if state.since is not None else 0),
            }
            for state in self.by_name.values()
        ]
