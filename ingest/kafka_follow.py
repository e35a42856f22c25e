"""Follows a compacted topic on Kafka: everything committed from the start, then what comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

from schemas.records import Fetch, LogUnavailable, OffsetOutOfRange, StoredRecord

FOLLOW_SECONDS: Final = 1.0
RECORDS: Final = 2_000


class Cursor(Protocol):
    """A partition's committed records as they come."""

    def seek(self, offset: int) -> None: ...
    def take_now(self, max_records: int) -> Fetch: ...
    def close(self) -> None: ...


class Tail(Protocol):
    """Reads partitions in the background."""

    async def partitions(self, topic: str) -> int: ...
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...
    async def cursor(self, topic: str, partition: int, offset: int, arrived: asyncio.Event) -> Cursor: ...


async def follow(tail: Tail, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
    """See CompactedTopic.follow. An outage is waited out; what retention removed meanwhile is not missed."""
    arrived = asyncio.Event()
    partitions = range(await tail.partitions(topic))
    bounds = [await tail.bounds(topic, partition) for partition in partitions]
    cursors = [await tail.cursor(topic, p, first, arrived) for p, (first, _) in zip(partitions, bounds, strict=True)]
    ends = [end for _, end in bounds]
    try:
        while True:
            arrived.clear()
            caught_up = True
            for partition, cursor in enumerate(cursors):
                try:
                    fetch = cursor.take_now(RECORDS)
                except LogUnavailable:
                    caught_up = False
                    continue
                except OffsetOutOfRange:
                    first, _ = await tail.bounds(topic, partition)
                    cursor.seek(first)
                    arrived.set()
                    continue
                if fetch.records:
                    arrived.set()
                    yield fetch.records
                caught_up = caught_up and fetch.next_offset >= ends[partition]
            if caught_up:
                yield None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_SECONDS):
                    await arrived.wait()
    finally:
        for cursor in cursors:
            cursor.close()
