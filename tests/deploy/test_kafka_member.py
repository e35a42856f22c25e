"""Being a member of a group on a real broker, also when the client's coordination dies."""

import asyncio

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_member import Groups
from schemas import topics
from tests.contracts.kafka_harness import fresh_topics


async def test_a_member_whose_coordination_died_joins_again(kafka_broker: Cluster) -> None:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 2)
    told: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    member = await Groups(clients).member("dying", "a", topics.EVENTS.name, told.put_nowait)
    try:
        assert await told.get() == {0, 1}
        first = member._consumer

        async def broken(*_: object) -> None:
            raise RuntimeError("a defect in the client")

        first._coordinator.ensure_active_group = broken
        first._coordinator.request_rejoin()
        async with asyncio.timeout(40):
            assert await told.get() == {0, 1}
        assert member._consumer is not first
    finally:
        await member.close()


async def test_nothing_is_fetched_by_a_member(kafka_broker: Cluster) -> None:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 2)
    producer = await clients.producer()
    told: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    member = await Groups(clients).member("idle", "a", topics.EVENTS.name, told.put_nowait)
    try:
        await told.get()
        await producer.send_and_wait(topics.EVENTS.name, b"x" * 1000, partition=0)
        assert member._consumer.paused() == member._consumer.assignment() != set()
        assert not member._consumer._fetcher._records
    finally:
        await member.close()
        await clients.discard(producer)
