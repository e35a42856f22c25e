"""Reading topics of a Kafka cluster from outside: committed records, no group, nothing owned."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from deploy.kafka_client import KafkaClients
from deploy.kafka_cursor import Cursor
from deploy.kafka_fetch import Tail
from schemas import topics
from schemas.records import OffsetOutOfRange, StoredRecord

RECORDS: Final = 2_000
LOOK_SECONDS: Final = 1.0


class KafkaReader:
    """See deploy.readers.TopicReader."""

    def __init__(self, clients: KafkaClients) -> None:
        self._tail = Tail(clients)

    async def records(
        self, topic: str, *, from_start: bool, follow: bool
    ) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        """Retention may remove what was not read yet: then reading goes on with what is left."""
        arrived = asyncio.Event()
        cursors, ends = [], []
        for partition in range(await self._tail.partitions(topic)):
            first, end = await self._tail.bounds(topic, partition)
            cursors.append(await self._tail.cursor(topic, partition, first if from_start else end, arrived))
            ends.append(end)
        try:
            while follow or any(cursor.position < end for cursor, end in zip(cursors, ends, strict=True)):
                arrived.clear()
                for partition, cursor in enumerate(cursors):
                    records = await self._some(cursor)
                    if not follow:
                        records = [record for record in records if record.offset < ends[partition]]
                    if records:
                        arrived.set()
                        yield partition, records
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await arrived.wait()
        finally:
            for cursor in cursors:
                cursor.close()

    async def partitions(self) -> int:
        """See TopicReader.partitions."""
        return await self._tail.partitions(topics.EVENTS.name)

    async def close(self) -> None:
        """See TopicReader.close."""
        await self._tail.close()

    async def _some(self, cursor: Cursor) -> list[StoredRecord]:
        try:
            return cursor.take_now(RECORDS).records
        except OffsetOutOfRange:
            first, end = await self._tail.bounds(cursor.tp.topic, cursor.tp.partition)
            cursor.seek(min(max(first, cursor.position), end))
            return []


async def kafka_reader(clients: KafkaClients) -> KafkaReader:
    """A reader of this cluster. LogUnavailable when no broker answers."""
    await (await clients.connection()).close()
    return KafkaReader(clients)
