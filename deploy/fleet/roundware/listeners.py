"""A simulated listener: a clock, a place, sounds around it, and the requests its client would send."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from deploy.fleet.roundware.calls import SESSION, Call, Document, Form, Number

Clock = Literal["utc", "local", "spaced"]


@dataclass(frozen=True, slots=True)
class Make:
    """What kind of client it is: the habits of a generation.

    `slash`: what its paths end in. `has_old_names`: says `start_time`, `session_id`, `asset_id` of a listen event.
    `speaks_digits`: numbers as strings. `clock`: how it writes the time: UTC with milliseconds, the device's own
    without a zone, or with spaces. `is_hasty`: posts events without waiting for answers. `beats`: seconds between the
    heartbeats of its stream, on its own clock; 0 for none. `play`, `stop`: what it says when it begins and ceases.
    """

    name: str
    client_type: str
    client_system: str
    slash: str = "/"
    form: Form = "json"
    has_old_names: bool = False
    speaks_digits: bool = False
    clock: Clock = "utc"
    is_hasty: bool = False
    beats: bool = False
    mixes: bool = False
    play: str = "play_stream"
    stop: str = "pause_stream"


_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 and more"
)

MAKES = (
    Make("mixing web", "web", _BROWSER[:127], is_hasty=True, mixes=True),
    Make("mixing web", "web", _BROWSER[:127], is_hasty=True, mixes=True),
    Make("web of a summer", "web", "Safari", slash="", has_old_names=True, is_hasty=True, mixes=True),
    Make("streaming web", "web", "Firefox", is_hasty=True, beats=True),
    Make(
        "old ios", "iPhone", "iOS 8.1", speaks_digits=True, clock="local", beats=True,
        play="start_listen", stop="stop_listen",
    ),
    Make("new ios", "iPad", "iOS 14.1", speaks_digits=True, clock="local", play="start_listen", stop="stop_listen"),
    Make(
        "form", "phone", "Android 4", form="urlencoded", speaks_digits=True, clock="spaced", mixes=True,
        play="start_stream", stop="stop_stream",
    ),
    Make("parts", "phone", "script", form="multipart", speaks_digits=True, mixes=True, play="resume", stop="pause"),
)  # fmt: skip


@dataclass(slots=True)
class Listener:
    """Puts requests into `calls`. Its clock runs in real time: what it rests, the posts rest too."""

    make: Make
    rng: random.Random
    began_at: int
    zone: str = "0000"
    calls: list[Call] = field(default_factory=list)
    passed_ms: int = 0
    sounds: int = 0
    _rest: float = 0.0

    def rest(self, seconds: float) -> None:
        self._rest += seconds
        self.passed_ms += round(seconds * 1000)

    def open(self, **more: Any) -> None:
        document: Document = {"project_id": self.number(self.rng.choice((1, 1, 2, 7)))}
        document |= {"client_system": self.make.client_system, "timezone": self.zone}
        if self.rng.random() < 0.6:
            document["geo_listen_enabled"] = self.truth(self.rng.random() < 0.5)
        if self.rng.random() < 0.4:
            document["language"] = self.rng.choice(("en", "es", "fr", "en-US"))
        if self.rng.random() < 0.2:
            document["demo_stream_enabled"] = self.truth(value=True)
        self._call("POST", "/sessions" + self.make.slash, "session", document | more, named=SESSION)

    def tell(self, event_type: str, *, copies: int = 1, **members: Any) -> None:
        document: Document = {"session_id": self.session(), "event_type": event_type}
        if self.rng.random() < 0.9:
            document["client_time"] = self.time()
        path = "/events" + self.make.slash
        self._call("POST", path, "event", document | members, awaited=not self.make.is_hasty, copies=copies)

    def beat(self) -> None:
        self.steer("heartbeat", **({"session_id": self.session()} if "web" in self.make.name else {}))

    def steer(self, what: str, **told: Any) -> None:
        """A call about its stream; an empty `what` changes the stream itself."""
        path = f"/streams/{{{SESSION}}}/{what}".rstrip("/") + self.make.slash
        method = "POST" if what else "PATCH"
        self._call(method, path, "beat", told, awaited=not self.make.is_hasty)

    def hear(self, asset: int, **more: Any) -> str:
        """A sound begins; its name for `heard` and `forget`."""
        self.sounds += 1
        name = f"sound{self.sounds}"
        start, session, what = ("start_time", "session_id", "asset_id") if self.make.has_old_names else (
            "starttime", "session", "asset",
        )  # fmt: skip
        document = {start: self.utc_time(), session: self.session(), what: self.number(asset), **more}
        # The next request may need its number: a client that cannot name the play cannot end it.
        self._call("POST", "/listenevents" + self.make.slash, "listen", document, named=name)
        return name

    def heard(self, sound: str, seconds: float) -> None:
        """The sound has ended, or goes on and its time so far is told."""
        told: Any = str(seconds) if self.make.speaks_digits else seconds
        path = f"/listenevents/{{{sound}}}" + ("/" if self.make.form != "json" else "")
        hasty = self.make.is_hasty
        self._call("PATCH", path, "listenChange", {"duration_in_seconds": told}, awaited=not hasty)

    def forget(self, sound: str) -> None:
        self._call("DELETE", f"/listenevents/{{{sound}}}/", "listenDelete", {})

    def known(self) -> list[str]:
        """The sounds that began and are not forgotten."""
        gone = {call.path for call in self.calls if call.kind == "listenDelete"}
        began = (call.named for call in self.calls if call.kind == "listen")
        return [sound for sound in began if f"/listenevents/{{{sound}}}/" not in gone]

    def session(self) -> Number:
        return Number(as_text=self.make.speaks_digits and self.rng.random() < 0.7)

    def number(self, value: int) -> int | str:
        return str(value) if self.make.speaks_digits and self.rng.random() < 0.5 else value

    def truth(self, value: bool) -> Any:
        return self.rng.choice(("true", "t", "yes", "1") if value else ("false", "f", "no", "0")) if (
            self.make.speaks_digits
        ) else value  # fmt: skip

    def place(self) -> Document:
        """Where it is, as its client writes that."""
        latitude, longitude = self.rng.uniform(41, 43), self.rng.uniform(-72, -70)
        if not self.make.speaks_digits:
            return {"latitude": round(latitude, 6), "longitude": round(longitude, 6)}
        return {"latitude": f"{latitude:.6f}", "longitude": self.rng.choice((f"{longitude:.6f}", ""))}

    def tags(self) -> Any:
        if self.make.form == "json" and not self.make.speaks_digits:
            return self.rng.sample(range(1, 30), self.rng.randrange(1, 4))
        return self.rng.choice((",", ",3", "1,2,", "3,8", "3,walking"))

    def time(self) -> str:
        if self.make.clock == "utc":
            return self.utc_time()
        here = datetime.fromtimestamp(self._now_ms() / 1000, tz=_zone(self.zone))
        return here.strftime("%Y-%m-%d %H:%M:%S.+0000" if self.make.clock == "spaced" else "%Y-%m-%dT%H:%M:%S")

    def utc_time(self) -> str:
        now = datetime.fromtimestamp(self._now_ms() / 1000, tz=UTC)
        return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self._now_ms() % 1000:03d}Z"

    def _now_ms(self) -> int:
        return self.began_at + self.passed_ms

    def _call(
        self, method: str, path: str, kind: str, document: Document, *, named: str = "", awaited: bool = True,
        copies: int = 1,
    ) -> None:  # fmt: skip
        call = Call(method, path, kind, document, round(self._rest, 3), named, awaited, copies)
        self._rest = 0.0
        # A client without ears for its answers still listens where the form of the next request depends on one.
        self.calls.append(replace(call, awaited=True) if named else call)


def _zone(text: str) -> timezone:
    """The device's own; one that names no zone of this earth keeps UTC."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(sign * ahead if ahead < timedelta(days=1) else timedelta())
