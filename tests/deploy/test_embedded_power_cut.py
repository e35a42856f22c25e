"""After a power cut only what was synced is left on the disk: all that was acknowledged is in it."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from deploy import embedded_file
from deploy.embedded import EmbeddedLog
from deploy.embedded_directory import DataDirectory
from schemas import topics
from schemas.records import Record

EVENTS = topics.EVENTS.name
ROWS = topics.SESSION_CLOSE.name


class ForgetfulDisk(apsw.VFS):
    """Files as they would be found after a power cut; they lie in `left`.

    A write counts once its file is synced, a deletion once its directory is.
    """

    def __init__(self, left: Path) -> None:
        super().__init__("forgetful", "", makedefault=True)
        self.left = left
        self.deleted: list[str] = []

    def xDelete(self, name: str, sync_directory: bool) -> None:
        super().xDelete(name, sync_directory)
        self.deleted.append(Path(name).name)
        if sync_directory:
            self.directory_synced()

    def directory_synced(self) -> None:
        for name in self.deleted:
            (self.left / name).unlink(missing_ok=True)
        self.deleted = []

    def xOpen(self, name: Any, flags: list[int]) -> "ForgetfulFile":
        return ForgetfulFile(self.left, name, flags)


class ForgetfulFile(apsw.VFSFile):
    def __init__(self, left: Path, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._synced = left / Path(path or "temporary").name
        self._writes: list[tuple[int, bytes]] = []

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._writes.append((offset, bytes(data)))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        handle = os.open(self._synced, os.O_RDWR | os.O_CREAT)
        for offset, data in self._writes:
            os.pwrite(handle, data, offset)
        os.close(handle)
        self._writes = []


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "left").mkdir()
    vfs = ForgetfulDisk(tmp_path / "left")
    monkeypatch.setattr(DataDirectory, "sync", lambda _: vfs.directory_synced())
    yield vfs
    vfs.unregister()


async def test_whenever_the_power_is_cut_what_was_acknowledged_is_left(disk: ForgetfulDisk, tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path / "data", 2)
    lanes = [await log.lane_group().open_lane(partition) for partition in range(2)]
    cuts: list[tuple[Path, set[bytes], int]] = []
    acknowledged: set[bytes] = set()
    consumed = 0

    async def append(value: bytes) -> None:
        await log.append(Record(EVENTS, len(acknowledged) % 2, value, bytes(3000)))
        acknowledged.add(value)

    for number in range(24):
        await asyncio.gather(*(append(b"%d-%d" % (number, client)) for client in range(20)))
        await lanes[0].commit([Record(ROWS, 0, b"sid", b"%d" % number)], number + 1)
        consumed = number + 1
        if number % 3 == 0:
            cut = tmp_path / f"cut-{number}"
            shutil.copytree(disk.left, cut)
            cuts.append((cut, set(acknowledged), consumed))
        if number == 12:  # a checkpoint in between: the file is written, the log begins anew
            connection = embedded_file.open_for_upkeep(tmp_path / "data" / embedded_file.FILE_NAME)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            connection.close()
    await log.close()
    disk.unregister()

    for cut, there, consumed in cuts:
        log = await EmbeddedLog.open(cut, 2)
        found = {record.key async for records in _all(log, EVENTS) for record in records}
        rows = [record.value async for records in _all(log, ROWS) for record in records]
        assert there <= found
        assert rows == [b"%d" % number for number in range(consumed)]
        assert await (await log.lane_group().open_lane(0)).committed() == consumed
        await log.close()


async def _all(log: EmbeddedLog, topic: str) -> Any:
    async for records in log.follow(topic):
        if records is None:
            return
        yield records
