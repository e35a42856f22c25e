"""What waits for Kafka: batches of one partition, of which one is under way while the next fills."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from schemas.records import LogUnavailable, Record

BATCH_BYTES: Final = 880_000
"""With its header a batch stays below the producer's batch size, so every record taken fits."""

RECORD_OVERHEAD: Final = 32
"""Lengths, deltas and attributes of one record, at most."""


class Batch:
    """Records that share a produce request and an outcome. All who wait for one of them wait for the batch."""

    __slots__ = ("_sealed", "done", "queue", "records", "sent_at", "size")

    def __init__(self, queue: "PartitionQueue") -> None:
        self.queue = queue
        self.size = 0
        self.sent_at = 0.0
        self.done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.records: list[Record] = []
        self._sealed = False

    def add(self, record: Record, size: int) -> bool:
        """A record of so many bytes. False: the batch is full or on its way. The first record always fits."""
        if self._sealed or (self.records and self.size + size > BATCH_BYTES):
            return False
        self.records.append(record)
        self.size += size
        return True

    def seal(self) -> None:
        self._sealed = True

    async def wait(self) -> None:
        """Return when it is durable; LogUnavailable when that is not known."""
        failure = await asyncio.shield(self.done)  # one who leaves does not take the others along
        if failure is not None:
            raise LogUnavailable(failure)

    def succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> int:
        """Tell all who wait; how many records that made unknown (0 when they had been told)."""
        if self.done.done():
            return 0
        self.done.set_result(reason)
        return len(self.records)


class PartitionQueue:
    """One partition: at most one batch sent, the others waiting in order."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.sequence = 0
        """Records given to the current producer."""
        self.sent: set[Batch] = set()
        self._waiting: deque[Batch] = deque()

    def add(self, record: Record, size: int, bound_seconds: float, expire: Callable[[Batch], None]) -> Batch:
        """Put a record into the newest batch, or begin one; `expire` is called when it is not done within the bound."""
        waiting = self._waiting
        if waiting:
            batch = waiting[-1]
            if batch.add(record, size):
                return batch
        batch = Batch(self)
        batch.add(record, size)
        self._waiting.append(batch)
        alarm = asyncio.get_running_loop().call_later(bound_seconds, expire, batch)
        batch.done.add_done_callback(lambda _: alarm.cancel())
        return batch

    def sendable(self) -> bool:
        return bool(self._waiting) and not self.sent

    def take(self) -> Batch:
        """The next batch, now on its way."""
        batch = self._waiting.popleft()
        batch.seal()
        batch.sent_at = time.monotonic()
        self.sent.add(batch)
        return batch

    def put_back(self, batch: Batch) -> None:
        """It was not given to a producer after all."""
        self.sent.discard(batch)
        self._waiting.appendleft(batch)

    def drop_unsent(self, batch: Batch) -> bool:
        """Forget a batch that still waits; False when it has been sent."""
        if batch in self.sent or batch not in self._waiting:
            return False
        self._waiting.remove(batch)
        return True

    def all_batches(self) -> Iterator[Batch]:
        yield from [*self.sent, *self._waiting]


def record_bytes(record: Record) -> int:
    return len(record.key) + len(record.value or b"") + RECORD_OVERHEAD
