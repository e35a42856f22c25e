"""A media player that chance plays: what it tells is often sane, seldom wholly, and always something a door takes."""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.processors.partition import START_PARAMS, T0

__all__ = ["T0", "Player"]

STEPS = (0, 0, 0, 1, 1, 125, 500, 1_000, 1_000, 2_000, 3_000, 5_000, 10_000, 10_000)
SILENCES = (30_000, 60_000, 64_999, 65_000, 65_001, 125_000)
"""Milliseconds between two events."""
WEIGHTS = {
    "play": 6,
    "ping": 8,
    "pauseStart": 3,
    "bufferStart": 2,
    "adBreakStart": 3,
    "adStart": 4,
    "adComplete": 2,
    "adSkip": 1,
    "adBreakComplete": 3,
    "chapterStart": 3,
    "chapterComplete": 2,
    "chapterSkip": 1,
    "bitrateChange": 1,
    "error": 1,
    "stateStart": 1,
    "stateEnd": 1,
    "statesUpdate": 1,
    "sessionComplete": 0.5,
    "contentComplete": 0.5,
    "sessionEnd": 0.5,
}
BOUNDARIES = ("adBreakStart", "adStart", "adComplete", "adSkip", "adBreakComplete")
STILL = ("pauseStart", "bufferStart", "adBreakStart", "sessionComplete", "contentComplete", "sessionEnd")
LIBRARIES = ("ios-media-5.0.1", "android-media-3", "js-3.1.0", None)
LEAPS = (-1, -1_000, -20_000, 5_000, 30_000, 10**9, -(10**9), 604_800_000, 604_800_001)
"""By which a player's clock is set anew."""
NO_CLOCKS = (0, -1, -5, 1, 253_402_300_799_999, 253_402_300_800_000, -(2**63), 2**63 - 1)

Document = dict[str, Any]


@dataclass
class Player:
    """`wall`: the moment it is, in epoch ms; `ahead`: by how much its own clock differs. Playheads in seconds.

    `grain`: its playheads are multiples of 1 / `grain`; 0: binary fractions, as players reckon.
    """

    rng: random.Random
    wall: int
    ahead: int = 0
    playhead: float = 0.0
    grain: int = 8
    moving: bool = False
    wild: float = 0.3
    states: int = 2
    told: list[tuple[int, Document]] = field(default_factory=list)

    def perform(self, events: int) -> list[tuple[int, Document]]:
        """A sessionStart and so many events, some of them twice; each with its moment."""
        rng = self.rng
        self.ahead = rng.choice((0, 0, 0, -50, 86_400_000))
        self.grain = rng.choice((8, 8, 1_000, 0))
        self.wild = rng.choice((0.05, 0.3, 0.7))
        self.states = rng.choice((0, 2, 2, 15))
        self.playhead = rng.choice((5.0, 11.0, 50.0, 43_200.0, -1.0)) if rng.random() < 0.3 else 0.0
        self._start()
        for kind in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=events):
            self._pass(rng.choice(STEPS if rng.random() < 0.98 else SILENCES))
            self._tell(kind, self._params(kind))
            if kind in BOUNDARIES and rng.random() < 0.3:
                self._say_again()
            if kind in STILL:
                self.moving = False
            elif kind == "play" or (kind == "adBreakComplete" and rng.random() < 0.6):
                self.moving = True
        return self.told

    def _pass(self, step: int) -> None:
        rng = self.rng
        self.wall += step
        if rng.random() < 0.02:
            self.ahead += rng.choice(LEAPS)
        if rng.random() > self.wild:
            self.playhead += self._grained(step / 1000) if self.moving else 0
        else:
            self.playhead = rng.choice((self.playhead, *self._anywhere(step / 1000)))

    def _anywhere(self, seconds: float) -> tuple[float, ...]:
        """Where a playhead may be found that does not do what it should: standing, jumping, just within the limits."""
        here = self.playhead if self.grain else self.playhead + self.rng.random() * 5
        farthest = here + self._grained(seconds * 2) + 2
        jumps = (here - 0.5, here - 2, here - 10, float(self.rng.randrange(120)), 0.0)
        return (here, here, here + self._grained(seconds), here + 0.125, farthest, farthest + 0.125, *jumps)

    def _grained(self, seconds: float) -> float:
        return round(seconds * self.grain) / self.grain if self.grain else seconds

    def _start(self) -> None:
        rng = self.rng
        params: Document = dict(START_PARAMS)
        params["media.length"] = rng.choice((30, 60.5, 100, 100, 600, 0, -1, 86_400))
        params["media.contentType"] = rng.choice(("vod", "vod", "VOD", "live", "Linear", "audiobook"))
        if library := rng.choice(LIBRARIES):
            params["media.libraryVersion"] = library
        if rng.random() < 0.1:
            params["media.resume"] = rng.random() < 0.7
        if rng.random() < 0.1:
            params["media.id"] = rng.choice(("", "other"))
        self._tell("sessionStart", params)

    def _tell(self, kind: str, params: Document) -> None:
        rng = self.rng
        ts = rng.choice(NO_CLOCKS) if rng.random() < 0.005 else self.wall + self.ahead
        quality = self._quality(kind)
        if not params and rng.random() < 0.1:
            params, quality = quality, {}  # some pages of the manual put them there
        members = {"params": params, "qoeData": quality, "customMetadata": self._metadata(kind)}
        document = {"eventType": kind, "playerTime": {"playhead": self.playhead, "ts": ts}}
        self.told.append((self.wall, document | {name: member for name, member in members.items() if member}))

    def _say_again(self) -> None:
        """SDKs say the player's state again after an ad's boundary, byte for byte where no time has passed."""
        states = [told for _, told in self.told if told["eventType"] in ("play", "pauseStart", "bufferStart")]
        if states and states[-1]["playerTime"]["ts"] == self.wall + self.ahead:
            self.told.append((self.wall, states[-1]))
        else:
            self._tell(self.rng.choice(("play", "play", "pauseStart", "bufferStart")), {})

    def _params(self, kind: str) -> Document:
        rng = self.rng
        match kind:
            case "adBreakStart":
                pod: Document = {"media.ad.podIndex": rng.randrange(2), "media.ad.podSecond": rng.choice((0, 10.5))}
                return pod | self._perhaps(0.3, "media.ad.podFriendlyName", "pod")
            case "adStart":
                return self._ad()
            case "chapterStart":
                chapter: Document = {"media.chapter.index": rng.choice((1, 1, 2)), "media.chapter.length": 15}
                chapter["media.chapter.offset"] = rng.choice((0, 0, 10.5))
                return chapter | self._perhaps(0.3, "media.chapter.friendlyName", "one")
            case "stateStart" | "stateEnd":
                return self._state()
            case "statesUpdate":
                return {name: [self._state() for _ in range(rng.randrange(3))] for name in ("statesStart", "statesEnd")}
            case "error" if rng.random() < 0.4:
                return {"media.errorId": rng.choice(("e1", "e2"))} | self._source("media.errorSource")
        return {}

    def _ad(self) -> Document:
        rng = self.rng
        ad: Document = {"media.ad.id": rng.choice(("a", "a", "b", "c", "")), "media.ad.podPosition": rng.choice((1, 2))}
        ad["media.ad.length"] = rng.choice((15, 15, 7.5))
        ad |= self._perhaps(0.3, "media.ad.playerName", "ads") | self._perhaps(0.3, "media.ad.podFriendlyName", "of ad")
        return ad | self._perhaps(0.2, "media.ad.advertiser", rng.choice(("x", "y")))

    def _state(self) -> Document:
        names = ("mute", "mute", "Mute", "fullScreen", "custom", *(f"x.{number}" for number in range(self.states)))
        return {"media.state.name": self.rng.choice(names)}

    def _metadata(self, kind: str) -> dict[str, str]:
        if kind == "sessionStart":
            return {"who": "session", "what": "start"}
        return self._perhaps(0.3, "what", kind) if kind in ("adStart", "chapterStart") else {}

    def _quality(self, kind: str) -> Document:
        rng = self.rng
        told: Document = {}
        told |= self._perhaps(
            0.8 if kind == "bitrateChange" else 0.12, "bitrate", rng.choice((800, 1600, 2_500_000, 0))
        )
        told |= self._perhaps(0.05, "droppedFrames", rng.choice((0, 3, 3, 10)))
        told |= self._perhaps(0.05, "timeToStart", rng.choice((1234, 400, 500)))
        told |= self._perhaps(0.03, "framesPerSecond", rng.choice((24, 23.5)))
        if kind == "error" and rng.random() < 0.5:
            told |= {"errorID": rng.choice(("e1", "e3"))} | self._source("errorSource")
        return {f"media.qoe.{name}": value for name, value in told.items()}

    def _source(self, name: str) -> Document:
        return self._perhaps(0.8, name, self.rng.choice(("player", "external", "elsewhere")))

    def _perhaps(self, chance: float, name: str, value: Any) -> Document:
        return {name: value} if self.rng.random() < chance else {}
