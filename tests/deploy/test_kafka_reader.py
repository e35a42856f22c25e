"""Reading a Kafka topic from outside."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy import kafka_fetch
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_reader import KafkaReader, kafka_reader
from schemas import topics
from schemas.records import LogUnavailable
from tests.contracts.kafka_harness import fresh_topics

ROWS = topics.SESSION_CLOSE.name


@pytest_asyncio.fixture
async def clients(kafka_broker: Cluster) -> KafkaClients:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 3)
    return clients


@pytest_asyncio.fixture
async def reader(clients: KafkaClients) -> AsyncIterator[KafkaReader]:
    reader = await kafka_reader(clients)
    yield reader
    await reader.close()


async def write(clients: KafkaClients, *values: bytes, partition: int = 0, holds: bool = True) -> None:
    producer = await clients.producer("writer")
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(ROWS, value, key=b"k", partition=partition)
    await (producer.commit_transaction() if holds else producer.abort_transaction())
    await clients.discard(producer)


async def test_what_is_there_is_read_to_its_end_committed_records_only(
    clients: KafkaClients, reader: KafkaReader
) -> None:
    await write(clients, b"1", b"2")
    await write(clients, b"no", holds=False)
    await write(clients, b"3", partition=2)
    found: dict[int, list[bytes | None]] = {}
    async for partition, records in reader.records(ROWS, from_start=True, follow=False):
        found.setdefault(partition, []).extend(record.value for record in records)
    assert found == {0: [b"1", b"2"], 2: [b"3"]}


async def test_the_cluster_says_how_many_partitions_there_are(reader: KafkaReader) -> None:
    assert await reader.partitions() == 3


async def test_an_empty_topic_ends_at_once(reader: KafkaReader) -> None:
    assert [found async for found in reader.records(ROWS, from_start=True, follow=False)] == []


async def test_a_topic_that_does_not_exist_is_named_with_what_to_do(
    reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_fetch, "ASK_SECONDS", 0.3)
    with pytest.raises(LogUnavailable, match=r"media\.nothing\.v1 has .*mediabeat topics check"):
        await anext(reader.records("media.nothing.v1", from_start=True, follow=False))


async def test_following_from_the_end_gives_what_comes_after(clients: KafkaClients, reader: KafkaReader) -> None:
    await write(clients, b"before")
    following = reader.records(ROWS, from_start=False, follow=True)
    first = asyncio.ensure_future(anext(following))
    while len(reader._tail._cursors) < 3:  # noqa: ASYNC110  until it has taken its positions
        await asyncio.sleep(0.01)
    await write(clients, b"after")
    async with asyncio.timeout(20):
        partition, records = await first
    assert (partition, [record.value for record in records]) == (0, [b"after"])
    await following.aclose()


async def test_no_broker_is_said_as_such() -> None:
    with pytest.raises(LogUnavailable, match="no Kafka at"):
        await kafka_reader(KafkaClients("127.0.0.1:1"))
