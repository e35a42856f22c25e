"""Reading topics from outside, as `mediabeat tail` does: the port, and its reader of an embedded log."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, Protocol

from deploy import embedded_file
from deploy.embedded_snapshot import SnapshotReaders, snapshot
from schemas import topics
from schemas.records import StoredRecord

_LOOK_SECONDS: Final = 0.1  # another process's commit wakes nobody here; the look costs microseconds


class TopicReader(Protocol):
    """Whoever reads public topics without owning anything of the log."""

    def records(self, topic: str, *, from_start: bool, follow: bool) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        """(partition, committed records in offset order) of all partitions of a topic, by its full name.

        From the start of what is kept, or from the end as it is when iteration begins; with `follow` for ever, else up
        to that end. LogUnavailable when the log cannot be read.
        """

    async def partitions(self) -> int:
        """How many partitions every topic has. LogUnavailable."""
        ...

    async def close(self) -> None:
        """Give everything back."""


class EmbeddedReader:
    """Reads the file of an embedded log beside the process that writes it, without ever hindering it."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / embedded_file.FILE_NAME
        embedded_file.open_for_reading(path).close()
        self._readers = SnapshotReaders(path, threads=1)

    async def records(
        self, topic: str, *, from_start: bool, follow: bool
    ) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        name = topics.BY_NAME[topic].name
        end = await self._readers.ask(partial(embedded_file.next_offset, topic=name))
        position = 0 if from_start else end
        while True:
            while position < end:
                ask = partial(snapshot, topic=name, partition=None, begin=position, end=end)
                found = sorted(await self._readers.ask(ask), key=itemgetter(0))
                position = max(record.offset for _, record in found) + 1 if found else end
                for partition, of_partition in groupby(found, key=itemgetter(0)):
                    yield partition, [record for _, record in of_partition]
            if not follow:
                return
            end = await self._readers.ask(partial(embedded_file.next_offset, topic=name))
            if end <= position:
                await asyncio.sleep(_LOOK_SECONDS)

    async def partitions(self) -> int:
        return await self._readers.ask(embedded_file.partitions_in)

    async def close(self) -> None:
        await asyncio.to_thread(self._readers.close)


def embedded_reader(data_dir: Path) -> TopicReader:
    """A reader of the log in a data directory. EmbeddedLogRefused says in a sentence why there is none."""
    return EmbeddedReader(data_dir)
