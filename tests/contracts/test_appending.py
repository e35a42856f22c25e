"""What every log promises a front door that appends."""

import asyncio

import pytest

from schemas import topics
from schemas.records import LogUnavailable, Record
from tests.contracts.harness import APPEND_BOUND_SECONDS, PARTITIONS, Harness
from tests.contracts.steps import append_surely, eventually, stored, without_repeats

EVENTS = topics.EVENTS.name
ANY_BYTES = bytes(range(256)) * 3


def event(partition: int, value: bytes) -> Record:
    return Record(EVENTS, partition, b"key", value)


async def test_an_acknowledged_record_is_committed_byte_for_byte(harness: Harness) -> None:
    door = await harness.door()

    await append_surely(door, Record(EVENTS, 1, b"\x00key\xff", ANY_BYTES))

    record = (await stored(harness, EVENTS, 1, values={ANY_BYTES}))[0]
    assert record.key == b"\x00key\xff"
    assert record.timestamp > 0


async def test_a_record_is_on_its_partition_and_its_topic_only(harness: Harness) -> None:
    door = await harness.door()

    await append_surely(door, event(2, b"here"))
    await append_surely(door, Record(topics.REJECTS.name, 2, b"", b"there"))

    assert {record.value for record in await stored(harness, EVENTS, 2, values={b"here"})} == {b"here"}
    assert {record.value for record in await stored(harness, topics.REJECTS.name, 2, values={b"there"})} == {b"there"}
    assert await harness.committed(EVENTS, 0) == []


async def test_appends_of_one_caller_keep_their_order_and_offsets_increase(harness: Harness) -> None:
    door = await harness.door()
    values = [b"%d" % number for number in range(40)]

    for value in values:
        await append_surely(door, event(0, value))

    records = await stored(harness, EVENTS, 0, values=set(values))
    assert without_repeats([record.value for record in records]) == values
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


async def test_appends_that_were_only_begun_are_told_and_stand_in_their_order(harness: Harness) -> None:
    door = await harness.door()
    values = [b"%d" % number for number in range(40)]

    begun = [door.begin(event(0, value)) for value in values]
    done, _ = await asyncio.wait(set(begun), timeout=2 * APPEND_BOUND_SECONDS)
    durable = [value for value, future in zip(values, begun, strict=True) if future in done and tells_durable(future)]

    stored_values = [record.value for record in await stored(harness, EVENTS, 0, values=set(durable))]
    assert [value for value in without_repeats(stored_values) if value in durable] == durable
    assert durable, "not one of them was durable in time"


def tells_durable(future: "asyncio.Future[str | None]") -> bool:
    return future.exception() is None and future.result() is None


async def test_of_many_concurrent_appends_each_acknowledged_one_stands_once_and_no_other_twice(
    harness: Harness,
) -> None:
    door = await harness.door()
    values = [b"%d" % number for number in range(600)]

    outcomes = await asyncio.gather(
        *(door.append(event(number % PARTITIONS, value)) for number, value in enumerate(values)), return_exceptions=True
    )

    assert {type(outcome) for outcome in outcomes} <= {type(None), LogUnavailable}
    acknowledged = {value for value, outcome in zip(values, outcomes, strict=True) if outcome is None}
    assert acknowledged
    found = []
    for partition in range(PARTITIONS):
        own = acknowledged & set(values[partition::PARTITIONS])
        found += [record.value for record in await stored(harness, EVENTS, partition, values=own)]
    assert len(found) == len(set(found))


async def test_append_all_writes_more_than_one_piece_in_order(harness: Harness) -> None:
    door = await harness.door()
    values = [b"%02d" % number + bytes(90_000) for number in range(30)]
    written = False

    while not written:  # a repeat after LogUnavailable, as a client's retry is
        try:
            await door.append_all([event(1, value) for value in values])
            written = True
        except LogUnavailable:
            continue

    records = await stored(harness, EVENTS, 1, values=set(values))
    assert without_repeats([record.value for record in records]) == values


async def test_append_all_cut_off_by_an_outage_leaves_a_prefix(harness: Harness) -> None:
    door = await harness.door()
    values = [b"%02d" % number + bytes(200_000) for number in range(40)]

    writing = asyncio.create_task(door.append_all([event(1, value) for value in values]))
    await eventually(lambda: harness.committed(EVENTS, 1))
    async with harness.outage():
        outcome = (await asyncio.gather(writing, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, LogUnavailable)

    await append_surely(door, event(1, b"the log is back"))
    found = [record.value for record in await stored(harness, EVENTS, 1, values={b"the log is back"})]
    prefix = [value for value in found if value != b"the log is back"]
    assert prefix == values[: len(prefix)]
    assert prefix


async def test_an_append_in_an_outage_is_refused_in_bounded_time_and_taken_after_it(harness: Harness) -> None:
    door = await harness.door()
    await append_surely(door, event(0, b"before"))

    async with harness.outage():
        async with asyncio.timeout(2 * APPEND_BOUND_SECONDS):  # twice: the bound is the log's, the machine is slow
            with pytest.raises(LogUnavailable):
                await door.append(event(0, b"during"))

    await append_surely(door, event(0, b"after"))
    values = [record.value for record in await stored(harness, EVENTS, 0, values={b"before", b"after"})]
    assert values.count(b"during") <= 1


async def test_a_door_says_it_is_unready_in_an_outage_and_ready_again_without_traffic(harness: Harness) -> None:
    door = await harness.door()
    await append_surely(door, event(0, b"before"))

    async def told() -> str | None:
        return door.unready()

    async def ready() -> bool:
        return door.unready() is None

    await eventually(ready)
    async with harness.outage():
        with pytest.raises(LogUnavailable):
            await door.append(event(0, b"during"))
        assert await eventually(told)
    await eventually(ready)


async def test_an_offered_record_arrives_when_there_is_room(harness: Harness) -> None:
    door = await harness.door()

    async def offered() -> bool:
        return door.offer(Record(topics.REJECTS.name, 1, b"", b"refused"))

    await eventually(offered)
    await stored(harness, topics.REJECTS.name, 1, values={b"refused"})
