"""A real broker in the contract suite: its topics are made anew for each test."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy import topic_admin
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_fetch import Tail
from deploy.kafka_log import door_log, lane_group
from ingest.kafka import KafkaLog
from processors.kafka import KafkaLaneGroup
from schemas import topics
from schemas.records import LogUnavailable, StoredRecord
from tests.contracts.harness import PARTITIONS


class KafkaHarness:
    def __init__(self, cluster: Cluster, closing: AsyncExitStack, *, two_steps: bool = True) -> None:
        self.clients = KafkaClients(cluster.bootstrap, two_steps=two_steps)
        self.group_name = f"group-{uuid.uuid4().hex[:8]}"
        self._cluster = cluster
        self._closing = closing

    async def door(self) -> KafkaLog:
        return await self._closing.enter_async_context(door_log(self.clients))

    async def group(self, slot: str) -> KafkaLaneGroup:
        return await self._closing.enter_async_context(lane_group(self.clients, self.group_name, slot))

    async def committed(self, topic: str, partition: int) -> list[StoredRecord]:
        return await committed_records(self.clients, topic, partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        admin = await self.clients.admin()
        try:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})
        finally:
            await admin.close()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """The broker's process stands still: connections stay, nothing is answered."""
        self._cluster.signal(1, signal.SIGSTOP)
        try:
            yield
        finally:
            self._cluster.signal(1, signal.SIGCONT)


@asynccontextmanager
async def open_harness(request: pytest.FixtureRequest, *, two_steps: bool = True) -> AsyncIterator[KafkaHarness]:
    cluster: Cluster = request.getfixturevalue("kafka_broker")
    async with AsyncExitStack() as closing:
        harness = KafkaHarness(cluster, closing, two_steps=two_steps)
        await fresh_topics(harness.clients, PARTITIONS)
        yield harness


open_classic_harness = partial(open_harness, two_steps=False)
"""Lanes write their transactions as to brokers before `transaction.version` 2."""


async def fresh_topics(clients: KafkaClients, partitions: int) -> None:
    """Every topic, empty. A broker that the test before has stopped may be away from its own cluster for a moment."""
    async with asyncio.timeout(60):
        while True:
            try:
                await _made_anew(clients, partitions)
            except (KafkaError, LogUnavailable):
                await asyncio.sleep(0.1)
            else:
                return


async def _made_anew(clients: KafkaClients, partitions: int) -> None:
    admin = await clients.admin()
    try:
        while names := set(await admin.list_topics()) & topics.BY_NAME.keys():
            await admin.delete_topics(sorted(names))
    finally:
        await admin.close()
    await topic_admin.create(clients, partitions, 1)
    await differences(clients, 0, partitions)


async def differences(clients: KafkaClients, count: int, partitions: int | None = None) -> list[str]:
    """The differences `check` names, once there are so many: a broker learns of changes a little later."""
    async with asyncio.timeout(20):
        while len(found := await topic_admin.check(clients, partitions)) != count:  # noqa: ASYNC110  the broker tells nobody
            await asyncio.sleep(0.02)
    return found


async def committed_records(clients: KafkaClients, topic: str, partition: int) -> list[StoredRecord]:
    """What a read_committed reader that comes now would see."""
    tail = Tail(clients)
    try:
        position, end = await tail.bounds(topic, partition)
        cursor = await tail.cursor(topic, partition, position)
        records: list[StoredRecord] = []
        while cursor.position < end:
            records += (await cursor.take(10_000, 1.0)).records
        return records
    finally:
        await tail.close()


async def set_topic(clients: KafkaClients, topic: str, name: str, value: str) -> None:
    """Change one setting of a topic, its others as made, and return when the broker goes by it.

    Asked until it is done: a node that gets no time to tell its controller that it lives is nobody's for a moment.
    """
    configs = {**topic_admin.settings(topics.BY_NAME[topic], 1), name: value}
    async with asyncio.timeout(60):
        while True:
            admin = await clients.admin()
            try:
                for answer in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)]):
                    assert [code for code, *_ in answer.resources] == [0], answer
                while (await topic_admin._configs(admin, [topic]))[topic][name] != value:  # noqa: ASYNC110  the broker tells nobody
                    await asyncio.sleep(0.02)
            except KafkaError:
                await asyncio.sleep(0.2)
            else:
                return
            finally:
                await admin.close()
