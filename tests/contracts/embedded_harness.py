"""The embedded log under the contract suite, plain and with a broker's vices."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import apsw
import pytest

from deploy import embedded_file
from deploy.embedded import EmbeddedLog, Vices
from deploy.embedded_lanes import EmbeddedLaneGroup
from deploy.embedded_snapshot import snapshot
from schemas.records import StoredRecord
from tests.contracts.harness import PARTITIONS


class EmbeddedHarness:
    def __init__(self, data: Path, log: EmbeddedLog) -> None:
        self._file = data / embedded_file.FILE_NAME
        self._log = log

    async def door(self) -> EmbeddedLog:
        return self._log

    async def group(self, slot: str) -> EmbeddedLaneGroup:
        return self._log.lane_group()

    async def committed(self, topic: str, partition: int) -> list[StoredRecord]:
        return await asyncio.to_thread(self._read, topic, partition)

    def _read(self, topic: str, partition: int) -> list[StoredRecord]:
        with contextlib.closing(embedded_file.open_for_reading(self._file)) as connection:
            records: list[StoredRecord] = []
            end = embedded_file.end_offset(connection, topic, partition)
            take = partial(snapshot, connection, topic, partition=partition, end=end)
            while found := take(begin=records[-1].offset + 1 if records else 0):
                records += [record for _, record in found]
            return records

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        old = [
            (record.offset, partition) for record in await self.committed(topic, partition) if record.offset < offset
        ]
        assert await asyncio.to_thread(self._log.upkeep.delete, topic, old, moves_first=True)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Somebody's SQLite shell holds the write lock."""
        with contextlib.closing(apsw.Connection(os.fspath(self._file))) as stranger:
            stranger.set_busy_timeout(5000)
            await asyncio.to_thread(stranger.execute, "BEGIN IMMEDIATE")
            try:
                yield
            finally:
                stranger.execute("ROLLBACK")


@asynccontextmanager
async def _harness(request: pytest.FixtureRequest, vices: Vices | None) -> AsyncIterator[EmbeddedHarness]:
    data = request.getfixturevalue("tmp_path")
    log = await EmbeddedLog.open(data, PARTITIONS, vices=vices)
    try:
        yield EmbeddedHarness(data, log)
    finally:
        await log.close()


def open_harness(request: pytest.FixtureRequest) -> contextlib.AbstractAsyncContextManager[EmbeddedHarness]:
    return _harness(request, None)


def open_harness_with_vices(request: pytest.FixtureRequest) -> contextlib.AbstractAsyncContextManager[EmbeddedHarness]:
    return _harness(request, Vices())
