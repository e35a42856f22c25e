"""Keeping up with a compacted topic; that it goes on after outages is tested with the closed sessions."""

import asyncio

import pytest

from ingest.following import keep_up
from schemas.records import StoredRecord
from tests.ingest.logs import ToldTopic


def records(count: int) -> list[StoredRecord]:
    return [StoredRecord(offset, 0, b"k", None) for offset in range(count)]


async def test_records_are_taken_in_slices() -> None:
    taken: list[object] = []
    topic = ToldTopic([records(5), None, records(1)])
    task = asyncio.create_task(
        keep_up(topic, "a topic", lambda some: taken.append(len(some)), lambda: taken.append("all"), slice_records=2)
    )
    await topic.told_all.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert taken == [2, 2, 1, "all", 1]


async def test_what_takes_may_fail_and_is_given_everything_again() -> None:
    taken: list[int] = []

    def take(some: list[StoredRecord]) -> None:
        taken.append(len(some))
        if len(taken) == 1:
            raise RuntimeError("a fault of ours")

    topic = ToldTopic([records(3)], [records(3), None])
    task = asyncio.create_task(keep_up(topic, "a topic", take, lambda: None))
    await topic.told_all.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert taken == [3, 3]
