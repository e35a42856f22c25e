"""A worker's place in its group: a static member that takes part in assignments and never fetches."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.kafka_client import KafkaClients

logger = logging.getLogger(__name__)

POLL_MS: Final = 60_000
STOP_SECONDS: Final = 5.0


class Member:
    """Kept alive by a task that polls: a member that does not poll for minutes is put out of the group."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Stop without leaving the group: the next holder of the slot takes its partitions back. Never raises."""
        self._polling.cancel()
        await asyncio.wait([self._polling])
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await self._consumer.stop()

    async def _poll(self) -> None:
        while True:
            try:
                await self._consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as failure:  # of the coordination; it goes on once it has been told
                logger.warning("group membership: %r", failure)
                await asyncio.sleep(0.5)


class Groups:
    """Opens memberships of one cluster's groups."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients

    async def member(self, group: str, slot: str, topic: str, assigned: Callable[[frozenset[int]], None]) -> Member:
        """Join, and return once there is an assignment. LogUnavailable."""
        listener = _Pausing(assigned)
        consumer = self._clients.group_consumer(group, slot)
        listener.consumer = consumer
        consumer.subscribe([topic], listener=listener)
        await self._clients.started(consumer)
        return Member(consumer)


class _Pausing(ConsumerRebalanceListener):  # type: ignore[misc]  # no stubs
    """Tells of assignments, and sees to it that nothing is fetched: lanes read through their own fetcher."""

    def __init__(self, assigned: Callable[[frozenset[int]], None]) -> None:
        self._assigned = assigned
        self.consumer: AIOKafkaConsumer

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing: until the group has settled the lanes go on, and who takes one over fences it."""

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        tps = list(assigned)
        # First and synchronously: fetching of a new assignment starts while this still runs.
        self.consumer.pause(*tps)
        self._assigned(frozenset(tp.partition for tp in tps))
