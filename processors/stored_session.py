"""What a partition keeps of one session: the bytes of its state record, and the draft they unpack to.

A state record is a fixed header, the digests of the newest events, the machine's own packed bytes (opaque here, and
unpacked only when an event is folded), then the events that wait in the reorder window. Its first byte is its version.
"""

from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b
from struct import Struct
from typing import Final

from processors.session.state import COLLECTION, Session
from processors.session.window import DOUBTFUL, TIMED, Arrival, Waiting
from schemas.events import Envelope

_new: Final = tuple.__new__
"""Makes a named tuple in half the time its own constructor takes."""

VERSION: Final = 1
DIGEST_BYTES: Final = 8
DIGESTS_KEPT: Final = 16
NEVER: Final = 2**63 - 1

# version, kind, flags, strikes, digests, repeats, waiting, machine bytes; deadline, window deadline, clock, cap from,
# received, heartbeat, boundary ts, batch position; digest of the start
_HEADER: Final = Struct(">BBBBBBHIqqqqqqqi8s")
_DEADLINES: Final = Struct(">qq")
_DEADLINES_AT: Final = 12
_CLOCK: Final = Struct(">q")
_CLOCK_AT: Final = _DEADLINES_AT + _DEADLINES.size
_WAITING: Final = Struct(">qqqqBBB8sI")  # ts, offset, received, received_at, rank, marks, peer length, digest, bytes
_SERIAL, _BATCH = 1, 2
_NO_BOUNDARY: Final = -(2**63)


class Kind(IntEnum):
    """What a session's record stands for."""

    OPEN = 1
    CLOSED = 2
    """A stub: digests, and a batch's next position."""
    INCOMPLETE = 3
    """A batch closed by the cap before its last element: the stub of a session that may reopen."""
    NO_CONTENT = 4
    """Muted: it never had a content id."""
    POISONED = 5
    """Muted: the machine raised on it too often."""
    GONE = 6
    """Forgotten; its records become tombstones."""


class Draft:
    """One session within a transaction. Times in epoch ms of receive time, `deadline` with its grace."""

    __slots__ = (
        "batch",
        "boundary_ts",
        "cap_from",
        "changed",
        "deadline",
        "digests",
        "doubtful",
        "folded_received",
        "heartbeat",
        "kind",
        "machine",
        "next_position",
        "received",
        "repeats",
        "serial",
        "session",
        "sid",
        "start",
        "start_digest",
        "start_is_new",
        "strikes",
        "waiting",
        "waiting_bytes",
        "warm",
        "was_kind",
        "was_waiting",
    )

    def __init__(self, sid: str, received: int, start_digest: bytes) -> None:
        self.sid = sid
        self.kind = Kind.OPEN
        self.was_kind: Kind | None = None
        self.serial = False
        self.batch = False
        self.strikes = 0
        self.deadline = NEVER
        self.cap_from = received
        self.received = received
        self.heartbeat = received
        self.next_position = 0
        self.start_digest = start_digest
        self.digests = b""
        self.boundary_ts: int | None = None
        """The `ts` of the newest ad boundary folded."""
        self.repeats = b""
        """Digests of the play, pauseStart and bufferStart folded at `boundary_ts` since that boundary."""
        self.waiting: list[Waiting] = []
        self.waiting_bytes = 0
        self.doubtful: Sequence[Waiting] = ()
        """Repeats that will be meant if an ad boundary of their `ts` is still to come; they hold nothing up."""
        self.was_waiting = 0
        self.machine = b""
        self.start: bytes | None = None
        self.start_is_new = False
        self.session: Session | None = None
        """The machine's draft, once an event needs it."""
        self.changed = False
        self.warm = False
        """Kept between transactions: it has a place to come back to."""
        self.folded_received = 0
        """Receive time of the newest event folded in this transaction; 0 before the first."""

    def settle(self) -> None:
        """The transaction holds: what the record says and the draft says are one."""
        self.was_kind = self.kind
        self.was_waiting = len(self.waiting) + len(self.doubtful)
        self.start_is_new = self.changed = False
        self.folded_received = 0
        if self.session is not None:
            self.machine = b""
            self.session.start_document = None

    def knows(self, digest: bytes) -> bool:
        """Whether an event with this digest is among the newest ones of the session.

        A match across two digests is as unlikely as any other collision of eight bytes.
        """
        return self.digests.find(digest) >= 0 or digest == self.start_digest

    def repeated(self, digest: bytes) -> bool:
        """Whether the event has already been folded at `boundary_ts` since that boundary."""
        return self.repeats.find(digest) >= 0

    def remember(self, digest: bytes) -> None:
        self.digests = (self.digests + digest)[-DIGEST_BYTES * DIGESTS_KEPT :]

    def window_deadline(self, window_ms: int) -> int:
        """The earliest instant at which the clock alone lets an event leave the window."""
        timed = [item.received for item in self.waiting if item.marks & TIMED]
        return min(timed) + window_ms if timed else NEVER


def digest_of(body: bytes) -> bytes:
    return blake2b(body, digest_size=DIGEST_BYTES).digest()


def deadlines_of(current: bytes) -> tuple[int, int]:
    """The deadline and the window deadline of a state record, without unpacking it."""
    deadline, window_deadline = _DEADLINES.unpack_from(current, _DEADLINES_AT)
    return deadline, window_deadline


def clock_of(current: bytes) -> int:
    """The lane's clock when the record was written."""
    clock: int = _CLOCK.unpack_from(current, _CLOCK_AT)[0]
    return clock


def kind_of(current: bytes) -> Kind:
    if current[0] != VERSION:
        raise ValueError(f"state record of version {current[0]}; this release reads {VERSION}")
    return Kind(current[1])


def waiting_of(current: bytes) -> int:
    """How many events wait in a state record."""
    return current[6] << 8 | current[7]


def pack(draft: Draft, clock: int, window_ms: int) -> bytes:
    """The state record of a draft; `draft.machine` must be up to date."""
    waiting = [*draft.waiting, *draft.doubtful] if draft.doubtful else draft.waiting
    header = _HEADER.pack(
        VERSION,
        draft.kind,
        (_SERIAL if draft.serial else 0) | (_BATCH if draft.batch else 0),
        draft.strikes,
        len(draft.digests) // DIGEST_BYTES,
        len(draft.repeats) // DIGEST_BYTES,
        len(waiting),
        len(draft.machine),
        draft.deadline,
        draft.window_deadline(window_ms) if waiting else NEVER,
        clock,
        draft.cap_from,
        draft.received,
        draft.heartbeat,
        _NO_BOUNDARY if draft.boundary_ts is None else draft.boundary_ts,
        draft.next_position,
        draft.start_digest,
    )
    if not waiting:
        return b"".join((header, draft.digests, draft.repeats, draft.machine))
    return b"".join((header, draft.digests, draft.repeats, draft.machine, *map(_pack_waiting, waiting)))


def _pack_waiting(item: Waiting) -> bytes:
    _, _, digest, envelope = item.arrival
    peer = (envelope.peer or "").encode("utf-8", "replace")[:255]
    body = envelope.event
    head = _WAITING.pack(
        item.ts, item.offset, item.received, envelope.received_at, item.rank, item.marks, len(peer), digest, len(body)
    )
    return head + peer + body


def unpack(sid: str, start: bytes | None, current: bytes) -> Draft:
    """The draft of a state record; `start` is what the session was told at its start."""
    kind = kind_of(current)
    (
        _, _, flags, strikes, digests, repeats, waiting, machine_bytes,
        deadline, _, _, cap_from, received, heartbeat, boundary_ts, next_position, start_digest,
    ) = _HEADER.unpack_from(current)  # fmt: skip
    draft = Draft(sid, received, start_digest)
    draft.kind = draft.was_kind = kind
    draft.serial = bool(flags & _SERIAL)
    draft.batch = bool(flags & _BATCH)
    draft.strikes = strikes
    draft.deadline = deadline
    draft.cap_from = cap_from
    draft.heartbeat = heartbeat
    draft.boundary_ts = None if boundary_ts == _NO_BOUNDARY else boundary_ts
    draft.next_position = next_position
    draft.start = start
    repeats_at = _HEADER.size + DIGEST_BYTES * digests
    machine_at = repeats_at + DIGEST_BYTES * repeats
    at = machine_at + machine_bytes
    draft.digests = current[_HEADER.size : repeats_at]
    draft.repeats = current[repeats_at:machine_at]
    draft.machine = current[machine_at:at]
    if waiting:
        _unpack_waiting(draft, current, at, waiting)
    return draft


def _unpack_waiting(draft: Draft, current: bytes, at: int, count: int) -> None:
    draft.was_waiting = count
    for _ in range(count):
        ts, offset, received, received_at, rank, marks, peer_bytes, digest, body_bytes = _WAITING.unpack_from(
            current, at
        )
        peer_at = at + _WAITING.size
        body_at = peer_at + peer_bytes
        at = body_at + body_bytes
        peer = current[peer_at:body_at].decode(errors="replace") or None
        body = current[body_at:at]
        # The elements of a batch never wait.
        envelope = _new(Envelope, (draft.sid, received_at, COLLECTION, peer, None, body))
        arrival = _new(Arrival, (offset, received, digest, envelope))
        item = _new(Waiting, (ts, rank, offset, received, marks, arrival, None))
        if marks & DOUBTFUL:
            draft.doubtful = [*draft.doubtful, item]
        else:
            draft.waiting.append(item)
            draft.waiting_bytes += body_bytes
