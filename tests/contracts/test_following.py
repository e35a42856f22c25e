"""What every log promises a front door that follows a compacted topic."""

import asyncio

from schemas import topics
from schemas.records import Record, StoredRecord
from tests.contracts.harness import PARTITIONS, PATIENCE_SECONDS, Harness
from tests.contracts.steps import append_surely, eventually, stored

CLOSED = topics.CLOSED.name


async def test_following_an_empty_topic_is_caught_up_at_once(harness: Harness) -> None:
    door = await harness.door()

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await anext(door.follow(CLOSED)) is None


async def test_following_yields_what_was_there_then_none_then_what_comes(harness: Harness) -> None:
    door = await harness.door()
    for number in range(9):
        await append_surely(door, Record(CLOSED, number % PARTITIONS, b"%d" % number, b"closed"))
    for partition in range(PARTITIONS):
        await stored(harness, CLOSED, partition, values={b"closed"})

    followed = door.follow(CLOSED)
    before: list[StoredRecord] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while {record.key for record in before} < {b"%d" % number for number in range(9)}:
            before += await anext(followed) or []
        await append_surely(door, Record(CLOSED, 1, b"late", b"closed"))
        after: set[bytes] = set()
        while b"late" not in after:  # repeats of earlier ones may come first
            after |= {record.key for record in await anext(followed) or []}
        while await anext(followed) is not None:  # and it is caught up again
            pass

    assert after <= {record.key for record in before} | {b"late"}


async def test_nothing_that_was_there_comes_after_the_first_none(harness: Harness) -> None:
    door = await harness.door()
    keys = {b"%d" % number for number in range(1500)}
    await asyncio.gather(*(append_surely(door, Record(CLOSED, int(key) % PARTITIONS, key, b"x")) for key in keys))
    for partition in range(PARTITIONS):
        own = {key for key in keys if int(key) % PARTITIONS == partition}
        await _all_keys_stored(harness, partition, own)

    seen: set[bytes] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for records in (await harness.door()).follow(CLOSED):
            if records is None:
                break
            seen |= {record.key for record in records}

    assert seen == keys


async def test_the_newest_record_of_a_key_is_followed_last_and_tombstones_are_none(harness: Harness) -> None:
    door = await harness.door()
    for value in (b"first", b"second", None):
        await append_surely(door, Record(CLOSED, 0, b"gone", value))
        await append_surely(door, Record(CLOSED, 0, b"kept", value or b"third"))
    await stored(harness, CLOSED, 0, values={None, b"third"})

    newest: dict[bytes, bytes | None] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for records in (await harness.door()).follow(CLOSED):
            newest |= {record.key: record.value for record in records or []}
            if newest.get(b"kept") == b"third":
                break

    assert newest.get(b"gone") is None


async def _all_keys_stored(harness: Harness, partition: int, keys: set[bytes]) -> None:
    async def look() -> bool:
        return keys <= {record.key for record in await harness.committed(CLOSED, partition)}

    await eventually(look)
