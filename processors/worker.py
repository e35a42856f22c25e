"""Partitions come and go: one lane for each that is ours."""

import asyncio
import logging

from processors.counts import Counts
from processors.fold import MakeFold
from processors.lane import Lane, Parked
from processors.ports import Clock, LaneGroup
from processors.suspects import Suspects
from processors.turns import LaneSettings, Shared

logger = logging.getLogger(__name__)

_LEAVE_SECONDS = 5.0  # how long a lane that was taken from us may take over its last transaction


class Worker:
    """All lanes of one process.

    `run()` returns after `stop()`, or raises what no lane could answer: a `TooManyPoisoned`, or a defect of ours.
    """

    def __init__(
        self,
        group: LaneGroup,
        make_fold: MakeFold,
        clock: Clock,
        settings: LaneSettings | None = None,
        counts: Counts | None = None,
    ) -> None:
        settings = settings or LaneSettings()
        self.counts = counts or Counts()
        suspects = Suspects(settings.poisoned_sessions_a_minute)
        self._shared = Shared(group, make_fold, clock, settings, self.counts, suspects)
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._parked: dict[int, Parked] = {}
        self._assigned = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False

    async def run(self) -> None:
        """Own what the group assigns until `stop` is called."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow(tasks), name="assignments")
                await self._stopping.wait()
                following.cancel()
                for lane in self._lanes.values():
                    lane.stop(keep=False)
        except ExceptionGroup as failures:
            # Lanes share one fate: the first that failed has ended the others.
            raise _first(failures) from failures
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Drain: every lane finishes and commits what it has read, then `run` returns. The group is left open."""
        self._stopping.set()
        if self._running:
            await self._ended.wait()

    def unready(self) -> list[str]:
        """Why this worker cannot do its work now: no assignment yet, or lanes not restored. Empty when it can."""
        if not self._assigned:
            return ["no partitions assigned yet"]
        return [f"partition {lane.partition}: {lane.unready}" for lane in self._lanes.values() if lane.unready]

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        async for owned in self._shared.group.assignments():
            for partition in self._lanes.keys() - owned:
                self._end(partition, tasks)
            for partition in sorted(owned - self._lanes.keys()):
                self._begin(partition, tasks)
            self._assigned = True
        self._stopping.set()

    def _begin(self, partition: int, tasks: asyncio.TaskGroup) -> None:
        lane = self._lanes[partition] = Lane(partition, self._shared)
        former = self._tasks.get(partition)
        self._tasks[partition] = tasks.create_task(self._run(lane, former), name=f"lane {partition}")

    def _end(self, partition: int, tasks: asyncio.TaskGroup) -> None:
        self._lanes.pop(partition).stop(keep=True)
        tasks.create_task(_cut_short(self._tasks[partition]), name=f"end of lane {partition}")

    async def _run(self, lane: Lane, former: asyncio.Task[None] | None) -> None:
        """A lane's life. One that had the partition before has ended first, and may have left its table."""
        if former is not None:
            await asyncio.wait((former,))
        partition = lane.partition
        lane.parked = self._parked.pop(partition, None)
        try:
            await lane.run()
        finally:
            if lane.parked is not None:
                self._parked[partition] = lane.parked
            if self._lanes.get(partition) in {lane, None}:
                self.counts.forget_partition(partition)


async def _cut_short(task: asyncio.Task[None]) -> None:
    """Cancel a lane that does not end by itself: its successor has fenced it, or will."""
    done, _ = await asyncio.wait((task,), timeout=_LEAVE_SECONDS)
    if not done:
        task.cancel()


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    failure: Exception = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
