"""Batches that are sent at once, what each was told, and what of them is on the topic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.structs import TopicPartition

from deploy.kafka_client import KafkaClients
from deploy.kafka_produce import send_at_once
from schemas import topics
from schemas.records import Record
from tests.contracts.kafka_harness import committed_records

EVENTS = topics.EVENTS.name


class Batch:
    """A batch, and what it was told."""

    def __init__(self, *numbers: int, partition: int = 0, size: int = 0) -> None:
        self.records = [Record(EVENTS, partition, b"sid", b"%d" % number + b" " * size) for number in numbers]
        self.outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def tell(self, failure: BaseException | None) -> None:
        self.outcome.set_result(failure)  # a second time raises


def send(producer: AIOKafkaProducer, *batches: Batch) -> list[Batch]:
    return send_at_once(producer, batches, Batch.tell)


@asynccontextmanager
async def connected_producer(clients: KafkaClients) -> AsyncIterator[AIOKafkaProducer]:
    """Connected to its leader, with record 0 sent to partition 0."""
    producer = await clients.producer()
    try:
        await send_the_other_way(producer, 0)
        yield producer
    finally:
        await clients.discard(producer)


async def send_the_other_way(producer: AIOKafkaProducer, number: int, partition: int = 0) -> None:
    await producer.send_and_wait(EVENTS, b"%d" % number, b"sid", partition=partition)


def connection_of(producer: AIOKafkaProducer) -> AIOKafkaConnection:
    leader = producer.client.cluster.leader_for_partition(TopicPartition(EVENTS, 0))
    found = producer.client._conns[leader, ConnectionGroup.DEFAULT]
    assert isinstance(found, AIOKafkaConnection)
    return found


async def numbers(clients: KafkaClients, partition: int = 0) -> list[int]:
    return [int(record.value or b"") for record in await committed_records(clients, EVENTS, partition)]
