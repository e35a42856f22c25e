"""A log in memory that keeps the promises of the lane ports, and shows their vices when told."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from schemas.records import Fetch, LaneFenced, LogUnavailable, OffsetOutOfRange, Record, StoredRecord


class MemoryLog:
    """Topics of any number of partitions. Offsets skip: after every `skip_every` records one is missing.

    Implements `LaneGroup`; the vices are plain attributes that a test sets.
    """

    def __init__(self, partitions: int = 1, clock: "HandClock | None" = None) -> None:
        self.partitions = partitions
        self.clock = clock or HandClock()
        self.skip_every = 3
        self.topics: dict[tuple[str, int], list[StoredRecord]] = {}
        self.consumed: dict[int, int] = {}
        self.epochs: dict[int, int] = {}
        self.transactions: list[tuple[int, list[Record], int]] = []
        self.owned: asyncio.Queue[frozenset[int] | None] = asyncio.Queue()
        self.arrived = asyncio.Condition()
        self.read_to = 0
        """Where the newest read ended."""
        # Vices.
        self.away = False
        self.commits_lost = 0
        """So many commits do not hold, and raise."""
        self.commits_unsure = 0
        """So many commits hold, and raise all the same."""
        self.stalled = False
        """Reads find nothing, and cannot say whether there is more."""
        self.first_offset = 0

    # As a door and its log.

    async def append(self, topic: str, key: bytes, value: bytes, partition: int = 0) -> int:
        """Append now, by the hand clock; returns the offset."""
        offset = self._put(Record(topic, partition, key, value))
        async with self.arrived:
            self.arrived.notify_all()
        return offset

    def records(self, topic: str, partition: int = 0) -> list[StoredRecord]:
        return self.topics.get((topic, partition), [])

    def end(self, topic: str, partition: int) -> int:
        records = self.records(topic, partition)
        return records[-1].offset + 1 if records else 0

    def _put(self, record: Record) -> int:
        stored = self.topics.setdefault((record.topic, record.partition), [])
        offset = stored[-1].offset + 1 if stored else 0
        if len(stored) % self.skip_every == self.skip_every - 1:
            offset += 1
        stored.append(StoredRecord(offset, self.clock(), record.key, record.value))
        return offset

    # As a lane group.

    def assign(self, *partitions: int) -> None:
        self.owned.put_nowait(frozenset(partitions))

    async def assignments(self) -> AsyncIterator[frozenset[int]]:
        while (owned := await self.owned.get()) is not None:
            yield owned

    async def open_lane(self, partition: int) -> "MemoryLane":
        if self.away:
            raise LogUnavailable("the log is away")
        self.epochs[partition] = self.epochs.get(partition, 0) + 1
        return MemoryLane(self, partition)

    async def close(self) -> None:
        self.owned.put_nowait(None)


class MemoryLane:
    """Implements `LaneLog`."""

    def __init__(self, log: MemoryLog, partition: int) -> None:
        self.partition = partition
        self._log = log
        self._epoch = log.epochs[partition]

    async def committed(self) -> int:
        return self._log.consumed.get(self.partition, self._log.first_offset)

    async def restore(self, topic: str) -> AsyncIterator[list[StoredRecord]]:
        for record in list(self._log.records(topic, self.partition)):
            self._check()
            yield [record]

    async def end(self, topic: str) -> int:
        self._check()
        return self._log.end(topic, self.partition)

    async def read(self, offset: int, max_records: int, timeout_seconds: float) -> Fetch:
        self._check()
        if offset < self._log.first_offset:
            raise OffsetOutOfRange(f"{offset} is below {self._log.first_offset}")
        topic = "media.events.v1"
        if self._log.stalled or offset >= self._log.end(topic, self.partition):
            await self._log.clock.wait_for_news(self._log.arrived, timeout_seconds)
        if self._log.stalled:
            return Fetch([], offset, None)
        records = [record for record in self._log.records(topic, self.partition) if record.offset >= offset]
        found = records[:max_records]
        next_offset = found[-1].offset + 1 if found else offset
        self._log.read_to = next_offset
        return Fetch(found, next_offset, self._log.clock() if len(found) == len(records) else None)

    async def commit(self, records: Sequence[Record], next_offset: int) -> None:
        log = self._log
        await asyncio.sleep(0)
        self._check()
        if log.epochs[self.partition] != self._epoch:
            raise LaneFenced(f"lane {self.partition} has a successor")
        if log.commits_lost:
            log.commits_lost -= 1
            raise LogUnavailable("outcome unknown: it did not hold")
        for record in records:
            log._put(record)
        log.consumed[self.partition] = next_offset
        log.transactions.append((self.partition, list(records), next_offset))
        if log.commits_unsure:
            log.commits_unsure -= 1
            raise LogUnavailable("outcome unknown: it held")

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self._log.away:
            raise LogUnavailable("the log is away")


class HandClock:
    """A wall that a test moves. Whoever waits for records passes the time instead of spending it."""

    def __init__(self, now: int = 1_767_225_600_000) -> None:
        self.now = now
        self.holds_at: int | None = None
        """Where time stands still until the test moves it on."""

    def __call__(self) -> int:
        return self.now

    async def wait_for_news(self, arrived: asyncio.Condition, timeout_seconds: float) -> None:
        """Let the timeout pass at once; but not beyond `holds_at`, where only news end the wait."""
        if self.holds_at is not None and self.now + timeout_seconds * 1000 > self.holds_at:
            async with arrived:
                try:
                    async with asyncio.timeout(0.01):
                        await arrived.wait()
                except TimeoutError:
                    self.now = max(self.now, self.holds_at)
            return
        await asyncio.sleep(0)
        self.now += round(timeout_seconds * 1000)
