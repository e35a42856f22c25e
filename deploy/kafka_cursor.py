"""One partition's reading position and what has been fetched beyond it, decoded when taken."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from deploy.kafka_wire import Answer, committed_batches
from schemas.records import Fetch, LogUnavailable, OffsetOutOfRange, StoredRecord

AHEAD_BYTES: Final = 1024 * 1024
"""A cursor with more than this waiting is not fetched for until its owner has taken some."""

FRESH_MS: Final = 1_000
"""For so long the end of a partition as it was reported is worth telling."""

AWAY_SECONDS: Final = 10.0
"""A partition that answered nothing for so long is unavailable."""

_new_record: Final = tuple.__new__


class Fetcher(Protocol):
    """Who fills cursors."""

    def wake(self) -> None:
        """Something may be fetchable that was not."""

    def reads(self, cursor: "Cursor") -> bool:
        """Whether it fetches for this cursor, or for a later one of the same partition."""
        ...

    def drop(self, cursor: "Cursor") -> None:
        """Fetch for it no more."""


class Cursor:
    """One partition's reading position, and what has been fetched beyond it."""

    def __init__(self, fetcher: Fetcher, tp: TopicPartition, offset: int, arrived: asyncio.Event) -> None:
        self.tp = tp
        self._fetcher = fetcher
        self._arrived = arrived
        self.seeks = 0
        self._batches: deque[tuple[Any, int]] = deque()
        self._records: Iterator[Any] | None = None
        self.seek(offset)

    def seek(self, offset: int) -> None:
        """Read from here; what was fetched for another position is dropped, and an answer under way will be."""
        self.seeks += 1
        self.position = offset
        self.ahead = offset
        self.waiting_bytes = 0
        self._batches.clear()
        self._records = None
        self._error: KafkaError | None = None
        self._ended_at: int | None = None
        self._answered = time.monotonic()
        self._fetcher.wake()

    async def take(self, max_records: int, timeout_seconds: float) -> Fetch:
        """What is there now, or what comes first within the timeout; see processors.ports.LaneLog.read."""
        if not self._has_some() and self._error is None:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: before Python 3.12 that can swallow a cancellation, and its task then never ends.
                async with asyncio.timeout(timeout_seconds):
                    await self._arrived.wait()
        return self.take_now(max_records)

    def take_now(self, max_records: int) -> Fetch:
        """What is there now. OffsetOutOfRange, LogUnavailable (no broker answered for long, or taken over)."""
        if self._error is not None:
            error, self._error = self._error, None
            raise OffsetOutOfRange(f"{self.tp} has no offset {self.ahead}") from error
        if not self._has_some() and time.monotonic() - self._answered > AWAY_SECONDS:
            raise LogUnavailable(f"{self.tp}: no broker answered for {AWAY_SECONDS:.0f} s")
        if not self._fetcher.reads(self):
            raise LogUnavailable(f"{self.tp}: another reader in this process has taken over")
        records = self._decode(max_records)
        ended_at = None if self._has_some() else self._ended_at
        if ended_at is not None and wall_ms() - ended_at > FRESH_MS:
            ended_at = None
        return Fetch(records, self.position, ended_at)

    def close(self) -> None:
        self._fetcher.drop(self)

    def accept(self, answer: Answer, asked_at: int) -> None:
        """Take in an answer to a request for `self.ahead`, sent at `asked_at` (wall ms)."""
        self._answered = time.monotonic()
        if answer.error is not None:
            if issubclass(answer.error, OffsetOutOfRangeError):
                self._error = answer.error()
                self._arrived.set()
            return
        batches, following = committed_batches(answer, self.ahead)
        moved = following > self.ahead
        self.ahead = following
        self._batches.extend((batch, answer.size // len(batches)) for batch in batches)
        self.waiting_bytes = sum(size for _, size in self._batches)
        # The end was reported at some moment after the request was sent. Only that much is known: a process that was
        # stopped meanwhile reads an old answer at a new time.
        self._ended_at = asked_at if self.ahead >= answer.high_watermark else None
        if moved:  # also past control records alone
            self._arrived.set()

    def _has_some(self) -> bool:
        return bool(self._batches) or self._records is not None

    def _decode(self, max_records: int) -> list[StoredRecord]:
        taken: list[StoredRecord] = []
        while len(taken) < max_records:
            if self._records is None:
                if not self._batches:
                    break
                batch, size = self._batches.popleft()
                self._records = _decoded(batch, self.position)
                self.waiting_bytes -= size
                if self.waiting_bytes < AHEAD_BYTES <= self.waiting_bytes + size:
                    self._fetcher.wake()
            taken += islice(self._records, max_records - len(taken))
            if len(taken) < max_records:
                self._records = None
        if not self._has_some():
            self.position = self.ahead
        elif taken:
            self.position = taken[-1].offset + 1
        return taken


def _decoded(batch: Iterable[Any], position: int) -> Iterator[StoredRecord]:
    """The records of a batch; it may begin before the position that was asked for."""
    for record in batch:
        offset = record.offset
        if offset >= position:
            yield _new_record(StoredRecord, (offset, record.timestamp, record.key, record.value))


def wall_ms() -> int:
    return time.time_ns() // 1_000_000
