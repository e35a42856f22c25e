"""When the door's log sends what waits, told without a broker: a producer that has everything at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingest import kafka
from ingest.kafka import KafkaLog
from schemas.records import LogUnavailable, Record

PARTITIONS = 3


class ReadyProducers:
    """Each batch is durable as soon as it is sent; what was sent is in `flushes`, by partition."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[Record]]] = []

    async def producer(self) -> Any:
        return self

    async def discard(self, producer: Any) -> None: ...

    def send_at_once(self, producer: Any, batches: Sequence[Any], answered: Any) -> Sequence[Any]:
        return batches

    def filled(self, producer: Any, records: Sequence[Record]) -> Any:
        return list(records)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.sent.append((partition, batch))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[KafkaLog, ReadyProducers]]:
    producers = ReadyProducers()
    log = KafkaLog(producers, None, PARTITIONS)  # type: ignore[arg-type]
    await log.start()
    try:
        yield log, producers
    finally:
        await log.close()


def events(count: int) -> list[Record]:
    return [Record("t", number % PARTITIONS, b"k", b"%d" % number) for number in range(count)]


def long_ago(log: KafkaLog) -> None:
    """As if the flush before this had been a minute ago."""
    log._flushed_at = asyncio.get_running_loop().time() - 60.0


async def test_what_comes_in_one_turn_of_the_loop_is_one_batch_a_partition_in_order() -> None:
    async with opened() as (log, producers):
        futures = {log.begin(record) for record in events(30)}
        assert len(futures) == PARTITIONS
        await asyncio.gather(*futures)
        assert sorted(producers.sent) == [(part, events(30)[part::PARTITIONS]) for part in range(PARTITIONS)]


async def test_when_little_comes_nobody_waits() -> None:
    async with opened() as (log, _):
        for record in events(3):
            long_ago(log)
            await log.begin(record)
            assert log._linger == 0.0


async def test_when_much_comes_the_next_flush_waits_and_a_pause_ends_that() -> None:
    async with opened() as (log, producers):
        await asyncio.gather(*{log.begin(record) for record in events(50)})
        log._flushed_at = asyncio.get_running_loop().time()
        await asyncio.gather(*{log.begin(record) for record in events(50)})
        assert log._linger == kafka.LINGER_SECONDS
        flushed_at, sent = log._flushed_at, len(producers.sent)
        future = log.begin(events(1)[0])
        assert log._flush_at is not None
        assert log._flush_at.when() >= flushed_at + kafka.LINGER_SECONDS - 0.001
        await future
        assert len(producers.sent) == sent + 1
        long_ago(log)
        await log.begin(events(1)[0])
        assert log._linger == 0.0


async def test_while_a_partition_has_a_batch_under_way_its_next_one_fills() -> None:
    async with opened() as (log, producers):
        gate = asyncio.get_running_loop().create_future()

        async def held(batch: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
            producers.sent.append((partition, batch))
            return gate

        log._producer.send_batch = held  # type: ignore[union-attr]
        first = log.begin(Record("t", 0, b"k", b"1"))
        while not producers.sent:  # noqa: ASYNC110 - a flush wakes nobody
            await asyncio.sleep(0)
        waiting = [log.begin(Record("t", 0, b"k", value)) for value in (b"2", b"3")]
        assert waiting[0] is waiting[1]
        assert log._flush_at is None
        gate.set_result(None)
        await asyncio.gather(first, waiting[0])
        assert [[record.value for record in batch] for _, batch in producers.sent] == [[b"1"], [b"2", b"3"]]


class Hesitant:
    """A producer that waits before it takes a batch, and is gone when the wait is over."""

    def __init__(self) -> None:
        self.reached, self.gone = asyncio.Event(), asyncio.Event()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.reached.set()
        await self.gone.wait()
        raise AssertionError("stopped")


async def test_what_was_told_while_it_waited_to_be_handed_over_is_not_sent_afterwards() -> None:
    async with opened() as (log, producers):
        hesitant: Any = Hesitant()
        log._producer = hesitant
        outcomes = [log.begin(record) for record in events(PARTITIONS)]
        await hesitant.reached.wait()
        log._rebuild(hesitant)
        assert None not in await asyncio.gather(*outcomes)
        assert log._waiting_bytes == 0
        hesitant.gone.set()
        while log._sending:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        await log.begin(events(1)[0])
        assert producers.sent == [(0, events(1))]
        assert log._waiting_bytes == 0


async def test_a_producer_that_cannot_be_opened_for_an_unknown_reason_is_opened_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened() as (log, producers):
        reasons = iter([KeyError("no error of Kafka's"), LogUnavailable("away")])

        async def producer() -> Any:
            for reason in reasons:
                raise reason
            return producers

        monkeypatch.setattr(producers, "producer", producer)
        log._rebuild(log._producer)  # type: ignore[arg-type]
        await log.append(events(1)[0])
        assert producers.sent == [(0, events(1))]
