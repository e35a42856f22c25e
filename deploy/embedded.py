"""The log in one SQLite file: durable, partitioned, transactional; for one process, and readers beside it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from deploy import embedded_file
from deploy.embedded_directory import DataDirectory, EmbeddedLogRefused
from deploy.embedded_jobs import Claim, Settled, Vices, Write
from deploy.embedded_lanes import COMMIT_BOUND_SECONDS, EmbeddedLaneGroup
from deploy.embedded_snapshot import SnapshotReaders, snapshot
from deploy.embedded_upkeep import Upkeep
from deploy.embedded_visible import Visible
from deploy.embedded_writer import Writer
from schemas import topics
from schemas.records import LogUnavailable, OffsetOutOfRange, Record, StoredRecord

__all__ = ["EmbeddedLog", "EmbeddedLogRefused", "Vices"]

APPEND_BOUND_SECONDS: Final = 2.5
"""When an append that was not written is given up; noticed a quarter of a second later at the latest."""

WAITING_BYTES: Final = 32 * 1024 * 1024
"""How much may wait to be written before appends are refused at once."""

_SWEEP_SECONDS: Final = 0.25
_PIECE_BYTES: Final = 900_000
_BEGUN_RECORDS: Final = 256  # of one write at most: they share their fate
_RECORD_BYTES: Final = 100  # what a record weighs in memory beside its key and value


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


class EmbeddedLog:
    """Implements `ingest.ports.EventLog` and `CompactedTopic`; `lane_group` gives a `processors.ports.LaneGroup`.

    Belongs to the event loop it was opened on. Nothing here touches the disk on that loop: one thread writes, a few
    read, one keeps the file in order.
    """

    def __init__(
        self,
        directory: DataDirectory,
        partitions: int,
        clock: Callable[[], int],
        vices: Vices | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Use `open`. Blocks."""
        path = directory.path / embedded_file.FILE_NAME
        self.partitions = partitions
        self.clock = clock
        self._directory = directory
        self._vices = vices
        self._loop = loop
        connection = embedded_file.open_for_writing(path, partitions)
        directory.sync()
        self._writer = Writer(connection, partitions, clock, self._settle_soon, vices)
        firsts = {topic.name: embedded_file.first_offsets(connection, topic.name) for topic in topics.ALL}
        self.upkeep = Upkeep(path, self._writer, clock, firsts)
        self.readers = SnapshotReaders(path)
        self.visible = Visible(self._writer.nexts)
        self._pending: dict[Write, None] = {}  # appends not yet answered, oldest first
        self._begun: tuple[list[Record], asyncio.Future[str | None]] | None = None
        self._waiting_bytes = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        partitions: int = topics.DEFAULT_PARTITIONS,
        *,
        clock: Callable[[], int] = wall_clock,
        vices: Vices | None = None,
    ) -> Self:
        """Open the log of a directory, or make it there. EmbeddedLogRefused says in a sentence why that cannot be."""
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(cls._open, data_dir, partitions, clock, vices, loop)

    @classmethod
    def _open(
        cls,
        data_dir: Path,
        partitions: int,
        clock: Callable[[], int],
        vices: Vices | None,
        loop: asyncio.AbstractEventLoop,
    ) -> Self:
        directory = DataDirectory.claim(data_dir)
        try:
            log = cls(directory, partitions, clock, vices, loop)
        except BaseException:
            directory.release()
            raise
        log._writer.start()
        log.upkeep.start()
        return log

    async def append(self, record: Record) -> None:
        await self._appended((record,))

    def begin(self, record: Record) -> asyncio.Future[str | None]:
        """See EventLog.begin. What is begun in one turn of the loop is one write."""
        self._refuse_unless_room()
        self._check_places((record,))
        if self._begun is None:
            self._begun = ([], self._loop.create_future())
            self._loop.call_soon(self._put_begun)
        records, future = self._begun
        records.append(record)
        if len(records) >= _BEGUN_RECORDS:
            self._put_begun()
        return future

    async def append_all(self, records: Sequence[Record]) -> None:
        piece: list[Record] = []
        size = 0
        for record in records:
            weight = _weight((record,))
            if piece and size + weight > _PIECE_BYTES:
                await self._appended(piece)
                piece, size = [], 0
            piece.append(record)
            size += weight
        if piece:
            await self._appended(piece)

    def offer(self, record: Record) -> bool:
        # Half the room is kept for what must not be dropped.
        if self.unready() is not None or self._waiting_bytes > WAITING_BYTES // 2:
            return False
        self._put((record,)).add_done_callback(asyncio.Future.exception)  # nobody awaits it
        return True

    def unready(self) -> str | None:
        if self._closed:
            return "the log is closed"
        if self._waiting_bytes >= WAITING_BYTES:
            return f"{self._waiting_bytes} bytes wait to be written"
        if self.stalled_for() > APPEND_BOUND_SECONDS:
            return f"a write to the log has not ended for {self.stalled_for():.1f} s"
        return self._writer.trouble

    def follow(self, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
        return self._follow(topics.BY_NAME[topic].name)

    async def _follow(self, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
        position = 0
        while True:
            end = self.visible.ends[topic]
            while position < end:
                found = await self.readers.ask(partial(snapshot, topic=topic, partition=None, begin=position, end=end))
                position = found[-1][1].offset + 1 if found else end
                if found:
                    yield [record for _, record in found]
            yield None
            while self.visible.ends[topic] <= position:
                await self.visible.more(topic, None, None)

    def lane_group(self, consumers: str = "mediabeat", topic: str = topics.EVENTS.name) -> EmbeddedLaneGroup:
        """The one member of the group `consumers` that reads `topic`: it owns every partition."""
        return EmbeddedLaneGroup(self, consumers, topics.BY_NAME[topic].name)

    async def close(self) -> None:
        """Write what waits, then give the directory back. What comes later raises LogUnavailable."""
        if self._closed:
            return
        self._put_begun()
        self._closed = True
        self.visible.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.upkeep.stop()
        self.readers.close()
        self._writer.stop()
        self._directory.release()

    # What lanes ask for.

    async def claimed(self, claim: Claim) -> None:
        """Lock out every predecessor of the claim. LogUnavailable: nothing can be said, try again."""
        self._refuse_when_closed()
        self._writer.put(claim)
        try:
            async with asyncio.timeout(APPEND_BOUND_SECONDS):
                await claim.future
        except TimeoutError:
            raise LogUnavailable("the log did not answer in time") from None

    async def commit(self, claim: Claim, records: Sequence[Record], consumed: int) -> None:
        self._refuse_when_closed()
        self._check_places(records)
        expires_at = time.monotonic() + COMMIT_BOUND_SECONDS
        write = Write(records, _weight(records), expires_at, self._loop.create_future(), claim, consumed)
        self._writer.put(write)
        await write.future

    def first_offset(self, topic: str, partition: int) -> int:
        return self.upkeep.firsts[topic].get(partition, 0)

    def end_offset(self, topic: str, partition: int) -> int:
        """One past the newest durable record of a partition, visible yet or not."""
        return self._writer.ends[topic, partition]

    def check_range(self, topic: str, partition: int, offset: int) -> None:
        first = self.first_offset(topic, partition)
        if not first <= offset <= self._writer.nexts[topic]:
            raise OffsetOutOfRange(
                f"offset {offset} of {topic}, partition {partition}, is outside {first} to {self._writer.nexts[topic]}"
            )

    def stalled_for(self) -> float:
        """Seconds since the write under way began; 0 when there is none."""
        since = self._writer.busy_since
        return 0.0 if since is None else time.monotonic() - since

    # Appends on their way, and back.

    async def _appended(self, records: Sequence[Record]) -> None:
        self._refuse_unless_room()
        await self._put(records)

    def _refuse_unless_room(self) -> None:
        self._refuse_when_closed()
        if self._waiting_bytes >= WAITING_BYTES:
            raise LogUnavailable(f"{self._waiting_bytes} bytes wait to be written")

    def _put_begun(self) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            return
        records, future = begun
        if not self._closed:
            self._put(records, future)
        elif not future.done():
            future.set_exception(LogUnavailable("the log is closed"))

    def _put(
        self, records: Sequence[Record], future: asyncio.Future[str | None] | None = None
    ) -> asyncio.Future[str | None]:
        self._check_places(records)
        self._put_begun()  # what was begun before comes before
        size = _weight(records)
        future = future or self._loop.create_future()
        write = Write(records, size, time.monotonic() + APPEND_BOUND_SECONDS, future)
        self._waiting_bytes += size
        self._pending[write] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        self._writer.put(write)
        return future

    def _sweep(self) -> None:
        """Give up the appends whose bound has passed. One timer for all: they wait in the order they came."""
        now = time.monotonic()
        while self._pending and (oldest := next(iter(self._pending))).expires_at < now:
            del self._pending[oldest]
            if not oldest.future.done():
                oldest.future.set_exception(LogUnavailable(self._writer.trouble or "the log did not answer in time"))
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._pending else None

    def _settle_soon(self, settled: Settled) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, settled)

    def _settle(self, settled: Settled) -> None:
        if settled.rows:
            if self._vices is None:
                self.visible.publish(settled.rows)
            else:
                self._loop.call_later(self._vices.visible_after_seconds, self.visible.publish, settled.rows)
        for job, error in settled.outcomes:
            if isinstance(job, Write) and job.claim is None:
                self._pending.pop(job, None)
                self._waiting_bytes -= job.size  # only now: until then its bytes are in the writer's hands
            if job.future.done():
                continue
            if error is None:
                job.future.set_result(None)
            else:
                job.future.set_exception(error)

    def _check_places(self, records: Sequence[Record]) -> None:
        for topic, partition, _, _ in records:
            if not (topic in topics.BY_NAME and 0 <= partition < self.partitions):
                raise ValueError(f"no partition {partition} of a topic {topic!r} in this log")

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")


def _weight(records: Sequence[Record]) -> int:
    return sum(len(record.key) + len(record.value or b"") + _RECORD_BYTES for record in records)
