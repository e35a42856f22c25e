"""The embedded log as workers see it: every partition is theirs, each lane fenced by the next one opened."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from deploy.embedded_jobs import Claim
from deploy.embedded_snapshot import SNAPSHOT_RECORDS, snapshot
from schemas.records import Fetch, LaneFenced, LogUnavailable, Record, StoredRecord

if TYPE_CHECKING:
    from deploy.embedded import EmbeddedLog

COMMIT_BOUND_SECONDS: Final = 10.0
"""After this long the outcome of a transaction is called unknown."""

STALLED_SECONDS: Final = 1.0
"""A commit that takes longer may hold records nobody has seen: the log does not say then that it has no more."""


class EmbeddedLaneGroup:
    """The only member there can be: the file belongs to one process. Implements `processors.ports.LaneGroup`."""

    def __init__(self, log: "EmbeddedLog", consumers: str, topic: str) -> None:
        self.partitions = log.partitions
        self._log = log
        self._consumers = consumers
        self._topic = topic
        self._closed = asyncio.Event()

    async def assignments(self) -> AsyncIterator[frozenset[int]]:
        if not self._closed.is_set():
            yield frozenset(range(self.partitions))
        await self._closed.wait()

    async def open_lane(self, partition: int) -> "EmbeddedLane":
        if not 0 <= partition < self.partitions:
            raise ValueError(f"no partition {partition}: the log has {self.partitions}")
        claim = Claim((self._consumers, self._topic, partition), asyncio.get_running_loop().create_future())
        await self._log.claimed(claim)
        return EmbeddedLane(self._log, claim)

    async def close(self) -> None:
        self._closed.set()


class EmbeddedLane:
    """One partition of the input topic as claimed once. Implements `processors.ports.LaneLog`."""

    def __init__(self, log: "EmbeddedLog", claim: Claim) -> None:
        _, self._topic, self.partition = claim.key
        self._log = log
        self._claim = claim
        self._tail = log.visible.tail(self._topic, self.partition)
        self._position = claim.consumed
        self._hole = (0, 0)  # begin and end of a stretch of offsets known to hold nothing of this partition
        self._lost: str | None = None

    async def committed(self) -> int:
        return self._position if self._position >= 0 else self._log.first_offset(self._topic, self.partition)

    def restore(self, topic: str) -> AsyncIterator[list[StoredRecord]]:
        return self._restore(topic, self._log.end_offset(topic, self.partition))

    async def _restore(self, topic: str, end: int) -> AsyncIterator[list[StoredRecord]]:
        position = 0
        while position < end:
            records = await self._snapshot(topic, position, end, SNAPSHOT_RECORDS)
            if not records:
                return
            yield records
            position = records[-1].offset + 1

    async def end(self, topic: str) -> int:
        return self._log.end_offset(topic, self.partition)

    async def read(self, offset: int, max_records: int, timeout_seconds: float) -> Fetch:
        log, tail = self._log, self._tail
        deadline = time.monotonic() + timeout_seconds
        await asyncio.sleep(0)  # a caller that reads on and on must not keep everybody else from their turn
        while True:
            log.check_range(self._topic, self.partition, offset)
            hole_begin, hole_end = self._hole
            begin = hole_end if hole_begin <= offset < hole_end else offset
            if begin < tail.covers_from:
                end = tail.covers_from
                records = await self._snapshot(self._topic, begin, end, max_records)
                log.check_range(self._topic, self.partition, offset)  # what is missing now may have been deleted
                self._hole = self._hole if records else (offset, end)
            else:
                records = tail.read(begin, max_records)
            if records:
                next_offset = records[-1].offset + 1
                return Fetch(records, next_offset, self._caught_up_at(next_offset))
            if begin < tail.covers_from:
                continue  # the file had nothing; the tail may
            # Nothing was awaited since the tail was looked at, so no news can have been missed.
            left = deadline - time.monotonic()
            if left <= 0 or not await log.visible.more(self._topic, self.partition, left):
                return Fetch([], offset, self._caught_up_at(offset))

    async def commit(self, records: Sequence[Record], next_offset: int) -> None:
        if self._lost is not None:
            raise LaneFenced(f"{self._lost}; lane {self.partition} must be opened anew")
        try:
            async with asyncio.timeout(COMMIT_BOUND_SECONDS):
                await self._log.commit(self._claim, records, next_offset)
        except TimeoutError:
            self._lost = f"no answer to a transaction within {COMMIT_BOUND_SECONDS:g} s"
            raise LogUnavailable(self._lost) from None
        except BaseException as error:
            self._lost = str(error) or type(error).__name__
            raise
        self._position = next_offset

    async def close(self) -> None:
        self._lost = "the lane was closed"

    async def _snapshot(self, topic: str, begin: int, end: int, limit: int) -> list[StoredRecord]:
        question = partial(snapshot, topic=topic, partition=self.partition, begin=begin, end=end, limit=limit)
        return [record for _, record in await self._log.readers.ask(question)]

    def _caught_up_at(self, next_offset: int) -> int | None:
        """Now, if the writer has nothing beyond `next_offset`: what is durable but not yet visible counts."""
        if self._log.end_offset(self._topic, self.partition) > next_offset or self._log.stalled_for() > STALLED_SECONDS:
            return None
        return self._log.clock()
