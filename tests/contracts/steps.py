"""What callers of a log do, and what they must bear: an exception that says nothing about what holds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from ingest.ports import EventLog
from processors.ports import LaneGroup, LaneLog
from schemas.records import LogUnavailable, Record, StoredRecord
from tests.contracts.harness import PATIENCE_SECONDS, Harness

Found = TypeVar("Found")


async def eventually(look: Callable[[], Awaitable[Found]]) -> Found:
    """The first true thing that looking finds; the log may take its time, but not for ever."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.02)


async def append_surely(door: EventLog, record: Record) -> None:
    """Append as a client of the door does: again, until it is acknowledged. It may then stand there twice."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await door.append(record)
            except LogUnavailable:
                await asyncio.sleep(0.02)


async def stored(harness: Harness, topic: str, partition: int, *, values: set[bytes | None]) -> list[StoredRecord]:
    """The records of a partition as soon as all these values are among them."""

    async def look() -> list[StoredRecord]:
        records = await harness.committed(topic, partition)
        return records if values <= {record.value for record in records} else []

    return await eventually(look)


def without_repeats(values: Sequence[bytes | None]) -> list[bytes | None]:
    return list(dict.fromkeys(values))


class Worker:
    """A member of the group that owns what it is assigned, and opens a lane anew when one is lost."""

    def __init__(self, group: LaneGroup) -> None:
        self.group = group
        self._assignments: AsyncIterator[frozenset[int]] = group.assignments()
        self._owned: frozenset[int] = frozenset()

    async def lane(self, partition: int) -> LaneLog:
        """Own the partition, then open its lane, with back-off."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while partition not in self._owned:
                self._owned = await anext(self._assignments)
            while True:
                try:
                    return await self.group.open_lane(partition)
                except LogUnavailable:
                    await asyncio.sleep(0.1)

    async def commit_surely(self, lane: LaneLog, records: Sequence[Record], next_offset: int) -> LaneLog:
        """Commit exactly once, whatever is raised; the lane to go on with."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await lane.commit(records, next_offset)
                except LogUnavailable:
                    await lane.close()
                    lane = await self.lane(lane.partition)
                    if await lane.committed() != next_offset:
                        continue
                return lane


async def read_until(lane: LaneLog, offset: int, values: set[bytes | None]) -> list[StoredRecord]:
    """What a lane reads from `offset` on, up to the fetch with the last of the values."""
    read: list[StoredRecord] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not values <= {record.value for record in read}:
            fetch = await lane.read(offset, 7, 0.5)
            assert all(offset <= record.offset < fetch.next_offset for record in fetch.records)
            read += fetch.records
            offset = fetch.next_offset
    return read


async def restored(lane: LaneLog, topic: str) -> list[StoredRecord]:
    """The whole restore, begun again when it stalls."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return [record async for records in lane.restore(topic) for record in records]
            except LogUnavailable:
                await asyncio.sleep(0.1)
