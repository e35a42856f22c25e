"""The turns of a lane: who folds when, and when a commit is due."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.counts import Counts
from processors.lane import Lane
from processors.suspects import Suspects
from processors.turns import LaneSettings, Shared, next_due
from schemas import topics
from schemas.records import Record, StoredRecord
from tests.processors.memory_log import MemoryLog

intervals = st.floats(0.001, 10)
moments = st.floats(0, 1e6)
partitions = st.integers(0, 4095)


@given(moments, intervals, partitions)
def test_a_commit_is_due_between_a_half_and_one_and_a_half_intervals_after_the_last(
    now: float, interval: float, partition: int
) -> None:
    pause = next_due(now, interval, partition) - now
    assert interval * 0.499 < pause < interval * 1.501


@given(moments, intervals, partitions, st.floats(0, 0.49))
def test_a_lane_whose_commits_are_quick_commits_once_an_interval_however_long_they_take(
    now: float, interval: float, partition: int, share: float
) -> None:
    first = next_due(now, interval, partition)
    second = next_due(first + share * interval, interval, partition)
    assert abs(second - first - interval) < interval * 0.01


@given(moments, st.integers(1, 48))
def test_lanes_that_committed_together_are_due_apart(now: float, lanes: int) -> None:
    due = sorted(next_due(now, 1.0, partition) % 1 for partition in range(lanes))
    gaps = [after - before for before, after in zip(due, [*due[1:], due[0] + 1], strict=True)]
    assert min(gaps) > 0.3 / lanes


def test_without_an_interval_a_commit_is_always_due() -> None:
    assert next_due(17.0, 0.0, 3) == 17.0


class Noting:
    """A fold that notes in which turn of the loop it was asked to fold."""

    input_topic = topics.EVENTS.name
    state_topic = topics.STATE.name

    def __init__(self, partition: int, noted: list[tuple[int, int]], turns: list[int]) -> None:
        self._partition = partition
        self._noted = noted
        self._turns = turns

    def restore(self, records: Sequence[StoredRecord]) -> None: ...

    def restored(self) -> None: ...

    def fold(self, records: Sequence[StoredRecord], start: int, stop: int, wall: int) -> int:
        self._noted.append((self._turns[0], stop - start))
        return stop

    def pass_time(self, until: int, wall: int) -> bool:
        return True

    def full(self) -> bool:
        return False

    def finish(self) -> list[Record]:
        self._noted.append((self._turns[0], 0))
        return []

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def exclude(self, poisoned: Any) -> None: ...

    def next_deadline(self) -> int | None:
        return None


async def folded_by(lanes: int, records: int, settings: LaneSettings) -> list[tuple[int, int]]:
    """(turn of the loop, records folded in it; 0 for a finish) of lanes that find their records all at once."""
    noted: list[tuple[int, int]] = []
    turns = [0]
    log = MemoryLog()
    for number in range(records):
        await log.append(topics.EVENTS.name, b"k%d" % number, b"")
    shared = Shared(log, lambda partition: Noting(partition, noted, turns), log.clock, settings, Counts(), Suspects(20))
    tasks = [asyncio.create_task(Lane(0, shared).run()) for _ in range(lanes)]
    try:
        while sum(count for _, count in noted) < lanes * records or noted[-1][1]:
            assert not any(task.done() for task in tasks)
            turns[0] += 1
            await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return noted


async def test_of_all_lanes_one_at_most_folds_in_a_turn_of_the_loop() -> None:
    noted = await folded_by(6, 100, LaneSettings(turn_records=10))
    folding = [turn for turn, count in noted if count]
    assert len(folding) == len(set(folding)) == 60


async def test_a_lane_with_much_waiting_takes_more_in_a_turn() -> None:
    noted = await folded_by(1, 4_000, LaneSettings(turn_records=10, read_records=4_000))
    assert {count for _, count in noted if count} == {4_000 // 16}
