"""Kafka as the door, a worker and a reader hold it, each closed with its block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.kafka_client import KafkaClients, patiently
from deploy.kafka_fetch import Tail
from deploy.kafka_member import Groups
from ingest.kafka import KafkaLog
from processors.kafka import KafkaLaneGroup


@asynccontextmanager
async def door_log(clients: KafkaClients) -> AsyncIterator[KafkaLog]:
    """What a door appends to and follows. LogUnavailable."""
    tail = Tail(clients)
    try:
        log = await patiently(lambda: KafkaLog.open(clients, tail))
        try:
            yield log
        finally:
            await log.close()
    finally:
        await tail.close()


@asynccontextmanager
async def lane_group(clients: KafkaClients, group: str, slot: str) -> AsyncIterator[KafkaLaneGroup]:
    """A worker's lanes, as the static member `slot` of `group`. LogUnavailable."""
    tail = Tail(clients)
    try:
        lanes = await patiently(lambda: KafkaLaneGroup.open(Groups(clients), clients, tail, name=group, slot=slot))
        try:
            yield lanes
        finally:
            await lanes.close()
    finally:
        await tail.close()
