"""Streams of events for property tests: what real players send, and what nobody should.

Both give a list of events in final order, sessionStart first. `realistic` players keep a sane clock and a playhead that
moves with it, tie several events on one `ts` as the SDKs do, and may or may not end their session. `wild` ones send
any event after any other with any clock, any playhead and any parameters.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from schemas.events import Event, EventType
from tests.processors.session.drive import BASE, SID, at, start

__all__ = ["BASE", "SID", "realistic", "wild"]

_STATES = ("fullscreen", "mute", "closedCaptioning", "custom.state")


class _Player:
    """A player being simulated: its clock, its playhead, what it is doing, and what it has sent."""

    def __init__(self, draw: Callable[[Any], Any], *, jumps: bool) -> None:
        self.draw = draw
        self.jumps = jumps
        self.ms = 0
        self.position_ms = 0
        self.playing = False
        self.begun = False
        self.chapter = False
        self.pods = 0
        self.ads = 0
        self.chapters = 0
        self.states: set[str] = set()
        length = draw(st.sampled_from((30, 60.5, 600, 3600)))
        self.events = [start(0, length=length, libraryVersion="ios-media-5.0.1")]

    def send(self, event_type: str, params: dict[str, Any] | None = None, **more: Any) -> None:
        self.events.append(at(self.ms / 1000, event_type, self.position_ms / 1000, params, **more))

    def wait(self, *, moving: bool) -> None:
        """Let up to 12 s pass, with a ping somewhere within now and then."""
        waited = self.draw(st.integers(0, 12_000))
        pinged = self.draw(st.integers(0, waited)) if self.draw(st.booleans()) else None
        for stretch, ping in ((pinged, True), (waited - (pinged or 0), False)):
            if stretch is None:
                continue
            self.ms += stretch
            if moving:
                self.position_ms += stretch
            if ping:
                self.send("ping")

    def play(self) -> None:
        self.send("play")
        if self.begun and self.draw(st.booleans()):
            self.send("play")  # SDKs say it twice
        self.playing = self.begun = True
        self.wait(moving=True)

    def stop(self) -> None:
        self.send(self.draw(st.sampled_from(("pauseStart", "bufferStart"))))
        self.playing = False
        self.wait(moving=False)
        if self.draw(st.integers(0, 3)) == 0:
            self.position_ms = self.draw(st.integers(0, 60_000))  # a seek, as the mobile SDKs send it

    def jump(self) -> None:
        if self.jumps:
            self.position_ms = self.draw(st.integers(0, 60_000))
            self.send("ping")

    def breaks(self) -> None:
        self.send("adBreakStart", {"media.ad.podIndex": self.pods, "media.ad.podSecond": self.position_ms / 1000})
        self.pods += 1
        for position in range(self.draw(st.integers(0, 2))):
            self.ads += 1
            self.send(
                "adStart",
                {"media.ad.id": f"ad-{self.ads}", "media.ad.length": 15, "media.ad.podPosition": position},
                metadata={"creative": f"{self.ads}"},
            )
            if self.draw(st.booleans()):
                self.send("play")
            self.wait(moving=False)
            if self.draw(st.booleans()):
                self.send("bufferStart")
                self.wait(moving=False)
                self.send("play")
            ending = self.draw(st.sampled_from(("adComplete", "adComplete", "adSkip", None)))
            if ending is not None:
                self.send(ending)
            if self.draw(st.integers(0, 3)) == 0:
                self.wait(moving=False)  # the next ad is late
        self.send("adBreakComplete")
        if self.begun or self.draw(st.booleans()):
            self.play()

    def turn_chapter(self) -> None:
        if self.chapter and self.draw(st.booleans()):
            self.send(self.draw(st.sampled_from(("chapterComplete", "chapterSkip"))))
            self.chapter = False
            return
        self.chapters += 1
        index = {"media.chapter.index": self.chapters, "media.chapter.offset": 0, "media.chapter.length": 30}
        self.send("chapterStart", index)
        self.chapter = True

    def toggle(self) -> None:
        name = self.draw(st.sampled_from(_STATES))
        self.send("stateEnd" if name in self.states else "stateStart", {"media.state.name": name})
        self.states ^= {name}

    def tell(self) -> None:
        kind = self.draw(st.sampled_from(("error", "bitrateChange", "ping")))
        qoe: dict[str, Any] = {"media.qoe.bitrate": self.draw(st.integers(1, 9_000))}
        if kind == "error":
            qoe = {"media.qoe.errorID": self.draw(st.sampled_from(("a", "b"))), "media.qoe.errorSource": "player"}
        self.send(kind, qoe=qoe)

    def stand(self) -> None:
        """The picture stands still while the player says it plays."""
        for _ in range(self.draw(st.integers(1, 4))):
            self.ms += self.draw(st.integers(0, 10_000))
            self.send("ping")


@st.composite
def realistic(draw: Any, *, jumps: bool = True, stalls: bool = True, ends: bool = True) -> list[Event]:
    """A player's session. `jumps`: seeks no event tells of. `stalls`: unmoved playheads in play. `ends`: may end."""
    player = _Player(draw, jumps=jumps)
    player.wait(moving=False)
    steps: list[Callable[[], None]] = [player.play, player.stop, player.breaks, player.turn_chapter, player.toggle]
    steps += [player.tell, player.play]
    if jumps:
        steps.append(player.jump)
    for _ in range(draw(st.integers(1, 12))):
        draw(st.sampled_from(steps))()
        if stalls and player.playing and draw(st.integers(0, 4)) == 0:
            player.stand()
    if ends:
        for ending in draw(
            st.sampled_from((("sessionComplete",), ("sessionEnd",), ("sessionComplete", "sessionEnd"), ()))
        ):
            player.send(ending)
    return player.events


_ANY_NUMBER = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((0, 1, -1, 0.5, 1e308, -1e308, 86_400)),
)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_ANY = st.one_of(_ANY_NUMBER, st.booleans(), st.none(), _TEXT, st.lists(st.none(), max_size=1), st.just({}))
_KEYS = [
    "media.id",
    "media.name",
    "media.length",
    "media.contentType",
    "media.genre",
    "media.resume",
    "media.downloaded",
    "media.libraryVersion",
    "media.streamType",
    "visitor.customerIDs",
    "media.ad.id",
    "media.ad.length",
    "media.ad.podPosition",
    "media.ad.podIndex",
    "media.ad.podSecond",
    "media.ad.podFriendlyName",
    "media.chapter.index",
    "media.chapter.offset",
    "media.chapter.length",
    "media.chapter.friendlyName",
    "media.state.name",
    "media.errorId",
    "media.errorSource",
    "statesStart",
    "statesEnd",
]
_QOE_KEYS = [
    "media.qoe.bitrate",
    "bitrate",
    "media.qoe.droppedFrames",
    "media.qoe.framesPerSecond",
    "media.qoe.timeToStart",
    "media.qoe.errorID",
    "media.qoe.errorSource",
]
_STATE_LISTS = st.lists(st.fixed_dictionaries({"media.state.name": _TEXT}), max_size=3)
_SANE_PARAMS = st.fixed_dictionaries(
    {
        "media.ad.id": st.sampled_from(("ad-1", "ad-2", "")),
        "media.ad.podIndex": st.integers(-1, 2),
        "media.chapter.index": st.integers(0, 3),
        "media.state.name": st.one_of(st.sampled_from(_STATES), _TEXT),
        "statesStart": _STATE_LISTS,
        "statesEnd": _STATE_LISTS,
    }
)
_PARAMS = st.one_of(_SANE_PARAMS, st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=6))
_QOE = st.dictionaries(st.sampled_from(_QOE_KEYS), _ANY, max_size=3)
_TS = st.one_of(
    st.integers(BASE, BASE + 100_000),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from((0, -1, BASE, 253_402_300_799_999, 253_402_300_800_000, -(2**63), 2**63 - 1)),
)
_PLAYHEADS = st.one_of(
    st.integers(0, 100), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from((0, -0.0, 1e308))
)


@st.composite
def wild(draw: Any, *, max_size: int = 15) -> list[Event]:
    """Anything that can be said, in any order, at any time; a clock that mostly goes on, and sometimes jumps."""
    types = st.sampled_from([kind for kind in EventType if kind is not EventType.SESSION_START])
    ts = draw(_TS)
    opening = start(0).params | draw(_PARAMS)
    first = Event(EventType.SESSION_START, draw(_PLAYHEADS), ts, opening, draw(_QOE), {})
    events = [first]
    for _ in range(draw(st.integers(0, max_size))):
        ts = draw(st.one_of(st.integers(0, 5_000).map(ts.__add__), st.integers(0, 5_000).map(ts.__add__), _TS))
        ts = max(-(2**63), min(ts, 2**63 - 1))
        metadata = draw(st.dictionaries(_TEXT, _TEXT, max_size=2))
        events.append(Event(draw(types), draw(_PLAYHEADS), ts, draw(_PARAMS), draw(_QOE), metadata))
    return events
