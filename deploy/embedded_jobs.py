"""What the event loop hands to the writer of the embedded log, and what comes back."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import apsw

from deploy.embedded_file import Row
from schemas.records import Record

LaneKey = tuple[str, str, int]
"""Who consumes which topic and partition."""


@dataclass(frozen=True, slots=True)
class Vices:
    """What a broker may do and SQLite never would; for tests of those who must bear it."""

    skip_offsets: bool = True
    visible_after_seconds: float = 0.02
    share_raising: float = 0.2
    """Which part of the writes that held raise LogUnavailable all the same."""


@dataclass(slots=True, eq=False)
class Claim:
    """A lane as opened once. The newest claim of a key is the only one that may commit."""

    key: LaneKey
    future: asyncio.Future[None]
    """Done once every predecessor is locked out and what it had sent is settled."""
    consumed: int = -1
    """The consumed offset as the writer found it then; -1 for none."""


@dataclass(slots=True, eq=False)
class Write:
    """Records that become durable together or not at all; with a claim, the offset consumed with them."""

    records: Sequence[Record]
    size: int
    expires_at: float
    """By `time.monotonic()`: not begun by then, it is never written."""
    future: asyncio.Future[str | None]
    claim: Claim | None = None
    consumed: int = 0


@dataclass(slots=True, eq=False)
class Work:
    """Something else to be done on the writing connection, in a transaction of its own, between two commits."""

    do: Callable[[apsw.Connection], None]
    done: threading.Event = field(default_factory=threading.Event)
    held: bool = False


@dataclass(slots=True)
class Settled:
    """The outcome of one commit, as the event loop learns of it."""

    outcomes: list[tuple[Write | Claim, Exception | None]]
    rows: dict[str, list[Row]]
    """By topic, in offset order; empty when nothing was committed."""
