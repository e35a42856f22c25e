"""Reading a topic from outside the process that writes it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.embedded import EmbeddedLog
from deploy.embedded_directory import EmbeddedLogRefused
from deploy.embedded_snapshot import SNAPSHOT_RECORDS
from deploy.readers import TopicReader, embedded_reader
from schemas import topics
from schemas.records import Record

EVENTS = topics.EVENTS.name
PATIENCE_SECONDS = 30.0

READS_BESIDE = """
import asyncio, sys
from pathlib import Path
from deploy.readers import embedded_reader

async def read():
    reader = embedded_reader(Path(sys.argv[1]))
    async for partition, records in reader.records("media.events.v1", from_start=True, follow=True):
        for record in records:
            print(partition, record.offset, record.value.decode(), flush=True)

asyncio.run(read())
"""


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(tmp_path, 3)
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        yield log
    await log.close()


@pytest_asyncio.fixture
async def reader(log: EmbeddedLog, tmp_path: Path) -> AsyncIterator[TopicReader]:
    reader = embedded_reader(tmp_path)
    yield reader
    await reader.close()


def event(value: bytes, partition: int) -> Record:
    return Record(EVENTS, partition, b"sid", value)


async def test_from_the_start_without_following_gives_all_partitions_and_ends(
    log: EmbeddedLog, reader: TopicReader
) -> None:
    count = 2 * SNAPSHOT_RECORDS + 100
    for partition in range(3):
        await log.append_all([event(b"%d" % number, partition) for number in range(count)])

    read: dict[int, list[bytes | None]] = {0: [], 1: [], 2: []}
    async for partition, records in reader.records(EVENTS, from_start=True, follow=False):
        assert 0 < len(records) <= SNAPSHOT_RECORDS
        read[partition] += [record.value for record in records]

    assert list(read.values()) == 3 * [[b"%d" % number for number in range(count)]]


async def test_the_log_says_how_many_partitions_it_has(reader: TopicReader) -> None:
    assert await reader.partitions() == 3


async def test_from_the_end_without_following_gives_nothing(log: EmbeddedLog, reader: TopicReader) -> None:
    await log.append(event(b"there", 0))

    assert [found async for found in reader.records(EVENTS, from_start=False, follow=False)] == []


async def test_following_from_the_end_gives_what_comes(log: EmbeddedLog, reader: TopicReader) -> None:
    await log.append(event(b"there", 0))
    followed = reader.records(EVENTS, from_start=False, follow=True)
    coming = asyncio.create_task(anext(followed))
    for number in range(1000):  # where the end is, is looked up when iteration begins: somewhere among these
        await log.append(event(b"%d" % number, 2))
        if coming.done():
            break

    partition, records = await coming
    assert partition == 2
    assert b"there" not in {record.value for record in records}


async def test_a_reader_in_another_process_follows_while_the_log_is_written(log: EmbeddedLog, tmp_path: Path) -> None:
    beside = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READS_BESIDE, str(tmp_path), stdout=subprocess.PIPE
    )
    assert beside.stdout
    told = []
    for number in range(40):
        await log.append(event(b"%d" % number, number % 3))
        if number % 8 == 0:
            told.append((await beside.stdout.readline()).split())
    while len(told) < 40:
        told.append((await beside.stdout.readline()).split())
    beside.kill()
    await beside.wait()

    assert sorted(told, key=lambda line: int(line[1])) == [
        [b"%d" % (number % 3), b"%d" % number, b"%d" % number] for number in range(40)
    ]


async def test_what_is_not_committed_is_not_read(log: EmbeddedLog, reader: TopicReader) -> None:
    lane = await log.lane_group().open_lane(0)
    await log.lane_group().open_lane(0)
    with pytest.raises(Exception, match="successor"):
        await lane.commit([Record(topics.AD_CLOSE.name, 0, b"sid", b"of the dead")], 1)

    assert [found async for found in reader.records(topics.AD_CLOSE.name, from_start=True, follow=False)] == []


async def test_a_log_whose_process_has_ended_is_still_read(log: EmbeddedLog, tmp_path: Path) -> None:
    await log.append(event(b"left behind", 1))
    await log.close()

    reader = embedded_reader(tmp_path)
    found = [found async for found in reader.records(EVENTS, from_start=True, follow=False)]
    await reader.close()
    assert [(partition, [record.value for record in records]) for partition, records in found] == [
        (1, [b"left behind"])
    ]


async def test_an_unknown_topic_is_the_callers_error(reader: TopicReader) -> None:
    with pytest.raises(KeyError):
        await anext(reader.records("media.typo.v1", from_start=True, follow=False))


async def test_a_directory_that_cannot_be_written_to_is_said_to_be_the_reason(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.close()
    (tmp_path / "log.sqlite-wal").mkdir()  # so that SQLite cannot open its own file there, whoever runs the test
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(EmbeddedLogRefused, match="cannot be written to"):
        embedded_reader(tmp_path)
