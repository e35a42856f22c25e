"""Appends to the embedded log on their way to its writer, until they are settled or given up."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from deploy.embedded_jobs import Write
from deploy.embedded_writer import Writer
from schemas.records import LogUnavailable, Record

APPEND_BOUND_SECONDS: Final = 2.5
"""When an append that was not written is given up; noticed a quarter of a second later at the latest."""

WAITING_BYTES: Final = 32 * 1024 * 1024
"""How much may wait to be written before appends are refused at once."""

_SWEEP_SECONDS: Final = 0.25
_BEGUN_RECORDS: Final = 256  # of one write at most: they share their fate
_RECORD_BYTES: Final = 100  # what a record weighs in memory beside its key and value


class Appends:
    """Lives on the event loop alone. `waiting_bytes`: in the writer's hands, given up or not."""

    def __init__(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting_bytes = 0
        self._writer = writer
        self._loop = loop
        self._pending: dict[Write, None] = {}  # not yet answered, oldest first
        self._begun: tuple[list[Record], asyncio.Future[str | None]] | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def put(
        self, records: Sequence[Record], future: asyncio.Future[str | None] | None = None
    ) -> asyncio.Future[str | None]:
        """Hand one write to the writer. The future is done when it is durable, or given up: LogUnavailable."""
        self.put_begun()  # what was begun before comes before
        size = weight(records)
        future = future or self._loop.create_future()
        write = Write(records, size, time.monotonic() + APPEND_BOUND_SECONDS, future)
        self.waiting_bytes += size
        self._pending[write] = None
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        self._writer.put(write)
        return future

    def begin(self, record: Record) -> asyncio.Future[str | None]:
        """As `put`; what is begun in one turn of the loop is one write."""
        if self._begun is None:
            self._begun = ([], self._loop.create_future())
            self._loop.call_soon(self.put_begun)
        records, future = self._begun
        records.append(record)
        if len(records) >= _BEGUN_RECORDS:
            self.put_begun()
        return future

    def put_begun(self) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            return
        records, future = begun
        if not self._closed:
            self.put(records, future)
        elif not future.done():
            future.set_exception(LogUnavailable("the log is closed"))

    def refuse_unless_room(self) -> None:
        """LogUnavailable when the log is closed, or too much waits."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        if self.waiting_bytes >= WAITING_BYTES:
            raise LogUnavailable(f"{self.waiting_bytes} bytes wait to be written")

    def settled(self, write: Write) -> None:
        self._pending.pop(write, None)
        self.waiting_bytes -= write.size  # only now: until then its bytes are in the writer's hands

    def close(self) -> None:
        """What has been begun goes to the writer; what comes later is refused."""
        self.put_begun()
        self._closed = True

    def _sweep(self) -> None:
        """Give up the appends whose bound has passed. One timer for all: they wait in the order they came."""
        now = time.monotonic()
        while self._pending and (oldest := next(iter(self._pending))).expires_at < now:
            del self._pending[oldest]
            if not oldest.future.done():
                oldest.future.set_exception(LogUnavailable(self._writer.trouble or "the log did not answer in time"))
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._pending else None


def weight(records: Sequence[Record]) -> int:
    return sum(len(record.key) + len(record.value or b"") + _RECORD_BYTES for record in records)
