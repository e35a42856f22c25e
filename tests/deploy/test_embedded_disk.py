"""A full disk: refused in bounded time, nothing acknowledged lost, ready again without a restart."""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from deploy.embedded import EmbeddedLog
from schemas import topics
from schemas.records import LogUnavailable, Record

EVENTS = topics.EVENTS.name
PATIENCE_SECONDS = 30.0
CAP_SYS_ADMIN = 21


class Disk(Protocol):
    data: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class TinyDisk:
    """A real file system of 8 MB."""

    def __init__(self, place: Path) -> None:
        self._ballast = place / "ballast"
        self.data = place / "data"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        self._ballast.unlink()


class TightQuota:
    """No file of this process may grow beyond its size: the write is refused by the kernel as on a full disk."""

    def __init__(self, place: Path) -> None:
        self.data = place / "data"
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        largest = max(file.stat().st_size for file in self.data.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1]
    return bool(int(effective, 16) >> CAP_SYS_ADMIN & 1)


@pytest.fixture(params=["tight quota", "tiny disk"] if _may_mount() else ["tight quota"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "tight quota":
        quota = TightQuota(tmp_path)
        yield quota
        quota.free()
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", os.fspath(tmp_path)], check=True)
    yield TinyDisk(tmp_path)
    subprocess.run(["umount", "--lazy", os.fspath(tmp_path)], check=True)


def event(number: int) -> Record:
    return Record(EVENTS, 0, b"%d" % number, bytes(60_000))


async def _append_until_refused(log: EmbeddedLog, first: int) -> tuple[int, str]:
    """The number of the first event refused, and the words of the refusal."""
    for number in range(first, first + 1000):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await log.append(event(number))
        except LogUnavailable as refused:
            return number, str(refused)
    raise AssertionError("the disk took 60 MB")


async def _ready(log: EmbeddedLog) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while log.unready() is not None:  # noqa: ASYNC110  nobody tells when space returns
            await asyncio.sleep(0.05)


async def test_a_full_disk_refuses_and_takes_again_when_space_returns(disk: Disk) -> None:
    log = await EmbeddedLog.open(disk.data, 1)
    await log.append(event(0))

    disk.fill()
    refused, words = await _append_until_refused(log, 1)
    assert "could not write" in words
    assert words == log.unready()

    disk.free()
    await _ready(log)  # without a record to try it with
    await log.append(event(refused))
    await log.close()

    log = await EmbeddedLog.open(disk.data, 1)
    lane = await log.lane_group().open_lane(0)
    fetch = await lane.read(0, 1000, 0)
    assert [record.key for record in fetch.records] == [b"%d" % number for number in range(refused + 1)]
    assert all(record.value == bytes(60_000) for record in fetch.records)
    await log.close()


async def test_a_transaction_on_a_full_disk_leaves_nothing_and_holds_when_tried_again(disk: Disk) -> None:
    log = await EmbeddedLog.open(disk.data, 1)
    group = log.lane_group()
    lane = await group.open_lane(0)
    rows = [Record(topics.SESSION_CLOSE.name, 0, b"sid", bytes(300_000)) for _ in range(8)]

    disk.fill()
    await _append_until_refused(log, 0)
    with pytest.raises(LogUnavailable):
        await lane.commit(rows, 7)

    disk.free()
    await _ready(log)
    lane = await group.open_lane(0)
    assert await lane.committed() == 0
    assert [found async for found in lane.restore(topics.SESSION_CLOSE.name)] == []
    await lane.commit(rows, 7)
    assert await (await group.open_lane(0)).committed() == 7
    await log.close()


async def test_a_log_of_a_full_disk_still_opens_and_is_read(disk: Disk) -> None:
    log = await EmbeddedLog.open(disk.data, 1)
    await log.append(event(0))
    disk.fill()
    await _append_until_refused(log, 1)
    await log.close()

    log = await EmbeddedLog.open(disk.data, 1)
    lane = await log.lane_group().open_lane(0)
    assert (await lane.read(0, 1, 0)).records[0].key == b"0"
    await log.close()
    disk.free()


async def test_a_prefix_is_left_of_many_records_that_do_not_fit(disk: Disk) -> None:
    log = await EmbeddedLog.open(disk.data, 1)
    await log.append(event(0))
    await log.append_all([event(number) for number in range(1, 20)])
    disk.fill()

    with pytest.raises(LogUnavailable):
        await log.append_all([event(number) for number in range(20, 320)])

    disk.free()
    await _ready(log)
    lane = await log.lane_group().open_lane(0)
    keys = [record.key for record in (await lane.read(0, 1000, 0)).records]
    assert keys == [b"%d" % number for number in range(len(keys))]
    assert 20 <= len(keys) < 320
    await log.close()
