"""Partitions come and go: one lane for each that is ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from processors.session.rules import Rules
from processors.session_table import SessionTable
from processors.suspects import TooManyPoisoned
from processors.turns import LaneSettings
from processors.worker import Worker
from schemas import topics
from tests.processors.memory_log import MemoryLog
from tests.processors.partition import T0, sid_of
from tests.processors.test_lane import EVENTS, Picky, event, start

A = sid_of(1)
PROMPT = LaneSettings(commit_interval_seconds=0, backoff_seconds=0.001, idle_seconds=0.1)


class Working:
    def __init__(self, log: MemoryLog, settings: LaneSettings, make_fold: Callable[[int], Any] | None) -> None:
        self.log = log
        make_fold = make_fold or (lambda partition: SessionTable(partition, Rules(), self.worker.counts))
        self.worker = Worker(log, make_fold, log.clock, settings)
        self.task = asyncio.create_task(self.worker.run())

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(200_000):
            if condition():
                return
            assert not self.task.done(), self.task
            await asyncio.sleep(0)
        raise AssertionError("it never came about")


@asynccontextmanager
async def working(
    log: MemoryLog, settings: LaneSettings = PROMPT, make_fold: Callable[[int], Any] | None = None
) -> AsyncIterator[Working]:
    work = Working(log, settings, make_fold)
    try:
        yield work
    finally:
        work.task.cancel()
        await asyncio.wait((work.task,))


def held(partitions: int = 3) -> MemoryLog:
    log = MemoryLog(partitions)
    log.clock.now = log.clock.holds_at = T0
    return log


async def test_a_worker_is_not_ready_before_every_owned_lane_is_restored() -> None:
    log = held()
    async with working(log) as work:
        assert work.worker.unready() == ["no partitions assigned yet"]
        log.away = True
        log.assign(0, 2)
        await work.until(lambda: work.worker.counts.log_failures >= 2)
        assert work.worker.unready() == [
            "partition 0: log unavailable: the log is away",
            "partition 2: log unavailable: the log is away",
        ]
        log.away = False
        await work.until(lambda: not work.worker.unready())


async def test_a_worker_without_partitions_is_ready() -> None:
    log = held()
    async with working(log) as work:
        log.assign()
        await work.until(lambda: not work.worker.unready())


async def test_each_partition_has_its_lane() -> None:
    log = held()
    for partition in range(3):
        sid = sid_of(partition)
        await log.append(EVENTS, sid.encode(), start(sid), partition)
    async with working(log) as work:
        log.assign(0, 1)
        await work.until(lambda: set(log.consumed) == {0, 1})
        log.assign(0, 1, 2)
        await work.until(lambda: set(log.consumed) == {0, 1, 2})
        assert work.worker.counts.open_sessions == {0: 1, 1: 1, 2: 1}
        assert log.epochs == {0: 1, 1: 1, 2: 1}


async def test_a_lane_that_is_taken_stops_and_its_table_is_used_when_it_comes_back() -> None:
    log = held()
    await log.append(EVENTS, A.encode(), start(A))
    async with working(log) as work:
        log.assign(0)
        await work.until(lambda: log.consumed)
        log.assign()
        await work.until(lambda: not work.worker.counts.open_sessions)
        await log.append(EVENTS, A.encode(), event(A, "sessionEnd", 1_000))
        for _ in range(100):
            await asyncio.sleep(0)
        assert log.consumed[0] < log.end(EVENTS, 0)
        log.assign(0)
        await work.until(lambda: log.consumed[0] == log.end(EVENTS, 0))
        assert work.worker.counts.restores == 1


async def test_a_partition_given_back_at_once_waits_for_its_former_lane() -> None:
    log = held()
    await log.append(EVENTS, A.encode(), start(A))
    async with working(log) as work:
        log.assign(0)
        await work.until(lambda: log.consumed)
        log.assign()
        log.assign(0)
        await log.append(EVENTS, A.encode(), event(A, "ping", 1_000))
        await work.until(lambda: log.consumed[0] == log.end(EVENTS, 0))
        assert work.worker.counts.fences == 0
        assert work.worker.counts.restores == 1


async def test_stop_drains_and_run_returns() -> None:
    log = held()
    settings = LaneSettings(commit_interval_seconds=3600, idle_seconds=0.1)
    async with working(log, settings) as work:
        log.assign(0, 1)
        await log.append(EVENTS, A.encode(), start(A))
        await work.until(lambda: log.consumed)
        for ts in range(1, 40):
            await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts))
        await work.until(lambda: log.read_to == log.end(EVENTS, 0))
        await work.worker.stop()
        assert work.task.done()
        work.task.result()
    assert work.worker.counts.commits == 2


async def test_stop_before_run_ends_run_at_once() -> None:
    log = held()
    worker = Worker(log, Picky, log.clock, PROMPT)
    await worker.stop()
    await worker.run()


async def test_run_ends_when_the_group_is_closed() -> None:
    log = held()
    async with working(log) as work:
        log.assign(0)
        await work.until(lambda: not work.worker.unready())
        await log.close()
        await asyncio.wait((work.task,))
        work.task.result()


async def test_a_machine_that_raises_on_everything_stops_the_worker() -> None:
    log = held()
    for number in range(30):
        await log.append(EVENTS, f"bad {number}".encode(), b"", number % 3)
    async with working(log, PROMPT, Picky) as work:
        log.assign(0, 1, 2)
        await asyncio.wait((work.task,))
        with pytest.raises(TooManyPoisoned):
            work.task.result()


async def test_a_log_that_comes_and_goes_costs_neither_rows_nor_readiness_for_good() -> None:
    log = held(1)
    async with working(log) as work:
        log.assign(0)
        for number in range(5):
            log.away = True
            failures = work.worker.counts.log_failures
            await work.until(lambda seen=failures: work.worker.counts.log_failures > seen)
            log.away = False
            sid = sid_of(number)
            await log.append(EVENTS, sid.encode(), start(sid))
            await work.until(lambda: log.consumed.get(0) == log.end(EVENTS, 0))
        assert not work.worker.unready()
    assert len(log.records(topics.SESSION_START.name)) == 5
