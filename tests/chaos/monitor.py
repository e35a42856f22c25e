"""Watches how far the workers have come, and says how long they took to recover from what was done to them."""

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from deploy.kafka_client import KafkaClients
from schemas import topics
from schemas.records import LogUnavailable

LOOK_SECONDS = 0.2
LATEST = -1
UNCOMMITTED = 0


class Sample(NamedTuple):
    """Offsets of the events topic, by partition: where it ends, and up to where the workers have committed."""

    at: float
    ends: tuple[int, ...]
    committed: tuple[int, ...]


class Monitor:
    def __init__(self, clients: KafkaClients, group: str, partitions: int) -> None:
        self._clients = clients
        self._group = group
        self._partitions = list(range(partitions))
        self._samples: list[Sample] = []

    async def run(self) -> None:
        """Look again and again, over every outage, until cancelled."""
        while True:
            try:
                client = await self._clients.connection()
            except LogUnavailable:
                continue
            try:
                while True:
                    await self._look(client)
                    await asyncio.sleep(LOOK_SECONDS)
            except (KafkaError, LookupError):
                await asyncio.sleep(LOOK_SECONDS)
            finally:
                await client.close()

    def recovery_seconds(self, since: float) -> float | None:
        """From then until every event that stood on the log at that moment was committed; None when that never was."""
        before = [sample for sample in self._samples if sample.at <= since]
        goal = before[-1].ends if before else ()
        for sample in self._samples[len(before) :]:
            if all(committed >= end for committed, end in zip(sample.committed, goal, strict=True)):
                return sample.at - since
        return None

    def has_caught_up(self, since: float) -> bool:
        """Has it been seen, after `since`, that nothing is left to be consumed?"""
        last = self._samples[-1] if self._samples else None
        return last is not None and last.at > since and last.committed == last.ends

    def seen_events(self) -> int:
        """How many events stood on the log at the last look."""
        return sum(self._samples[-1].ends) if self._samples else 0

    async def _look(self, client: AIOKafkaClient) -> None:
        client.add_topic(topics.EVENTS.name)
        if client.cluster.partitions_for_topic(topics.EVENTS.name) is None:
            await client.force_metadata_update()
        at = time.monotonic()
        committed = await self._committed(client)
        ends = await self._ends(client)
        self._samples.append(Sample(at, ends, committed))

    async def _committed(self, client: AIOKafkaClient) -> tuple[int, ...]:
        node = await client.coordinator_lookup(CoordinationType.GROUP, self._group)
        request = OffsetFetchRequest(self._group, [(topics.EVENTS.name, self._partitions)])
        response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        found = {partition: offset for partition, offset, *_ in response.topics[0][1]}
        return tuple(max(found[partition], UNCOMMITTED) for partition in self._partitions)

    async def _ends(self, client: AIOKafkaClient) -> tuple[int, ...]:
        led: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for partition in self._partitions:
            led[_leader(client, partition)].append((partition, LATEST))
        found: dict[int, int] = {}
        for node, wanted in led.items():
            response = await client.send(node, OffsetRequest(-1, 0, [(topics.EVENTS.name, wanted)]))
            found |= {partition: offset for partition, code, _, offset in response.topics[0][1] if code == 0}
        return tuple(found[partition] for partition in self._partitions)


def _leader(client: AIOKafkaClient, partition: int) -> int:
    node = client.cluster.leader_for_partition(TopicPartition(topics.EVENTS.name, partition))
    if node is None or node < 0:
        raise LookupError(f"partition {partition} has no leader")
    return int(node)
