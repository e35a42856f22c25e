"""What readers in this process may see of the embedded log, and how they are woken. Lives on the event loop alone."""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.embedded_file import Row
from schemas.records import LogUnavailable, StoredRecord

TAIL_BYTES: Final = 1024 * 1024
"""How much of the newest of a lane's partition is kept in memory, so that a lane that keeps up reads no file."""


class Tail:
    """The newest records of one partition: all of them from `covers_from` on."""

    def __init__(self, covers_from: int) -> None:
        self.covers_from = covers_from
        self._records: list[StoredRecord] = []
        self._bytes = 0

    def keep(self, record: StoredRecord) -> None:
        self._records.append(record)
        self._bytes += len(record.value or b"")
        if self._bytes > TAIL_BYTES:
            dropped = (len(self._records) + 1) // 2  # half at once: a list is cut cheaply only now and then
            self._bytes -= sum(len(old.value or b"") for old in self._records[:dropped])
            self.covers_from = self._records[dropped - 1].offset + 1
            del self._records[:dropped]

    def read(self, offset: int, max_records: int) -> list[StoredRecord]:
        at = bisect_left(self._records, (offset,))
        return self._records[at : at + max_records]


class Visible:
    """Ends of topics as readers see them, tails of the partitions that lanes read, and who waits for more."""

    def __init__(self, nexts: Mapping[str, int]) -> None:
        self.ends = dict(nexts)
        """By topic: every visible record is below it."""
        self._tails: dict[tuple[str, int], Tail] = {}
        self._waiting: dict[tuple[str, int | None], list[asyncio.Future[None]]] = {}
        self._closed = False

    def tail(self, topic: str, partition: int) -> Tail:
        return self._tails.setdefault((topic, partition), Tail(self.ends[topic]))

    def publish(self, rows: Mapping[str, Sequence[Row]]) -> None:
        for topic, of_topic in rows.items():
            self.ends[topic] = of_topic[-1][0] + 1
            for offset, partition, timestamp, key, value in of_topic:
                tail = self._tails.get((topic, partition))
                if tail is not None:
                    tail.keep(StoredRecord(offset, timestamp, key, value))
            self._wake((topic, None))
            for partition in {row[1] for row in of_topic}:
                self._wake((topic, partition))

    async def more(self, topic: str, partition: int | None, timeout_seconds: float | None) -> bool:
        """Wait until a record of the topic (of one partition, or any) becomes visible; False after the timeout."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((topic, partition), [])
        waiting.append(future)
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            return False
        finally:
            if future in waiting:
                waiting.remove(future)
        if self._closed:
            raise LogUnavailable("the log is closed")
        return True

    def close(self) -> None:
        self._closed = True
        for key in list(self._waiting):
            self._wake(key)

    def _wake(self, key: tuple[str, int | None]) -> None:
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)
