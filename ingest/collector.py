"""Judge, stamp, append: the front door without its HTTP."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from ingest.closed_sessions import ClosedSessions, digest_of
from ingest.counts import Counts
from ingest.ports import EventLog
from ingest.problems import COPIED_TO_REJECTS, Problem
from ingest.session_id import SessionKeys
from schemas import batches, codec, topics
from schemas.events import BatchPlace, Envelope, EventType
from schemas.records import LogUnavailable, Record
from schemas.session_ids import created_at
from schemas.shapes import Shapes
from schemas.validation import Profile, Violation

REJECT_BODY_BYTES: Final = 64 * 1024
_DOWNLOADED: Final = "media.downloaded"
_EVENTS: Final = topics.EVENTS.name
_new: Final = tuple.__new__  # makes a record in half the time its own constructor takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the front door accepts, and how long it waits.

    `append_seconds` is a second lock behind the log's own bound. A batch has longer: it is worth finishing when its
    client has given up, for the client's next attempt is the same batch. `batch_turn_seconds`: how long it may wait
    until those before it have been judged.
    """

    profile: Profile = Profile.LENIENT
    max_event_bytes: int = 65_536
    max_batch_bytes: int = 8 * 1024 * 1024
    max_batch_events: int = 20_000
    append_seconds: float = 2.8
    batch_turn_seconds: float = 2.0
    batch_append_seconds: float = 10.0


class Address:
    """What is the same in all records of one session that come from one place: worked out once for many of them."""

    __slots__ = ("before", "between", "digest", "key", "made_at", "partition", "sid")

    def __init__(self, sid: str, peer: str | None, partitions: int) -> None:
        """`sid` is one of ours."""
        self.sid = sid
        self.key = sid.encode()
        self.partition = topics.partition_of(sid, partitions)
        self.made_at, self.digest = created_at(sid), digest_of(sid)
        self.before, self.between = codec.envelope_around(sid, "collection", peer)


class Collector:
    """Takes documents, answers with ids; whatever stands in the way is raised as an error of `problems`.

    `clock` is wall time in epoch milliseconds. What returns is durable: nothing is kept here.
    """

    def __init__(
        self,
        log: EventLog,
        keys: SessionKeys,
        closed: ClosedSessions,
        rules: Rules,
        clock: Callable[[], int],
        *,
        counts: Counts | None = None,
    ) -> None:
        self.rules = rules
        self.counts = counts or Counts()
        self._log = log
        self._keys = keys
        self._closed = closed
        self._clock = clock
        self.begin: Final = log.begin
        """Appends what was judged, for one who counts and bounds its wait himself; see EventLog.begin."""
        self._received_at, self._received_text = 0, b"0"
        self._shapes = Shapes(rules.profile)
        self._batch_limits = batches.BatchLimits(rules.max_batch_events, rules.max_event_bytes)
        # One thread: judging a batch takes the interpreter from the loop for moments, two at once would be felt.
        self._judge = ThreadPoolExecutor(1, thread_name_prefix="batch-judge")
        self._turn = asyncio.Semaphore(1)

    def admit(self, sid: str) -> None:
        """Refuse an id that we never issued; needs neither the body nor a look-up."""
        if not self.knows(sid):
            raise Problem("session_not_found", "This session is not known here; begin a new one at /api/v1/sessions")

    def knows(self, sid: str) -> bool:
        """Whether this id is one of ours."""
        return self._keys.verify(sid) is not None

    def address(self, sid: str, peer: str | None) -> Address:
        return Address(sid, peer, self._log.partitions)

    async def collect(self, sid: str, body: bytes, peer: str | None) -> None:
        """Take one event of a session that `admit` let in."""
        await self._append(*self.judged_event(self.address(sid, peer), body))

    async def start(self, body: bytes, peer: str | None) -> str:
        """Open a live session; its id."""
        sid, record, size = self.judged_start(body, peer)
        await self._append(record, size)
        return sid

    # Nothing may be awaited between a judgement, which stamps, and its append: the log has the events in the order of
    # their stamps.

    def judged_event(self, address: Address, body: bytes) -> tuple[Record, int]:
        """One event of a session that is ours, to be appended at once; and the size of what was taken of the body."""
        now = self._clock()
        if self._closed.holds(address.made_at, address.digest, now):
            raise Problem("session_closed", "This session is closed; begin a new one at /api/v1/sessions")
        if not self._shapes.cover(body):
            event = codec.parse_event(body, self.rules.profile)
            if event.type is EventType.SESSION_START:
                raise _misplaced("eventType", "A sessionStart goes to /api/v1/sessions")
            self._shapes.learn(event)
            body = event.body
        if now > self._received_at:
            self._move_on(now)
        return self._stamped(address, body), len(body)

    def judged_start(self, body: bytes, peer: str | None) -> tuple[str, Record, int]:
        """A live session's first event, to be appended at once: its new id, the record, and the size as above."""
        event = codec.parse_event(body, self.rules.profile)
        if event.type is not EventType.SESSION_START:
            raise _misplaced("eventType", f"A {event.type} goes to /api/v1/sessions/<id>/events")
        if event.document["params"].get(_DOWNLOADED) is True:
            raise _misplaced(f"params.{_DOWNLOADED}", "A downloaded session is sent whole, as an array of its events")
        sid = self._keys.mint(self.stamp())
        return sid, self._stamped(self.address(sid, peer), event.body), len(event.body)

    # What another dialect judges.

    @property
    def partitions(self) -> int:
        return self._log.partitions

    def now(self) -> int:
        """Wall time in epoch milliseconds."""
        return self._clock()

    def stamp(self) -> int:
        """`receivedAt`: never less than the one before, whatever the wall clock does."""
        now = self._clock()
        if now > self._received_at:
            self._move_on(now)
        return self._received_at

    def _move_on(self, now: int) -> None:
        self._received_at, self._received_text = now, b"%d" % now

    def _stamped(self, address: Address, event: bytes) -> Record:
        value = b"".join((address.before, self._received_text, address.between, event, b"}"))
        return _new(Record, (_EVENTS, address.partition, address.key, value))

    async def keep(self, envelope: Envelope, size: int) -> None:
        """Append one event that was judged and stamped elsewhere, to be called at once; `size` as above."""
        record = Record(
            _EVENTS,
            topics.partition_of(envelope.sid, self.partitions),
            envelope.sid.encode(),
            codec.encode_envelope(envelope),
        )
        await self._append(record, size)

    async def keep_record(self, record: Record) -> None:
        """Append what is no event of a session."""
        await self._durable(self._log.append(record), self.rules.append_seconds)

    async def start_batch(self, body: bytes, peer: str | None, *, must_say_downloaded: bool) -> str:
        """Take one offline session whole; its id, which is a hash of its content: the same batch has the same."""
        batch = await self._judged(body)
        if must_say_downloaded and batch.events[0].document["params"].get(_DOWNLOADED) is not True:
            detail = "must be true where an array goes to /api/v1/sessions; /api/v1/downloaded does not ask for it"
            raise Problem(
                "batch_rejected",
                f"[0].params.{_DOWNLOADED} {detail}",
                [Violation(f"[0].params.{_DOWNLOADED}", "downloaded", detail)],
            )
        received_at, of = self.stamp(), len(batch.events)
        partition, key = topics.partition_of(batch.id, self._log.partitions), batch.id.encode()
        records = [
            Record(
                topics.EVENTS.name,
                partition,
                key,
                codec.encode_envelope(
                    Envelope(batch.id, received_at, "batch", peer, BatchPlace(batch.id, position, of), event.body)
                ),
            )
            for position, event in enumerate(batch.events)
        ]
        await self._durable(self._log.append_all(records), self.rules.batch_append_seconds)
        self.counts.durable(of, len(body))
        return batch.id

    def offer_reject(self, problem: Problem, endpoint: str, sid: str | None, body: bytes, peer: str | None) -> None:
        """Copy a refused request to the rejects topic, if there is room: it never slows or fails the answer."""
        if problem.status not in COPIED_TO_REJECTS:
            return
        document: dict[str, Any] = {
            "rejectedAt": self._clock(),
            "stage": "door",
            "code": problem.code,
            "status": problem.status,
            "sid": sid,
            "endpoint": endpoint,
            "errors": problem.errors(),
            "peer": peer,
            "origin": None,
            **_shown_body(body, truncated=problem.truncated),
        }
        key = sid or ""
        partition = topics.partition_of(key, self._log.partitions)
        try:
            taken = self._log.offer(Record(topics.REJECTS.name, partition, key.encode(), codec.encode(document)))
        except Exception:  # noqa: BLE001 - also a quoted text that JSON cannot say; the answer matters more
            taken = False
        if not taken:
            self.counts.rejects_dropped += 1

    def unready(self) -> list[str]:
        """Why requests should not come here now, in words for an operator; empty when they may."""
        return [reason for reason in (self._log.unready(), self._closed.unready()) if reason]

    def close(self) -> None:
        self._judge.shutdown(wait=False, cancel_futures=True)

    async def _append(self, record: Record, size: int) -> None:
        await self._durable(self._log.append(record), self.rules.append_seconds)
        self.counts.durable(1, size)

    async def _durable(self, appending: Awaitable[None], seconds: float) -> None:
        is_durable = False
        try:
            async with asyncio.timeout(seconds):
                await appending
            is_durable = True
        except TimeoutError:
            raise LogUnavailable(f"no answer within {seconds:g} s") from None
        finally:
            if not is_durable:
                self.counts.append_outcomes_unknown += 1

    async def _judged(self, body: bytes) -> batches.ParsedBatch:
        try:
            async with asyncio.timeout(self.rules.batch_turn_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise Problem("overloaded", "Too many batches are waiting; please send it again later") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._judge, batches.parse_batch, body, self.rules.profile, self._batch_limits
            )
        finally:
            self._turn.release()


def _misplaced(path: str, message: str) -> Problem:
    return Problem("wrong_endpoint", message, [Violation(path, "endpoint", message)])


def _shown_body(body: bytes, *, truncated: bool) -> dict[str, Any]:
    shown = body[:REJECT_BODY_BYTES]
    is_cut = truncated or len(shown) < len(body)
    flag = {"truncated": True} if is_cut else {}
    try:
        return {"body": shown.decode(), **flag}
    except UnicodeDecodeError as error:
        if is_cut and error.end == len(shown) and len(shown) - error.start < 4:  # the cut went through a character
            return {"body": shown[: error.start].decode(), **flag}
    return {"bodyBase64": base64.b64encode(shown).decode(), **flag}
