"""The door's log on a real broker: group commit, outages, refused batches, rotation."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy import kafka_client
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from ingest import kafka as door
from ingest.kafka import KafkaLog
from schemas import topics
from schemas.records import LogUnavailable, Record
from tests.contracts.kafka_harness import KafkaHarness, committed_records, fresh_topics, set_topic

EVENTS = topics.EVENTS.name
CLOSED = topics.CLOSED.name


@pytest_asyncio.fixture
async def kafka(kafka_broker: Cluster) -> AsyncIterator[KafkaHarness]:
    async with AsyncExitStack() as closing:
        harness = KafkaHarness(kafka_broker, closing)
        await fresh_topics(harness.clients, 3)
        yield harness


def event(number: int, partition: int = 0, topic: str = EVENTS, size: int = 0) -> Record:
    return Record(topic, partition, b"sid", f"{number}".encode().ljust(size))


async def numbers(clients: KafkaClients, partition: int = 0, topic: str = EVENTS) -> list[int]:
    return [int(record.value or b"-1") for record in await committed_records(clients, topic, partition)]


async def outcomes(*appends: asyncio.Task[None]) -> list[str]:
    results = await asyncio.gather(*appends, return_exceptions=True)
    return ["durable" if result is None else type(result).__name__ for result in results]


def background(log: KafkaLog, *records: Record) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(log.append(record)) for record in records]


async def test_requests_that_come_together_share_a_batch_and_keep_their_order(
    kafka: KafkaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    send_at_once = kafka_client.send_at_once

    def counted(producer: Any, batches: Any, answered: Any) -> Any:
        sent.extend(batches)
        return send_at_once(producer, batches, answered)

    monkeypatch.setattr(kafka_client, "send_at_once", counted)
    log = await kafka.door()
    await asyncio.gather(*(log.append(event(n, partition)) for n in range(200) for partition in (0, 1)))
    assert len(sent) < 20
    assert await numbers(kafka.clients, 0) == list(range(200))
    assert await numbers(kafka.clients, 1) == list(range(200))


async def test_one_who_leaves_takes_nobody_along(kafka: KafkaHarness) -> None:
    log = await kafka.door()
    first, second = background(log, event(1), event(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert await numbers(kafka.clients) == [1, 2]


async def test_an_offline_batch_larger_than_a_produce_request_is_written_whole_and_in_order(
    kafka: KafkaHarness,
) -> None:
    log = await kafka.door()
    await log.append_all([event(n, size=50_000) for n in range(60)])
    assert await numbers(kafka.clients) == list(range(60))


async def test_while_the_broker_stands_still_each_append_answers_in_time_and_nothing_is_lost_or_doubled(
    kafka: KafkaHarness,
) -> None:
    log = await kafka.door()
    await log.append(event(0))
    async with kafka.outage():
        [under_way] = background(log, event(1))
        await asyncio.sleep(0.05)  # it is on its way before the next comes
        waiting = background(log, event(2), event(3))
        async with asyncio.timeout(3.0):
            assert await outcomes(under_way, *waiting) == ["LogUnavailable"] * 3
        assert log.unready() is not None
        assert log.unknown_outcomes == 1
        late = background(log, event(4))
    assert await outcomes(*late) == ["durable"]
    assert log.unready() is None
    # What had been sent arrives, once; what had not is gone for good, as its senders were told.
    assert await numbers(kafka.clients) == [0, 1, 4]


async def test_a_broker_that_was_killed_and_comes_back_is_found_again(
    kafka: KafkaHarness, kafka_broker: Cluster
) -> None:
    log = await kafka.door()
    await log.append(event(0))
    kafka_broker.signal(1, signal.SIGKILL)
    [lost] = background(log, event(1))
    assert await outcomes(lost) == ["LogUnavailable"]
    kafka_broker.launch(1)
    await asyncio.to_thread(kafka_broker.wait)
    number = 2
    async with asyncio.timeout(60):
        while await outcomes(*background(log, event(number))) != ["durable"]:
            number += 1
    written = await numbers(kafka.clients)
    assert written[0] == 0
    assert written[-1] == number
    assert sorted(set(written)) == written


async def test_a_refused_batch_costs_its_own_requests_and_the_producer_but_no_other_request(
    kafka: KafkaHarness,
) -> None:
    log = await kafka.door()
    await log.append(event(0))
    await set_topic(kafka.clients, EVENTS, "max.message.bytes", "2000")
    refused = background(log, event(1, size=4000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = background(log, event(2), event(3), event(4, partition=1))
    assert await outcomes(*refused) == ["LogUnavailable"]
    assert await outcomes(*waiting) == ["durable"] * 3
    assert log.rebuilds == 1
    await log.append(event(5))
    assert await numbers(kafka.clients) == [0, 2, 3, 5]
    assert await numbers(kafka.clients, 1) == [4]


async def test_a_producer_is_replaced_before_its_sequence_is_used_up_and_no_request_notices(
    kafka: KafkaHarness,
) -> None:
    log = await kafka.door()
    log._sequence_limit = 20
    for first in range(0, 100, 10):
        await asyncio.gather(*(log.append(event(n)) for n in range(first, first + 10)))
    assert log.rebuilds >= 3
    assert log.unknown_outcomes == 0
    assert await numbers(kafka.clients) == list(range(100))


async def test_beyond_the_bound_of_waiting_bytes_requests_are_refused_at_once_and_offers_earlier(
    kafka: KafkaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "WAITING_BYTES", 10_000)
    log = await kafka.door()
    async with kafka.outage():
        first = background(log, event(1, size=6_000))
        await asyncio.sleep(0)
        assert not log.offer(event(2, topic=topics.REJECTS.name))
        second = background(log, event(3, size=6_000))
        await asyncio.sleep(0)
        with pytest.raises(LogUnavailable):
            await log.append(event(4))
        assert "bytes wait" in (log.unready() or "")
        await outcomes(*first, *second)


async def test_a_wedged_producer_is_given_up(kafka: KafkaHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await kafka.door()
    assert log._producer is not None
    monkeypatch.setattr(door, "STUCK_SECONDS", 0.1)
    wedged: AIOKafkaProducer = log._producer

    async def never(*_: object, **__: object) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()

    wedged.send_batch = never
    wedged._sender._in_flight.add(1)  # connected to its leader or not, it has no other way
    assert await outcomes(*background(log, event(1))) == ["LogUnavailable"]
    await log.append(event(2))
    assert log._producer is not wedged
    assert await numbers(kafka.clients) == [2]


async def test_following_a_topic_goes_on_through_an_outage(kafka: KafkaHarness) -> None:
    log = await kafka.door()
    await log.append(event(1, topic=CLOSED))
    seen: list[int] = []
    caught_up = asyncio.Event()
    changed = asyncio.Event()

    async def follow() -> None:
        async for records in log.follow(CLOSED):
            if records is None:
                caught_up.set()
            else:
                seen.extend(int(record.value or b"-1") for record in records)
                changed.set()

    following = asyncio.create_task(follow())
    await caught_up.wait()
    assert seen == [1]
    async with kafka.outage():
        await asyncio.sleep(0.5)  # longer than a poll
    changed.clear()
    await log.append(event(2, topic=CLOSED))
    async with asyncio.timeout(20):
        await changed.wait()
    assert seen == [1, 2]
    following.cancel()


async def test_a_producer_whose_bytes_a_broker_does_not_take_is_replaced_and_they_never_arrive(
    kafka: KafkaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await kafka.door()
    await log.append(event(0))
    assert log._producer is not None
    connections = list(log._producer.client._conns.values())
    for connection in connections:
        connection._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    monkeypatch.setattr(door, "STUCK_SECONDS", 0.1)
    async with kafka.outage():
        assert await outcomes(*background(log, event(1, size=800_000))) == ["LogUnavailable"]
        monkeypatch.undo()
        async with asyncio.timeout(20):
            while any(connection._protocol._transport for connection in connections):  # noqa: ASYNC110  told nobody
                await asyncio.sleep(0.05)
    number = 2
    async with asyncio.timeout(20):
        while await outcomes(*background(log, event(number))) != ["durable"]:
            number += 1
    assert log.rebuilds == 1
    assert await numbers(kafka.clients) == [0, number]
