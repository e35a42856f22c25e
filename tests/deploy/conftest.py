"""What several tests of Kafka's parts begin with. A test file may have its own of the same name."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from aiokafka import AIOKafkaProducer

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from tests.contracts.kafka_harness import fresh_topics
from tests.deploy.sent_at_once import connected_producer


@pytest_asyncio.fixture
async def clients(kafka_broker: Cluster) -> KafkaClients:
    """Of topics that are empty, with two partitions each."""
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 2)
    return clients


@pytest_asyncio.fixture
async def producer(clients: KafkaClients) -> AsyncIterator[AIOKafkaProducer]:
    """Connected to its leader, record 0 sent."""
    async with connected_producer(clients) as producer:
        yield producer


@pytest_asyncio.fixture
async def reported() -> list[str]:
    """What asyncio says of failures that nobody has looked at."""
    messages: list[str] = []

    def note(_: object, context: dict[str, object]) -> None:
        messages.append(str(context["message"]))

    asyncio.get_running_loop().set_exception_handler(note)
    return messages
