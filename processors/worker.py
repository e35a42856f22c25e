"""Partitions come and go: one lane for each that is ours."""

from processors.counts import Counts
from processors.fold import MakeFold
from processors.lane import LaneSettings
from processors.ports import Clock, LaneGroup


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
        self.counts = counts or Counts()
        self._group = group
        self._make_fold = make_fold
        self._clock = clock
        self._settings = settings or LaneSettings()

    async def run(self) -> None:
        """Own what the group assigns until `stop` is called."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Drain: every lane finishes and commits what it has read, then `run` returns. The group is left open."""
        raise NotImplementedError

    def unready(self) -> list[str]:
        """Why this worker cannot do its work now: no assignment yet, or lanes not restored. Empty when it can."""
        raise NotImplementedError
