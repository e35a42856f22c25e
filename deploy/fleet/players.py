"""A simulated player: a clock, a playhead and the events it would tell, much faster than anybody watches."""

import random
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Make:
    """What kind of player it is. Each of these is a habit seen in a real client (collection-api.md 6).

    `library`: `media.libraryVersion`, empty for none. `is_serial`: one event in flight at a time. `is_redundant`:
    sends `play` again after a second and around ad boundaries, as the SDKs do. `ad_playhead_is_zero`: forgets the main
    position during ads. `tick_ms`: keeps events of one instant this far apart (0: equal `ts`). `ping_ms`: its cadence.
    """

    library: str
    is_serial: bool
    is_redundant: bool
    ad_playhead_is_zero: bool
    tick_ms: int
    ping_ms: int = 10_000
    rate: float = 1.0


@dataclass(slots=True)
class Player:
    """Tells events into `said`. Times and playheads in milliseconds."""

    make: Make
    rng: random.Random
    ts: int
    playhead: int = 0
    said: list[Document] = field(default_factory=list)
    breaks: int = 0
    chapters: int = 0
    has_played: bool = False

    def say(
        self,
        event_type: str,
        *,
        params: Document | None = None,
        qoe: Document | None = None,
        meta: Document | None = None,
    ) -> None:
        if self.said and self.said[-1]["playerTime"]["ts"] == self.ts:
            self.ts += self.make.tick_ms
        document: Document = {"eventType": event_type, "playerTime": {"playhead": self.shown(), "ts": self.ts}}
        for name, member in (("params", params), ("qoeData", qoe), ("customMetadata", meta)):
            if member:
                document[name] = member
        self.said.append(document)

    def say_again(self) -> None:
        """The newest event once more, byte for byte."""
        self.said.append(dict(self.said[-1]))

    def shown(self) -> float:
        seconds = self.playhead / 1000
        return int(seconds) if seconds.is_integer() else seconds

    def play(self) -> None:
        self.say("play")
        self.has_played = True

    def watch(self, ms: int) -> None:
        """Main content plays for `ms`; a ping at each cadence."""
        left = ms
        if self.make.is_redundant and left > 1000:
            self._pass(1000)
            self.say("play")
            left -= 1000
        self._run(left, self.make.rate)

    def wait(self, ms: int) -> None:
        """Time passes and the playhead stands: paused, buffering, stalled or in an ad."""
        self._run(ms, 0)

    def _run(self, ms: int, rate: float) -> None:
        left = ms
        while left > self.make.ping_ms:
            self._pass(self.make.ping_ms, rate)
            self.say("ping", qoe=self.quality() if self.rng.random() < 0.05 else None)
            left -= self.make.ping_ms
        self._pass(left, rate)

    def _pass(self, ms: int, rate: float | None = None) -> None:
        self.ts += ms
        self.playhead += round(ms * (self.make.rate if rate is None else rate))

    def quality(self) -> Document:
        bitrate = self.rng.choice((800, 1200, 2500, 4500, 6000))
        told: Document = {"media.qoe.bitrate": bitrate * (1000 if self.rng.random() < 0.2 else 1)}
        if self.rng.random() < 0.5:
            told["media.qoe.droppedFrames"] = self.rng.randrange(60)
        if self.rng.random() < 0.3:
            told["media.qoe.framesPerSecond"] = self.rng.choice((24, 25, 30, 60))
        if self.rng.random() < 0.3:
            told["media.qoe.timeToStart"] = self.rng.randrange(100, 9000)
        return told

    def pause(self, ms: int) -> None:
        self.say("pauseStart")
        self.wait(ms)
        self.say("play")

    def buffer(self, ms: int) -> None:
        self.say("bufferStart")
        self.wait(ms)
        self.say("play")

    def seek_as_pause(self, to: int) -> None:
        """As the mobile and Roku SDKs tell it: pauseStart ... play at the new place."""
        self.say("pauseStart")
        self.wait(self.rng.randrange(100, 1500))
        self.playhead = to
        self.say("play")

    def seek_untold(self, to: int) -> None:
        """As raw clients do: the next event is simply somewhere else."""
        self.playhead = to
        self.say("ping")

    def stall(self, ms: int) -> None:
        """It says play and nothing moves."""
        self.say("ping")
        self.wait(ms)
        self.say("ping")
        self._pass(2000)

    def state(self, name: str, ms: int) -> None:
        self.say("stateStart", params={"media.state.name": name})
        self.watch(ms)
        self.say("stateEnd", params={"media.state.name": name})

    def update_states(self, ended: list[str], started: list[str]) -> None:
        params = {"statesEnd": ended, "statesStart": started}
        self.say(
            "statesUpdate",
            params={key: [{"media.state.name": name} for name in names] for key, names in params.items() if names},
        )

    def fail(self, name: str, source: str) -> None:
        told = {"media.qoe.errorID": name, "media.qoe.errorSource": source}
        if self.rng.random() < 0.3:
            self.say("error", params={"media.errorId": name, "media.errorSource": source})
        else:
            self.say("error", qoe=told)

    def open_chapter(self, length_ms: int) -> None:
        self.chapters += 1
        params: Document = {
            "media.chapter.index": self.chapters,
            "media.chapter.offset": self.shown(),
            "media.chapter.length": length_ms / 1000,
        }
        if self.rng.random() < 0.7:
            params["media.chapter.friendlyName"] = f"chapter {self.chapters}"
        self.say("chapterStart", params=params, meta={"part": f"{self.chapters}"} if self.rng.random() < 0.5 else None)

    def ad_break(self, ads: int, *, is_closed: bool = True) -> None:
        self.breaks += 1
        main = self.playhead
        params: Document = {"media.ad.podIndex": self.breaks, "media.ad.podSecond": self.shown()}
        if self.rng.random() < 0.7:
            params["media.ad.podFriendlyName"] = self.rng.choice(("pre", "mid", "post"))
        self.say("adBreakStart", params=params)
        for position in range(1, ads + 1):
            self.playhead = 0 if self.make.ad_playhead_is_zero else main
            self._ad(position, is_shown_out=not is_closed and position == ads)
            if self.rng.random() < 0.15:
                self.ts += self.rng.randrange(200, 4000)  # nothing is shown between two ads
        self.playhead = main
        if is_closed:
            self.say("adBreakComplete")
            if not self.has_played or self.make.is_redundant or self.rng.random() < 0.5:
                self.play()

    def paused_break(self, ms: int) -> None:
        """A break that starts while the player is paused, and an ad that waits for it to be resumed."""
        self.breaks += 1
        self.say("pauseStart")
        paused = self.said[-1]
        self.say("adBreakStart", params={"media.ad.podIndex": self.breaks, "media.ad.podSecond": self.shown()})
        params = {"media.ad.id": f"ad-p-{self.breaks}", "media.ad.length": 8, "media.ad.podPosition": 1}
        self.say("adStart", params=params | {"media.ad.playerName": "ad player"})
        if self.make.tick_ms == 0:
            self.said.append(dict(paused))
        else:
            self.say("pauseStart")
        self.wait(ms)
        self.say("play")
        self.wait(8000)
        self.say("adComplete")
        self.say("adBreakComplete")
        self.play()

    def _ad(self, position: int, *, is_shown_out: bool) -> None:
        length = self.rng.choice((5, 7, 10, 15, 20.5))
        name = f"ad-{self.rng.randrange(40)}-{self.breaks}-{position}"
        params: Document = {"media.ad.id": name, "media.ad.length": length, "media.ad.podPosition": position}
        if self.rng.random() < 0.9:
            params["media.ad.playerName"] = "ad player"
        for key in ("name", "advertiser", "campaignId", "creativeId", "siteId", "creativeURL", "placementId"):
            if self.rng.random() < 0.4:
                params[f"media.ad.{key}"] = f"{key} {self.rng.randrange(9)}"
        self.say(
            "adStart", params=params, meta={"slot": f"{position}", "season": "own"} if self.rng.random() < 0.3 else None
        )
        if self.make.is_redundant:
            self.say("play")
            if self.make.is_serial and self.make.tick_ms == 0 and self.rng.random() < 0.3:
                self.say_again()
        shown = round(length * 1000)
        if self.rng.random() < 0.2:
            self.wait(shown // 3)
            self.rng.choice((self.pause, self.buffer))(self.rng.randrange(500, 6000))
            shown -= shown // 3
        # In a break that is never closed, content that runs on inside a still open ad is nobody's case.
        ending = 0.0 if is_shown_out else self.rng.random()
        if ending < 0.75:
            self.wait(shown)
            self.say("adComplete")
        elif ending < 0.9:
            self.wait(shown // 2)
            self.say("adSkip")
        else:
            self.wait(shown // 4)  # the next ad or the end of the break skips it
