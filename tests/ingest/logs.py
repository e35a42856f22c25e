"""Logs for the door's tests: small fakes, each named for its vice."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from schemas import codec
from schemas.events import Envelope
from schemas.records import LogUnavailable, Record, StoredRecord


class MemoryLog:
    """Keeps everything, at once. Its one vice: it forgets when the test ends."""

    def __init__(self, partitions: int = 12) -> None:
        self.partitions = partitions
        self.records: list[Record] = []
        self.offered: list[Record] = []

    async def append(self, record: Record) -> None:
        self.records.append(record)

    def begin(self, record: Record) -> "asyncio.Future[str | None]":
        return asyncio.ensure_future(self.append(record))

    async def append_all(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    def offer(self, record: Record) -> bool:
        self.offered.append(record)
        return True

    def unready(self) -> str | None:
        return None

    def envelopes(self, first: int = 0) -> list[Envelope]:
        return [codec.decode_envelope(record.value) for record in self.records[first:] if record.value is not None]

    def rejects(self) -> list[dict]:
        return [codec.decode(record.value) for record in self.offered if record.value is not None]


class AwayLog(MemoryLog):
    """Is away while `away`: appends hang as long as the port allows, then say that the outcome is unknown."""

    def __init__(self, bound_seconds: float = 0.05) -> None:
        super().__init__()
        self.away = True
        self._bound_seconds = bound_seconds

    async def append(self, record: Record) -> None:
        await self.append_all([record])

    async def append_all(self, records: Sequence[Record]) -> None:
        if self.away:
            await asyncio.sleep(self._bound_seconds)
            raise LogUnavailable("away")
        await super().append_all(records)

    def offer(self, record: Record) -> bool:
        return not self.away and super().offer(record)

    def unready(self) -> str | None:
        return "the log is away" if self.away else None


class SilentLog(MemoryLog):
    """Breaks the port's promise: never answers an append."""

    async def append(self, record: Record) -> None:
        await asyncio.Event().wait()

    async def append_all(self, records: Sequence[Record]) -> None:
        await asyncio.Event().wait()


class SlowLog(MemoryLog):
    """Answers appends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = 0
        self.changed = asyncio.Condition()

    async def append(self, record: Record) -> None:
        await self.append_all([record])

    async def append_all(self, records: Sequence[Record]) -> None:
        async with self.changed:
            self.waiting += 1
            self.changed.notify_all()
        await self.gate.wait()
        await super().append_all(records)

    async def until_waiting(self, number: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.waiting >= number)


class FullLog(MemoryLog):
    """Has no room for what is only offered."""

    def offer(self, record: Record) -> bool:
        return False


class StutteringLog(MemoryLog):
    """Keeps a prefix of a batch and then fails, the first `failures` times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self._failures = failures

    async def append_all(self, records: Sequence[Record]) -> None:
        if self._failures:
            self._failures -= 1
            self.records.extend(records[: len(records) // 2])
            raise LogUnavailable("half of it")
        await super().append_all(records)


class FaultyLog(MemoryLog):
    """Raises what no log may raise."""

    async def append(self, record: Record) -> None:
        raise RuntimeError("a fault of ours")

    def offer(self, record: Record) -> bool:
        raise RuntimeError("a fault of ours")


class ToldTopic:
    """A compacted topic that yields what the test tells it; each attempt to follow is a list of steps.

    A step is a list of records, None (caught up) or an exception. After the last step of the last attempt it waits.
    """

    def __init__(self, *attempts: list[list[StoredRecord] | Exception | None]) -> None:
        self._attempts = list(attempts)
        self.attempts = 0
        self.told_all = asyncio.Event()

    async def follow(self, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
        self.attempts += 1
        for step in self._attempts.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step
        if not self._attempts:
            self.told_all.set()
            await asyncio.Event().wait()
