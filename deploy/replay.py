"""What to do with each reject: send it again, or leave it and say why; and which have been settled already."""

import base64
from bisect import bisect_right
from typing import Any, Final, NamedTuple, Protocol

from schemas import codec
from schemas.events import EventType

CLOSED: Final = "session_closed"
STARTS: Final = "/api/v1/sessions"
EVENTS: Final = "/api/v1/sessions/{sid}/events"
ROUNDWARE: Final = "/api/2/"


class Sending(NamedTuple):
    """A request to make: POST `body` to `path`, below the door's address."""

    path: str
    body: bytes


class Leaving(NamedTuple):
    """A reject that cannot be sent, and why."""

    reason: str


def plan(reject: dict[str, Any]) -> Sending | Leaving:
    """What becomes of one reject: events go under their session, starts and batches go anew."""
    if reject.get("truncated"):
        return Leaving("its body was cut when it was kept")
    if reject.get("code") == CLOSED:
        return Leaving("its session is closed")
    if str(reject.get("sid")).startswith("r:") or str(reject.get("endpoint")).startswith(ROUNDWARE):
        return Leaving("a Roundware request is its client's to send, with the client's token")
    body = _body(reject)
    if body is None:
        return Leaving("it has no body")
    path = reject.get("endpoint") or _path(reject.get("sid"), body)
    if path is None:
        return Leaving("it has neither an endpoint nor a session")
    return Sending(path, body)


def _body(reject: dict[str, Any]) -> bytes | None:
    if "bodyBase64" in reject:
        return base64.b64decode(reject["bodyBase64"])
    text = reject.get("body")
    return None if text is None else str(text).encode()


def _path(sid: str | None, body: bytes) -> str | None:
    """Where a worker's reject came in: it knows the session and the event, not the request."""
    try:
        document = codec.decode(body)
    except codec.Undecodable:
        document = None
    if isinstance(document, dict) and document.get("eventType") == EventType.SESSION_START:
        return STARTS
    return EVENTS.format(sid=sid) if sid else None


class Settled:
    """Which rejects of one partition need no attention any more, as runs of offsets from one to another.

    Offsets skip, so a run says "every reject from here to there", which only a walk in offset order can know.
    """

    def __init__(self, text: str = "") -> None:
        """From what `text` wrote. ValueError on anything else."""
        pairs = [part.partition("-") for part in text.split(",") if part]
        self._runs = [[int(first), int(last)] for first, _, last in pairs]
        self._before = self._here = -1

    def __contains__(self, offset: int) -> bool:
        return self._run_of(offset) is not None

    def pass_by(self, offset: int) -> bool:
        """Walk on to a reject. True if it was settled before."""
        if offset != self._here:
            self._before, self._here = self._here, offset
        if offset not in self:
            return False
        self._join()
        return True

    def settle(self, offset: int) -> None:
        """Walk on to a reject and settle it."""
        if not self.pass_by(offset):
            self._runs.insert(bisect_right(self._runs, [offset]), [offset, offset])
            self._join()

    def text(self) -> str:
        return ",".join(f"{first}-{last}" for first, last in self._runs)

    def next_offset(self) -> int:
        """Every reject below this is settled: what a consumer group can say of it."""
        return self._runs[0][1] + 1 if self._runs and self._runs[0][0] == 0 else 0

    def _join(self) -> None:
        # Nothing lies between this reject and the one before it: if that is settled too, the two runs are one.
        here, before = self._run_of(self._here), self._run_of(self._before)
        assert here is not None
        if self._before < 0:
            self._runs[: here + 1] = [[0, self._runs[here][1]]]
        elif before is not None:
            self._runs[before : here + 1] = [[self._runs[before][0], self._runs[here][1]]]

    def _run_of(self, offset: int) -> int | None:
        at = bisect_right(self._runs, offset, key=lambda run: run[0]) - 1
        return at if at >= 0 and offset <= self._runs[at][1] else None


class Positions(Protocol):
    """Where a replay remembers what it has settled, under the group `<GROUP>-replay`."""

    async def load(self) -> dict[int, Settled]:
        """What was settled so far, by partition."""
        ...

    async def save(self, settled: dict[int, Settled]) -> None:
        """Return once it is remembered for good."""
        ...

    async def close(self) -> None:
        """Give everything back."""
