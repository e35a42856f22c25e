"""One partition, for as long as it is ours: open it, restore its table, run its loop, open it again when it broke."""

import asyncio
import logging
from dataclasses import dataclass

from processors.fold import Fold
from processors.ports import LaneLog
from processors.turns import Shared, Turns
from schemas.records import LaneFenced, LogUnavailable, OffsetOutOfRange

logger = logging.getLogger(__name__)

_PARK_SECONDS = 2.0


@dataclass(slots=True)
class Parked:
    """A table without a lane: still the committed state if the state topic ends where it did."""

    fold: Fold
    state_end: int


class Lane:
    """One partition, for as long as it is ours. `parked` is what a former lane of it has left, then what this one did.

    `unready` says in words why it cannot do its work now; None while it can.
    """

    def __init__(self, partition: int, shared: Shared, parked: Parked | None = None) -> None:
        self.partition = partition
        self.parked = parked
        self.unready: str | None = "not opened yet"
        self._shared = shared
        self._settings = shared.settings
        self._counts = shared.counts
        self._stopping = asyncio.Event()
        self._keep = False
        self._backoff = shared.settings.backoff_seconds

    def stop(self, *, keep: bool) -> None:
        """Commit what has been read, then return from `run`. `keep`: leave the table for the partition's next lane."""
        self._keep = keep
        self._stopping.set()

    async def run(self) -> None:
        """Own the partition until told to stop; whatever the log does, open it again. TooManyPoisoned."""
        while not self._stopping.is_set():
            try:
                log = await self._shared.group.open_lane(self.partition)
                try:
                    await self._own(log)
                finally:
                    await log.close()
            except LaneFenced as fenced:
                self._counts.fences += 1
                await self._rest(f"fenced: {fenced}")
            except LogUnavailable as failure:
                self._counts.log_failures += 1
                await self._rest(f"log unavailable: {failure}")
            except OffsetOutOfRange as gone:
                # Records are lost that nobody has read. To skip them in silence is not ours to decide.
                await self._rest(f"what was to be read next is not on the log: {gone}")

    async def _rest(self, reason: str) -> None:
        """Wait before the lane is opened again."""
        self.unready = reason
        logger.warning("lane %d: %s; opened again in %.1f s", self.partition, reason, self._backoff)
        try:
            async with asyncio.timeout(self._backoff):
                await self._stopping.wait()
        except TimeoutError:
            self._backoff = min(2 * self._backoff, self._settings.backoff_limit_seconds)

    async def _own(self, log: LaneLog) -> None:
        self.unready = "restoring"
        position = await log.committed()
        parked = await self._restored(log)
        self.unready = None
        turns = Turns(log, parked.fold, position, self._shared, self._stopping)
        try:
            while not self._stopping.is_set():
                await turns.turn()
                self._backoff = self._settings.backoff_seconds
            await turns.drain()
        finally:
            parked.fold.rollback()
            # After a commit of state the topic's end is not known, but where nothing was committed it still is.
            self.parked = None if turns.state_changed else parked
        if self._keep and self.parked is None:
            self.parked = await self._park(log, parked.fold, turns.position)

    async def _restored(self, log: LaneLog) -> Parked:
        """The committed state: the parked table, if nothing was committed since, or read anew."""
        parked, self.parked = self.parked, None
        if parked is not None and await log.end(parked.fold.state_topic) == parked.state_end:
            return parked
        fold = self._shared.make_fold(self.partition)
        async for records in log.restore(fold.state_topic):
            fold.restore(records)
            await asyncio.sleep(0)
        fold.restored()
        self._counts.restores += 1
        return Parked(fold, await log.end(fold.state_topic))

    async def _park(self, log: LaneLog, fold: Fold, position: int) -> Parked | None:
        """The table with the end of its state, proved by a commit after it: nobody had taken the lane before."""
        try:
            async with asyncio.timeout(_PARK_SECONDS):
                await log.commit((), position)  # a log may settle a transaction late: the next one waits for it
                end = await log.end(fold.state_topic)
                await log.commit((), position)
        except (LaneFenced, LogUnavailable, TimeoutError):
            return None
        return Parked(fold, end)
