"""What every log promises a worker: fenced lanes, transactions, restore, reads."""

import asyncio
import time

import pytest

from schemas import topics
from schemas.records import LaneFenced, LogUnavailable, OffsetOutOfRange, Record
from tests.contracts.harness import PATIENCE_SECONDS, Harness
from tests.contracts.steps import Worker, append_surely, eventually, read_until, restored, stored, without_repeats

EVENTS = topics.EVENTS.name
STATE = topics.STATE.name
ROWS = topics.SESSION_CLOSE.name
PARTITION = 1


def event(value: bytes) -> Record:
    return Record(EVENTS, PARTITION, b"sid", value)


def row(value: bytes) -> Record:
    return Record(ROWS, PARTITION, b"sid", value)


def state(key: bytes, value: bytes | None) -> Record:
    return Record(STATE, PARTITION, key, value)


async def test_a_new_lane_begins_at_the_start_of_its_partition_and_reads_in_order(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    values = [b"%d" % number for number in range(30)]
    for value in values:
        await append_surely(door, event(value))
    await append_surely(door, Record(EVENTS, PARTITION + 1, b"sid", b"of another lane"))

    lane = await worker.lane(PARTITION)
    read = await read_until(lane, await lane.committed(), set(values))

    assert without_repeats([record.value for record in read]) == values
    offsets = [record.offset for record in read]
    assert offsets == sorted(set(offsets))


async def test_a_read_at_the_end_is_empty_and_says_when_it_had_caught_up(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    await append_surely(door, event(b"only"))
    lane = await worker.lane(PARTITION)
    end = (await read_until(lane, await lane.committed(), {b"only"}))[-1].offset + 1
    began_at = time.time_ns() // 1_000_000

    async def caught_up_at() -> int | None:
        fetch = await lane.read(end, 100, 0.2)
        assert {record.value for record in fetch.records} <= {b"only"}
        return fetch.caught_up_at

    at = await eventually(caught_up_at)
    assert at is not None
    assert began_at - 1_000 <= at <= time.time_ns() // 1_000_000


async def test_a_lane_that_lags_does_not_say_it_has_caught_up(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    for number in range(20):
        await append_surely(door, event(b"%d" % number))
    await stored(harness, EVENTS, PARTITION, values={b"19"})
    lane = await worker.lane(PARTITION)
    start = await lane.committed()

    async def first() -> list[bytes | None]:
        fetch = await lane.read(start, 3, 1.0)
        assert len(fetch.records) <= 3
        assert fetch.caught_up_at is None or not fetch.records
        return [record.value for record in fetch.records]

    assert (await eventually(first))[0] == b"0"


async def test_a_waiting_read_is_woken_by_the_record_it_waits_for(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    lane = await worker.lane(PARTITION)
    start = await lane.committed()

    waiting = asyncio.create_task(lane.read(start, 10, 4 * PATIENCE_SECONDS))
    await append_surely(door, event(b"news"))
    async with asyncio.timeout(PATIENCE_SECONDS):  # a quarter of what it was told to wait
        fetch = await waiting

    assert fetch.records[0].value == b"news"


async def test_reading_below_retention_raises(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    for value in (b"old", b"kept"):
        await append_surely(door, event(value))
    records = await stored(harness, EVENTS, PARTITION, values={b"old", b"kept"})
    kept = next(record for record in records if record.value == b"kept")
    lane = await worker.lane(PARTITION)
    await harness.delete_before(EVENTS, PARTITION, kept.offset)

    async def raises() -> bool:
        try:
            await lane.read(records[0].offset, 10, 0.2)
        except OffsetOutOfRange:
            return True
        return False

    assert await eventually(raises)
    assert (await read_until(lane, kept.offset, {b"kept"}))[0].value == b"kept"


async def test_reading_beyond_the_end_raises(harness: Harness) -> None:
    await append_surely(await harness.door(), event(b"only"))
    lane = await Worker(await harness.group("a")).lane(PARTITION)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(OffsetOutOfRange):
            await lane.read(1_000_000_000, 10, PATIENCE_SECONDS)


async def test_a_transaction_writes_rows_state_and_consumed_offset_together(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    await append_surely(door, event(b"in"))
    lane = await worker.lane(PARTITION)
    consumed = (await read_until(lane, await lane.committed(), {b"in"}))[-1].offset + 1

    lane = await worker.commit_surely(lane, [row(b"out"), state(b"sid", b"packed")], consumed)

    assert [record.value for record in await stored(harness, ROWS, PARTITION, values={b"out"})] == [b"out"]
    successor = await worker.lane(PARTITION)
    assert await successor.committed() == consumed
    assert [(record.key, record.value) for record in await restored(successor, STATE)] == [(b"sid", b"packed")]


async def test_a_transaction_without_records_moves_the_offset(harness: Harness) -> None:
    door, worker = await harness.door(), Worker(await harness.group("a"))
    await append_surely(door, event(b"in"))
    lane = await worker.lane(PARTITION)
    consumed = (await read_until(lane, await lane.committed(), {b"in"}))[-1].offset + 1

    await worker.commit_surely(lane, [], consumed)

    assert await (await worker.lane(PARTITION)).committed() == consumed


async def test_rows_of_successive_transactions_keep_their_order(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    lane = await worker.lane(PARTITION)
    values = [b"%d" % number for number in range(12)]

    for value in values:
        lane = await worker.commit_surely(lane, [row(value + b"a"), row(value + b"b")], int(value) + 1)

    expected = [value + half for value in values for half in (b"a", b"b")]
    records = await stored(harness, ROWS, PARTITION, values=set(expected))
    assert [record.value for record in records] == expected


async def test_opening_a_lane_fences_its_predecessor_and_nothing_of_it_is_seen(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    predecessor = await worker.lane(PARTITION)
    successor = await worker.lane(PARTITION)

    with pytest.raises(LaneFenced):
        await predecessor.commit([row(b"of the dead"), state(b"sid", b"of the dead")], 77)

    assert await successor.committed() != 77
    await worker.commit_surely(successor, [row(b"of the living")], 5)
    records = await stored(harness, ROWS, PARTITION, values={b"of the living"})
    assert [record.value for record in records] == [b"of the living"]
    successor = await worker.lane(PARTITION)
    assert await successor.committed() == 5
    assert await restored(successor, STATE) == []


async def test_a_fenced_lane_stays_fenced(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    predecessor = await worker.lane(PARTITION)
    await worker.lane(PARTITION)

    for _ in range(2):
        with pytest.raises(LaneFenced):
            await predecessor.commit([], 1)


async def test_fencing_one_lane_leaves_the_others_alone(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    neighbour = await worker.lane(PARTITION + 1)
    await worker.lane(PARTITION)
    await worker.lane(PARTITION)

    await worker.commit_surely(neighbour, [], 3)

    assert await (await worker.lane(PARTITION + 1)).committed() == 3


async def test_another_member_takes_over_where_the_first_one_stopped(harness: Harness) -> None:
    first = Worker(await harness.group("a"))
    lane = await first.commit_surely(await first.lane(PARTITION), [state(b"sid", b"packed")], 9)
    await lane.close()
    await first.group.close()

    second = Worker(await harness.group("b"))
    lane = await second.lane(PARTITION)

    assert await lane.committed() == 9
    assert {record.key: record.value for record in await restored(lane, STATE)} == {b"sid": b"packed"}


async def test_restore_gives_the_newest_record_of_every_key_of_its_partition(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    lane = await worker.lane(PARTITION)
    keys = [b"%04d" % number for number in range(1100)]
    for generation in (b"old", b"new"):
        lane = await worker.commit_surely(lane, [state(key, generation + key) for key in keys], 1 + len(generation))
        lane = await worker.commit_surely(lane, [state(b"gone", generation if generation == b"old" else None)], 9)
    neighbour = await worker.lane(PARTITION + 1)
    await worker.commit_surely(neighbour, [Record(STATE, PARTITION + 1, b"of another lane", b"x")], 1)

    newest = {record.key: record.value for record in await restored(await worker.lane(PARTITION), STATE)}

    assert newest.pop(b"gone", None) is None
    assert newest == {key: b"new" + key for key in keys}


async def test_restore_of_an_empty_topic_ends(harness: Harness) -> None:
    lane = await Worker(await harness.group("a")).lane(PARTITION)

    assert await restored(lane, STATE) == []


async def test_after_a_transaction_in_an_outage_the_offset_tells_whether_its_rows_hold(harness: Harness) -> None:
    worker = Worker(await harness.group("a"))
    lane = await worker.commit_surely(await worker.lane(PARTITION), [row(b"before")], 1)

    async with harness.outage(), asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(LogUnavailable):
            await lane.commit([row(b"during"), state(b"sid", b"during")], 2)

    await lane.close()
    lane = await worker.lane(PARTITION)
    held = await lane.committed() == 2
    await worker.commit_surely(lane, [row(b"after")], 3)
    records = await stored(harness, ROWS, PARTITION, values={b"after"})
    expected = [b"before", b"during", b"after"] if held else [b"before", b"after"]
    assert [record.value for record in records] == expected
    state_held = {record.key for record in await restored(await worker.lane(PARTITION), STATE)} == {b"sid"}
    assert state_held == held
