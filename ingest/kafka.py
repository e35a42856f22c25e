"""The door's log on Kafka: a group commit per partition, and the compacted topics a door follows."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from ingest.kafka_batches import RECORD_OVERHEAD, Batch, PartitionQueue, record_bytes
from ingest.kafka_follow import Tail, follow
from schemas import topics
from schemas.records import LogUnavailable, Record, StoredRecord

logger = logging.getLogger(__name__)

APPEND_SECONDS: Final = 2.5
"""The port promises an answer in under three."""

WAITING_BYTES: Final = 32 * 1024 * 1024
LINGER_SECONDS: Final = 0.003
BUSY_RECORDS: Final = 4
"""When so many records come in a linger, a flush waits that long after the one before: a flush costs as much as dozens
of records, so fuller batches cost the broker and us less. When fewer come, nobody waits."""

STUCK_SECONDS: Final = 20.0
"""A batch unanswered for so long is given up with its producer: a broker away is waited for, a wedged client is not."""

SEQUENCE_LIMIT: Final = 2_000_000_000
"""A producer numbers its records to a partition with 31 bits and fails for good when they are used up."""


class Producers(Protocol):
    """What is needed of aiokafka's life cycle."""

    async def producer(self) -> AIOKafkaProducer:
        """A started idempotent producer. LogUnavailable."""
        ...

    async def discard(self, producer: AIOKafkaProducer) -> None:
        """Nothing of it is delivered after this returns. Never raises."""
        ...

    def send_at_once(
        self,
        producer: AIOKafkaProducer,
        batches: Sequence[Batch],
        answered: Callable[[Batch, BaseException | None], None],
    ) -> Sequence[Batch]:
        """Send these in a request to each leader; the rest is returned. `answered` is told each one's outcome."""
        ...

    def filled(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> BatchBuilder:
        """A batch of these records for `producer.send_batch`."""
        ...


class KafkaLog:
    """EventLog and CompactedTopic. Open it with `open`; one a process."""

    def __init__(self, producers: Producers, tail: Tail, partitions: int, sequence_limit: int = SEQUENCE_LIMIT) -> None:
        self.partitions = partitions
        self.unknown_outcomes = 0
        """Records of which the log did not say in time whether it has them."""
        self.rebuilds = 0
        """Producers thrown away."""
        self._producers = producers
        self._tail = tail
        self._sequence_limit = sequence_limit
        self._producer: AIOKafkaProducer | None = None
        self._queues: dict[tuple[str, int], PartitionQueue] = {}
        self._waiting_bytes = 0
        self._flush_at: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._linger = 0.0
        self._rebuilding: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, producers: Producers, tail: Tail) -> "KafkaLog":
        """A log ready to append. LogUnavailable: no broker, or no topics."""
        log = cls(producers, tail, await tail.partitions(topics.EVENTS.name))
        await log.start()
        return log

    async def start(self) -> None:
        self._producer = await self._producers.producer()
        self._watching = asyncio.create_task(self._watch())

    async def append(self, record: Record) -> None:
        """See EventLog.append."""
        await self._add(record).wait()

    def begin(self, record: Record) -> "asyncio.Future[str | None]":
        """See EventLog.begin. One future a batch."""
        return self._add(record).done

    async def append_all(self, records: Sequence[Record]) -> None:
        """See EventLog.append_all."""
        waiting = list(records)
        while waiting:
            batch = self._add(waiting[0])
            sent = 1
            while sent < len(waiting) and self._room() and batch.add(waiting[sent], record_bytes(waiting[sent])):
                self._waiting_bytes += record_bytes(waiting[sent])
                sent += 1
            batch.seal()
            await batch.wait()
            del waiting[:sent]

    def offer(self, record: Record) -> bool:
        """See EventLog.offer. Half the bound is kept for records that somebody waits for."""
        if self._producer is None or self._waiting_bytes > WAITING_BYTES // 2:
            return False
        self._add(record)
        return True

    def unready(self) -> str | None:
        """See EventLog.unready."""
        if self._producer is None:
            return "Kafka does not answer"
        if not self._room():
            return f"{self._waiting_bytes} bytes wait for Kafka"
        oldest = min((batch.sent_at for queue in self._queues.values() for batch in queue.sent), default=None)
        if oldest is not None and time.monotonic() - oldest > APPEND_SECONDS:
            return f"Kafka has not answered for {time.monotonic() - oldest:.1f} s"
        return None

    async def close(self) -> None:
        """Wait for what was sent, within the append bound, then stop for good."""
        if self._watching is not None:
            self._watching.cancel()
        waits = [batch.done for queue in self._queues.values() for batch in queue.all_batches()]
        if waits:
            await asyncio.wait(waits, timeout=APPEND_SECONDS)
        tasks = [task for task in (self._rebuilding, self._watching, *self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._producers.discard(producer)
        for queue in self._queues.values():
            for batch in queue.all_batches():
                batch.fail("the door stops")

    def follow(self, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
        """See CompactedTopic.follow."""
        return follow(self._tail, topic)

    # One flush sends the open batch of every partition that has none under way: while a batch is, the next one fills.

    def _room(self) -> bool:
        return self._waiting_bytes < WAITING_BYTES

    def _add(self, record: Record) -> Batch:
        if self._waiting_bytes >= WAITING_BYTES:
            raise LogUnavailable(f"{self._waiting_bytes} bytes wait for Kafka already")
        where = record[:2]
        queue = self._queues.get(where)
        if queue is None:
            queue = self._queues[where] = PartitionQueue(*where)
        _, _, key, value = record
        size = len(key) + len(value or b"") + RECORD_OVERHEAD
        batch = queue.add(record, size, APPEND_SECONDS, self._expire)
        self._waiting_bytes += size
        if self._flush_at is None and not queue.sent:
            self._plan_flush()
        return batch

    def _plan_flush(self) -> None:
        if self._flush_at is None and self._producer is not None:
            loop = asyncio.get_running_loop()
            # Idle: at once, but after the requests that this turn of the loop still brings.
            delay = self._flushed_at + self._linger - loop.time()
            self._flush_at = loop.call_later(max(delay, 0.0), self._flush)

    def _flush(self) -> None:
        self._flush_at = None
        producer = self._producer
        if producer is None:  # being rebuilt: it plans a flush at its end
            return
        batches = [queue.take() for queue in self._queues.values() if queue.sendable()]
        if not batches:
            return
        now = asyncio.get_running_loop().time()
        records = sum(len(batch.records) for batch in batches)
        is_busy = records * LINGER_SECONDS >= BUSY_RECORDS * (now - self._flushed_at)
        self._linger = LINGER_SECONDS if is_busy else 0.0
        self._flushed_at = now
        for batch in batches:
            batch.queue.sequence += len(batch.records)
        left = self._producers.send_at_once(producer, batches, partial(self._answered, producer))
        if left:
            task = asyncio.create_task(self._send(producer, left))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, producer: AIOKafkaProducer, batches: Sequence[Batch]) -> None:
        """By aiokafka's own way, which waits for a leader, a connection or an answer."""
        for batch in batches:
            queue = batch.queue
            if batch not in queue.sent:  # given up with its producer while one before it waited; it has been told
                continue
            given_up = self._producer is not producer
            if given_up:
                queue.put_back(batch)
                continue
            try:
                built = self._producers.filled(producer, batch.records)
                sent = await producer.send_batch(built, queue.topic, partition=queue.partition)
            except Exception as failure:  # noqa: BLE001  a dead producer raises what it likes, AssertionError too
                self._failed(producer, batch, failure)
            else:
                sent.add_done_callback(lambda future, batch=batch: self._answered(producer, batch, _failure_of(future)))

    def _answered(self, producer: AIOKafkaProducer, batch: Batch, failure: BaseException | None) -> None:
        if failure is not None:
            self._failed(producer, batch, failure)
            return
        queue = batch.queue
        if batch in queue.sent:
            queue.sent.discard(batch)
            self._waiting_bytes -= batch.size
        batch.succeed()
        if queue.sequence > self._sequence_limit:
            self._rebuild(producer)
        if queue.sendable():
            self._plan_flush()

    def _failed(self, producer: AIOKafkaProducer, batch: Batch, failure: BaseException) -> None:
        """After one failed batch its partition's sequence is broken for this producer: it goes, whatever it was."""
        if batch in batch.queue.sent:
            batch.queue.sent.discard(batch)
            self._waiting_bytes -= batch.size
            self.unknown_outcomes += batch.fail(f"Kafka refused it: {failure!r}")
        self._rebuild(producer)

    def _expire(self, batch: Batch) -> None:
        """Its time is up. One that was not sent yet never will be; one that was may still arrive, once."""
        if batch.queue.drop_unsent(batch):
            self._waiting_bytes -= batch.size
            batch.fail("Kafka does not answer")
        else:
            self.unknown_outcomes += batch.fail("Kafka has not answered in time")

    def _rebuild(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            self.rebuilds += 1
            self._rebuilding = asyncio.create_task(self._replace(producer))

    async def _replace(self, old: AIOKafkaProducer) -> None:
        """Throw a producer away; what it had sent has an unknown outcome, what still waits goes to its successor."""
        pending = [batch.done for queue in self._queues.values() for batch in queue.sent]
        if pending:  # other partitions may be well
            await asyncio.wait(pending, timeout=0.5)
        await self._producers.discard(old)
        for queue in self._queues.values():
            for batch in list(queue.sent):
                queue.sent.discard(batch)
                self._waiting_bytes -= batch.size
                self.unknown_outcomes += batch.fail("its producer was given up")
            queue.sequence = 0
        backoff = 0.1
        while self._producer is None:
            try:
                self._producer = await self._producers.producer()
            except Exception as away:  # noqa: BLE001  whatever it is, who gives up here is a door no more
                logger.warning("no producer yet: %s", away)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, 1.0)
        if any(queue.sendable() for queue in self._queues.values()):
            self._plan_flush()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            producer, now = self._producer, time.monotonic()
            stuck = any(now - batch.sent_at > STUCK_SECONDS for queue in self._queues.values() for batch in queue.sent)
            if producer is not None and stuck:
                logger.warning("Kafka has not answered for %.0f s: opening a new producer", STUCK_SECONDS)
                self._rebuild(producer)


def _failure_of(sent: "asyncio.Future[object]") -> BaseException | None:
    return asyncio.CancelledError() if sent.cancelled() else sent.exception()
