"""The log in one SQLite file: durable, partitioned, transactional; for one process, and readers beside it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import apsw

from deploy import embedded_appends, embedded_file
from deploy.embedded_appends import Appends, weight
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

_PIECE_BYTES: Final = 900_000


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
        self._appends = Appends(self._writer, loop)
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
        except apsw.Error as error:
            directory.release()
            raise embedded_file.unusable("use", data_dir / embedded_file.FILE_NAME, error) from None
        except BaseException:
            directory.release()
            raise
        log._writer.start()
        log.upkeep.start()
        return log

    def has_events(self) -> bool:
        """Whether an event was ever appended."""
        return self._writer.nexts[topics.EVENTS.name] > 0

    async def append(self, record: Record) -> None:
        await self._appended((record,))

    def begin(self, record: Record) -> asyncio.Future[str | None]:
        self._appends.refuse_unless_room()
        self._check_places((record,))
        return self._appends.begin(record)

    async def append_all(self, records: Sequence[Record]) -> None:
        piece: list[Record] = []
        size = 0
        for record in records:
            more = weight((record,))
            if piece and size + more > _PIECE_BYTES:
                await self._appended(piece)
                piece, size = [], 0
            piece.append(record)
            size += more
        if piece:
            await self._appended(piece)

    def offer(self, record: Record) -> bool:
        # Half the room is kept for what must not be dropped.
        if self.unready() is not None or self._appends.waiting_bytes > embedded_appends.WAITING_BYTES // 2:
            return False
        self._check_places((record,))
        self._appends.put((record,)).add_done_callback(asyncio.Future.exception)  # nobody awaits it
        return True

    def unready(self) -> str | None:
        if self._closed:
            return "the log is closed"
        if self._appends.waiting_bytes >= embedded_appends.WAITING_BYTES:
            return f"{self._appends.waiting_bytes} bytes wait to be written"
        if self.stalled_for() > embedded_appends.APPEND_BOUND_SECONDS:
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
        self._appends.close()
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
            async with asyncio.timeout(embedded_appends.APPEND_BOUND_SECONDS):
                await claim.future
        except TimeoutError:
            raise LogUnavailable("the log did not answer in time") from None

    async def commit(self, claim: Claim, records: Sequence[Record], consumed: int) -> None:
        self._refuse_when_closed()
        self._check_places(records)
        expires_at = time.monotonic() + COMMIT_BOUND_SECONDS
        write = Write(records, weight(records), expires_at, self._loop.create_future(), claim, consumed)
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

    async def _appended(self, records: Sequence[Record]) -> None:
        self._appends.refuse_unless_room()
        self._check_places(records)
        await self._appends.put(records)

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
                self._appends.settled(job)
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
