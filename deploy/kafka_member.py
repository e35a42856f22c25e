"""A worker's place in its group: a static member that takes part in assignments and never fetches."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.kafka_client import KafkaClients
from deploy.kafka_slot import refuse_if_held
from schemas.records import LogUnavailable

logger = logging.getLogger(__name__)

POLL_MS: Final = 10_000
STOP_SECONDS: Final = 5.0
BACKOFF_SECONDS: Final = 0.5


class Member:
    """Kept alive by a task that polls: a member that does not poll for minutes is put out of the group."""

    def __init__(self, consumer: AIOKafkaConsumer, join: Callable[[], Awaitable[AIOKafkaConsumer]]) -> None:
        self._consumer = consumer
        self._join = join
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Stop without leaving the group: the next holder of the slot takes its partitions back. Never raises."""
        self._polling.cancel()
        await asyncio.wait([self._polling])
        await self._stop()

    async def _poll(self) -> None:
        while True:
            try:
                await self._consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as failure:
                # After an error its coordination may be dead: no heartbeats, put out of the group, and nobody told.
                logger.warning("joining the group anew: %r", failure)
                await self._stop()
                await self._join_anew()

    async def _join_anew(self) -> None:
        while True:
            try:
                self._consumer = await self._join()
            except LogUnavailable as away:
                logger.warning("not in the group: %s", away)
                await asyncio.sleep(BACKOFF_SECONDS)
            else:
                return

    async def _stop(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await self._consumer.stop()


class Groups:
    """Opens memberships of one cluster's groups."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients

    async def member(self, group: str, slot: str, topic: str, assigned: Callable[[frozenset[int]], None]) -> Member:
        """Join, and return once there is an assignment. LogUnavailable; Failure when another host holds the slot."""
        await refuse_if_held(self._clients, group, slot)

        async def join() -> AIOKafkaConsumer:
            listener = _Pausing(assigned)
            consumer = listener.consumer = self._clients.group_consumer(group, slot)
            consumer.subscribe([topic], listener=listener)
            await self._clients.started(consumer)
            return consumer

        return Member(await join(), join)


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
