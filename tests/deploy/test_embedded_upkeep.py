"""Retention, compaction and checkpoints of the embedded log, by a clock that is set by hand."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest
import pytest_asyncio

from deploy import embedded_file, embedded_upkeep, embedded_writer
from deploy.embedded import EmbeddedLog
from deploy.embedded_snapshot import SNAPSHOT_BYTES, SNAPSHOT_RECORDS, snapshot
from schemas import topics
from schemas.records import OffsetOutOfRange, Record, StoredRecord

EVENTS = topics.EVENTS
CLOSED = topics.CLOSED
STATE = topics.STATE
START = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def log(tmp_path: Path, clock: Clock) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(tmp_path, 2, clock=clock)
    # Its own first turn is awaited: a busy machine would let it fall into the test. A thread wakes no event of the loop.
    while not log.upkeep.turns:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    yield log
    await log.close()


@pytest.fixture
def connection(log: EmbeddedLog, tmp_path: Path) -> Iterator[apsw.Connection]:
    with contextlib.closing(embedded_file.open_for_upkeep(tmp_path / embedded_file.FILE_NAME)) as connection:
        yield connection


async def turn(log: EmbeddedLog, connection: apsw.Connection) -> None:
    await asyncio.to_thread(log.upkeep.turn, connection)


async def write(log: EmbeddedLog, topic: topics.Topic, records: dict[bytes, bytes | None], partition: int = 0) -> None:
    await log.append_all([Record(topic.name, partition, key, value) for key, value in records.items()])


def left(connection: apsw.Connection, topic: topics.Topic) -> list[tuple[bytes, bytes | None]]:
    return [(record.key, record.value) for _, record in read_all(connection, topic)]


def read_all(connection: apsw.Connection, topic: topics.Topic) -> list[tuple[int, StoredRecord]]:
    return snapshot(connection, topic.name, partition=None, begin=0, end=1 << 60)


async def test_retention_deletes_what_is_older_and_nothing_else(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    await write(log, EVENTS, {b"old": b"1", b"older than it looks": b"2"})
    clock.now += 1
    await write(log, EVENTS, {b"just young enough": b"3"})
    clock.now = START + topics.DAY_MS * 7 + 1

    await turn(log, connection)

    assert left(connection, EVENTS) == [(b"just young enough", b"3")]


async def test_each_topic_keeps_its_own_time(log: EmbeddedLog, clock: Clock, connection: apsw.Connection) -> None:
    for topic in topics.ALL:
        await write(log, topic, {b"k": b"v"})
    clock.now += topics.DAY_MS + 1

    await turn(log, connection)

    gone = {topic.name for topic in topics.ALL if not left(connection, topic)}
    assert gone == {topics.HEARTBEAT.name, topics.MINUTES.name}


async def test_reading_below_what_is_left_raises_also_after_a_restart(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection, tmp_path: Path
) -> None:
    await write(log, EVENTS, {b"%d" % number: b"x" for number in range(5)})
    clock.now += topics.DAY_MS * 8
    await write(log, EVENTS, {b"young": b"y"})
    await turn(log, connection)
    lane = await log.lane_group().open_lane(0)

    assert await lane.committed() == 5  # a new lane begins where records begin
    with pytest.raises(OffsetOutOfRange):
        await lane.read(4, 10, 0)
    assert (await lane.read(5, 10, 0)).records[0].key == b"young"
    await log.close()

    again = await EmbeddedLog.open(tmp_path, 2, clock=clock)
    lane = await again.lane_group().open_lane(0)
    with pytest.raises(OffsetOutOfRange):
        await lane.read(4, 10, 0)
    await again.close()


async def test_retention_of_one_partition_does_not_trouble_a_quiet_one(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    quiet = await log.lane_group().open_lane(1)
    await write(log, EVENTS, {b"%d" % number: b"x" for number in range(20)}, partition=0)
    clock.now += topics.DAY_MS * 8
    await turn(log, connection)

    assert (await quiet.read(0, 10, 0)).records == []  # it has lost nothing


async def test_offsets_go_on_when_everything_is_gone(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection, tmp_path: Path
) -> None:
    await write(log, EVENTS, {b"%d" % number: b"x" for number in range(7)})
    await write(log, STATE, {b"sid": b"x"})
    await write(log, STATE, {b"sid": None})
    clock.now += topics.DAY_MS * 8
    await turn(log, connection)
    assert left(connection, EVENTS) == left(connection, STATE) == []
    await log.close()

    again = await EmbeddedLog.open(tmp_path, 2, clock=clock)
    await write(again, EVENTS, {b"new": b"x"})
    await write(again, STATE, {b"new": b"x"})
    assert [record.offset for _, record in read_all(connection, EVENTS)] == [7]
    assert [record.offset for _, record in read_all(connection, STATE)] == [2]
    await again.close()


async def test_deletion_goes_in_small_steps_between_commits(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_upkeep, "STEP_RECORDS", 50)
    await log.append_all([Record(EVENTS.name, number % 2, b"k", b"v") for number in range(320)])
    clock.now += topics.DAY_MS * 8
    counts = []
    log._writer.on_wal_pages = lambda _: counts.append(None)

    await turn(log, connection)

    assert len(counts) == 7
    assert left(connection, EVENTS) == []


async def test_compaction_keeps_the_newest_of_each_key(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    for generation in range(5):
        await write(log, STATE, {b"%d" % number: b"%d" % generation for number in range(30)})
    await write(log, STATE, {b"3": b"elsewhere"}, partition=1)
    clock.now += 10 * topics.MINUTE_MS

    await turn(log, connection)

    assert left(connection, STATE) == [*((b"%d" % number, b"4") for number in range(30)), (b"3", b"elsewhere")]


async def test_a_topic_is_compacted_before_its_time_when_enough_of_it_is_dirty(
    log: EmbeddedLog, connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_upkeep, "LEAST_DIRTY_RECORDS", 100)
    state = [Record(STATE.name, 0, b"%d" % (number % 10), b"%d" % number) for number in range(99)]
    await log.append_all(state)
    await turn(log, connection)
    assert len(left(connection, STATE)) == 99

    await write(log, STATE, {b"one more": b"x"})
    await turn(log, connection)
    assert len(left(connection, STATE)) == 11


async def test_a_tombstone_buries_at_once_and_goes_later(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    await write(log, STATE, {b"closed": b"packed", b"open": b"packed"})
    clock.now += 9 * topics.MINUTE_MS
    await write(log, STATE, {b"closed": None})
    clock.now += topics.MINUTE_MS
    await turn(log, connection)
    assert left(connection, STATE) == [(b"open", b"packed"), (b"closed", None)]

    clock.now += 9 * topics.MINUTE_MS  # ten minutes after the tombstone, but not after the last pass
    await turn(log, connection)
    clock.now += topics.MINUTE_MS + 1
    await turn(log, connection)
    assert left(connection, STATE) == [(b"open", b"packed")]


async def test_a_key_that_comes_back_after_its_tombstone_stays(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    for value in (b"first", None, b"again"):
        await write(log, STATE, {b"sid": value})
    clock.now += topics.HOUR_MS

    await turn(log, connection)

    assert left(connection, STATE) == [(b"sid", b"again")]


async def test_compaction_in_several_chunks_is_the_same(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_upkeep, "_CHUNK_RECORDS", 7)
    monkeypatch.setattr(embedded_upkeep, "STEP_RECORDS", 3)
    numbers = range(200)
    written = [(b"%d" % (number * number % 37), b"%d" % number if number % 5 else None) for number in numbers]
    await log.append_all([Record(STATE.name, 0, key, value) for key, value in written])
    newest = dict(written)
    clock.now += 5 * topics.MINUTE_MS + 10 * topics.MINUTE_MS

    await turn(log, connection)

    assert dict(left(connection, STATE)) == {key: value for key, value in newest.items() if value is not None}


async def test_compaction_goes_on_where_new_records_came(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    for generation in (b"a", b"b", b"c"):
        await write(log, STATE, {b"one": generation, b"two": generation})
        clock.now += 10 * topics.MINUTE_MS
        await turn(log, connection)
        assert left(connection, STATE) == [(b"one", generation), (b"two", generation)]


async def test_the_closed_topic_is_compacted_and_deleted(
    log: EmbeddedLog, clock: Clock, connection: apsw.Connection
) -> None:
    await write(log, CLOSED, {b"a": b"1", b"b": b"1"})
    clock.now += topics.HOUR_MS
    await write(log, CLOSED, {b"b": b"2"})
    await turn(log, connection)
    assert left(connection, CLOSED) == [(b"a", b"1"), (b"b", b"2")]

    clock.now += topics.DAY_MS * 2 - topics.HOUR_MS + 1
    await turn(log, connection)
    assert left(connection, CLOSED) == [(b"b", b"2")]


async def test_the_write_ahead_log_stays_bounded_under_load_with_readers(
    log: EmbeddedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_upkeep, "CHECKPOINT_PAGES", 100)
    monkeypatch.setattr(embedded_writer, "_WAL_PAGES", 200)
    wal = tmp_path / f"{embedded_file.FILE_NAME}-wal"
    lane = await log.lane_group().open_lane(0)
    stop = False

    async def read_all_the_time() -> None:
        while not stop:
            async for _ in lane.restore(EVENTS.name):
                pass
            await asyncio.sleep(0)

    reading = asyncio.create_task(read_all_the_time())
    largest = 0
    for _ in range(30):
        await asyncio.gather(*(log.append(Record(EVENTS.name, 0, b"k", os.urandom(8_000))) for _ in range(40)))
        largest = max(largest, wal.stat().st_size)
    stop = True
    await reading

    written = 30 * 40 * 8_000
    assert largest < written / 2
    assert largest < (200 + 800) * 4_200


async def test_a_snapshot_is_short_in_rows_and_in_bytes(log: EmbeddedLog, connection: apsw.Connection) -> None:
    await log.append_all([Record(EVENTS.name, 0, b"k", b"small") for _ in range(SNAPSHOT_RECORDS + 500)])
    rows = snapshot(connection, EVENTS.name, partition=0, begin=0, end=1 << 60, limit=10_000)
    assert len(rows) == SNAPSHOT_RECORDS

    await log.append_all([Record(STATE.name, 0, b"k", bytes(250_000)) for _ in range(40)])
    rows = snapshot(connection, STATE.name, partition=0, begin=0, end=1 << 60)
    assert SNAPSHOT_BYTES <= sum(len(record.value or b"") for _, record in rows) < SNAPSHOT_BYTES + 250_000
    one = snapshot(connection, STATE.name, partition=0, begin=0, end=1 << 60, limit=1)
    assert len(one) == 1
