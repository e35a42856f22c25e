"""One partition on Kafka: fence, committed offset, restored state, committed reads, one transaction per batch."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import TopicPartition

from schemas.records import Fetch, LaneFenced, LogUnavailable, OffsetOutOfRange, Record, StoredRecord, by_partition

COMMIT_SECONDS: Final = 8.0
"""Below the transaction's timeout at the broker: what we give up there was given up here."""

STALLED_SECONDS: Final = 10.0
RESTORE_RECORDS: Final = 5_000

SETTLING_ROUNDS: Final = 5
"""Each ends one transaction, and sees whether that was written."""

SEQUENCE_LIMIT: Final = 2_000_000_000
"""A producer numbers its records to a partition with 31 bits and fails for good when they are used up."""


class Producers(Protocol):
    """What is needed of aiokafka's life cycle."""

    async def producer(self, transactional_id: str) -> AIOKafkaProducer:
        """Started, every predecessor of this id fenced and its open transaction aborted. LogUnavailable."""
        ...

    async def settle(self, producer: AIOKafkaProducer, origin: "Origin") -> bool:
        """End what the log has left open of this id's earlier transactions, though it calls them ended.

        For a producer that has written nothing yet. True: there is nothing. False: something was ended, and this
        producer is of no further use. LogUnavailable: it cannot be seen whether there is, or how to end it.
        """
        ...

    def is_fenced(self, producer: AIOKafkaProducer) -> bool:
        """Has it met a successor?"""
        ...

    def fitting(self, producer: AIOKafkaProducer, records: Sequence[Record], first: int) -> tuple[BatchBuilder, int]:
        """A batch for `producer.send_batch` of as many records as fit, from `first` on, and where the next begins."""
        ...

    async def transact(
        self, producer: AIOKafkaProducer, records: Sequence[Record], origin: "Origin", next_offset: int
    ) -> bool:
        """The records and the origin's offset, committed together, in the fewest requests. Not if it raises.

        False, and nothing done: the brokers do not know how, and the producer's own calls must do it.
        """
        ...

    async def discard(self, producer: AIOKafkaProducer) -> None:
        """Nothing of it is delivered after this returns. Never raises."""
        ...


class Cursor(Protocol):
    """A partition's committed records as they come."""

    position: int

    def seek(self, offset: int) -> None: ...
    async def take(self, max_records: int, timeout_seconds: float) -> Fetch: ...
    def close(self) -> None: ...


class Tail(Protocol):
    """Reads partitions in the background, all of a worker's in one request a broker."""

    async def partitions(self, topic: str) -> int: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    async def committed(self, group: str, topic: str, partition: int) -> int | None: ...
    async def cursor(self, topic: str, partition: int, offset: int) -> Cursor: ...


Delivery = asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a lane consumes, for which group, and the identity that fences its predecessors."""

    group: str
    topic: str
    partition: int
    transactional_id: str


class KafkaLane:
    """See LaneLog. After a commit that raised it can only be closed."""

    def __init__(
        self, producers: Producers, tail: Tail, origin: Origin, on_fenced: Callable[[int], None] = lambda _: None
    ) -> None:
        self.partition = origin.partition
        self.sequence_limit = SEQUENCE_LIMIT
        self._origin = origin
        self._on_fenced = on_fenced
        self._producers = producers
        self._tail = tail
        self._producer: AIOKafkaProducer | None = None
        self._sequences: dict[TopicPartition, int] = defaultdict(int)
        self._cursor: Cursor | None = None
        self._next_offset: int | None = None
        self._fenced = False
        self.closed = False
        self._discarding: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Fence every predecessor. Only after this does the committed offset say where they stopped."""
        await self._fence()

    async def committed(self) -> int:
        """See LaneLog.committed."""
        if self._next_offset is not None:
            # The broker knows of a committed transaction before its group coordinator does: for a while the latter
            # still tells the offset before. Fencing waits for it, our own commits do not.
            return self._next_offset
        offset = await self._tail.committed(self._origin.group, self._origin.topic, self.partition)
        if offset is None:
            offset, _ = await self._tail.bounds(self._origin.topic, self.partition)
        return offset

    async def restore(self, topic: str) -> AsyncIterator[list[StoredRecord]]:
        """See LaneLog.restore."""
        first, end = await self._tail.bounds(topic, self.partition)
        if first >= end:
            return
        cursor = await self._tail.cursor(topic, self.partition, first)
        try:
            moved_at = time.monotonic()
            while (position := cursor.position) < end:
                fetch = await cursor.take(RESTORE_RECORDS, 1.0)
                if fetch.records:
                    yield fetch.records
                if cursor.position > position:
                    moved_at = time.monotonic()
                elif time.monotonic() - moved_at > STALLED_SECONDS:
                    raise LogUnavailable(f"restoring {topic} {self.partition} stands still at {position} of {end}")
        except OffsetOutOfRange as gone:
            raise LogUnavailable(f"{topic} {self.partition} was cut while it was restored") from gone
        finally:
            cursor.close()

    async def end(self, topic: str) -> int:
        """See LaneLog.end."""
        _, end = await self._tail.bounds(topic, self.partition)
        return end

    async def read(self, offset: int, max_records: int, timeout_seconds: float) -> Fetch:
        """See LaneLog.read."""
        if self._cursor is None:
            self._cursor = await self._tail.cursor(self._origin.topic, self.partition, offset)
        elif self._cursor.position != offset:
            self._cursor.seek(offset)
        return await self._cursor.take(max_records, timeout_seconds)

    async def commit(self, records: Sequence[Record], next_offset: int) -> None:
        """See LaneLog.commit."""
        producer = self._producer
        if self._fenced:
            raise LaneFenced(f"lane {self.partition} has a successor")
        if producer is None:
            raise LogUnavailable(f"lane {self.partition} must be opened anew")
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                producer = await self._with_sequences_left(producer)
                await self._transaction(producer, records, next_offset)
                self._next_offset = next_offset
        except asyncio.CancelledError:
            self._give_up(producer)
            raise
        except Exception as failure:
            # aiokafka raises what it likes when a transaction is broken, AssertionError too. All mean: unknown.
            self._give_up(producer)
            if isinstance(failure, (ProducerFenced, InvalidProducerEpoch)) or self._producers.is_fenced(producer):
                self._fenced = True
                self._on_fenced(self.partition)
                raise LaneFenced(f"lane {self.partition} has a successor") from failure
            cause = f", from {failure.__cause__!r}" if isinstance(failure.__cause__, Exception) else ""
            raise LogUnavailable(f"lane {self.partition}: {failure!r}{cause}") from failure

    async def close(self) -> None:
        """See LaneLog.close."""
        self.closed = True
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
        if self._producer is not None:
            self._give_up(self._producer)
        if self._discarding:
            await asyncio.wait(self._discarding)

    async def _fence(self) -> AIOKafkaProducer:
        """A producer whose predecessors are fenced, and have left nothing open."""
        for _ in range(SETTLING_ROUNDS):
            producer = await self._producers.producer(self._origin.transactional_id)
            settled = False
            try:
                settled = await self._producers.settle(producer, self._origin)
            finally:
                if not settled:
                    await self._producers.discard(producer)
            if settled:
                self._producer = producer
                self._sequences.clear()
                return producer
            if self._next_offset is not None:
                # It may have been our last commit, which was acknowledged, and nothing of it is there any more.
                raise LogUnavailable(f"lane {self.partition} must find out anew where it stopped")
        raise LogUnavailable(f"lane {self.partition}: transactions stay open that were ended {SETTLING_ROUNDS} times")

    async def _transaction(self, producer: AIOKafkaProducer, records: Sequence[Record], next_offset: int) -> None:
        if await self._producers.transact(producer, records, self._origin, next_offset):
            return
        await producer.begin_transaction()
        waiting: list[Delivery] = []
        for place, its_records in by_partition(records).items():
            tp = TopicPartition(*place)
            self._sequences[tp] += len(its_records)
            sent = 0
            while sent < len(its_records):
                batch, sent = self._producers.fitting(producer, its_records, sent)
                waiting.append(_seen(await producer.send_batch(batch, tp.topic, partition=tp.partition)))
        offsets = {TopicPartition(self._origin.topic, self.partition): next_offset}
        waiting.append(_seen(asyncio.ensure_future(producer.send_offsets_to_transaction(offsets, self._origin.group))))
        # A failed record does not stop a commit: offset kept, record lost. So every outcome is seen first.
        # Not gather: given up itself, it cancels what it waits for, and a failure that comes then is seen by nobody.
        await asyncio.wait(waiting)
        for outcome in waiting:
            outcome.result()
        await producer.commit_transaction()

    async def _with_sequences_left(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        """The producer, or a new one of the same id before it has numbered its records to the end."""
        if max(self._sequences.values(), default=0) < self.sequence_limit:
            return producer
        self._producer = None
        await self._producers.discard(producer)
        return await self._fence()

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        """Once it has failed it may fail for ever, or deliver late: it goes, while the lane is told at once."""
        self._producer = None
        task = asyncio.get_running_loop().create_task(self._producers.discard(producer))
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)


def _seen(delivery: Delivery) -> Delivery:
    """Its failure is not reported as lost when another one is raised before it."""
    delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
    return delivery
