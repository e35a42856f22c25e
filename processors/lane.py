"""THE loop of one partition: read, fold, write rows, state and offset in one transaction.

The lane's clock is the newest receive time among its records. Only a lane that has read everything there is may use
the wall, and then trails it by the time a door may take to append: a backlog, a stalled fetch or one fast clock never
times a live session out.
"""

import asyncio
import logging
from dataclasses import dataclass

from processors.counts import Counts
from processors.fold import Fold, MakeFold, Poisoned
from processors.ports import Clock, LaneGroup, LaneLog
from processors.suspects import Suspects
from schemas.records import Fetch, LaneFenced, LogUnavailable, OffsetOutOfRange, Record, StoredRecord

logger = logging.getLogger(__name__)

_FRESH_MS = 1_000  # how old the answer "nothing lies beyond" may be
_PARK_SECONDS = 2.0
_SHORTEST_READ_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How a lane paces itself. Times in the unit the name says."""

    commit_interval_seconds: float = 0.1
    append_bound_ms: int = 3_000
    """How long a door may take from stamping a record to its place on the log: the lane's clock trails by this."""
    read_records: int = 1_500
    """Records asked of the log at once."""
    batch_records: int = 6_000
    """A transaction is committed before its interval when this many records wait, or `batch_bytes`."""
    batch_bytes: int = 8 * 1024 * 1024
    turn_records: int = 250
    """Records folded before other tasks get the loop."""
    idle_seconds: float = 1.0
    """How long one read waits for records."""
    backoff_seconds: float = 0.1
    """First wait before a lane is opened again; doubles up to `backoff_limit_seconds`."""
    backoff_limit_seconds: float = 5.0
    poisoned_sessions_a_minute: int = 20
    """More distinct sessions than this raising within a minute stop the worker: then it is our bug."""


@dataclass(slots=True)
class Parked:
    """A table without a lane: still the committed state if the state topic ends where it did."""

    fold: Fold
    state_end: int


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes of a worker share."""

    group: LaneGroup
    make_fold: MakeFold
    clock: Clock
    settings: LaneSettings
    counts: Counts
    suspects: Suspects


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
        turns = _Turns(log, parked.fold, position, self._shared, self._stopping)
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


class _Turns:
    """The loop of an open lane. `position`: where the next read begins."""

    def __init__(self, log: LaneLog, fold: Fold, position: int, shared: Shared, stopping: asyncio.Event) -> None:
        self.position = position
        self.state_changed = False
        self._stopping = stopping
        self._log = log
        self._fold = fold
        self._partition = log.partition
        self._clock = shared.clock
        self._settings = shared.settings
        self._counts = shared.counts
        self._suspects = shared.suspects
        self._loop = asyncio.get_running_loop()
        self._waiting: list[StoredRecord] = []
        self._waiting_bytes = 0
        self._caught_up_at: int | None = None
        self._committed_at = -self._settings.commit_interval_seconds
        self._lag_asked_at = 0.0

    async def turn(self) -> None:
        """Gather records, fold them, commit."""
        await self._gather()
        await self._commit()

    async def drain(self) -> None:
        """Commit what has been read."""
        while self._waiting:
            await self._commit()

    async def _gather(self) -> None:
        """Read until it is time to commit. Returns at once when there is work and a commit is due."""
        settings = self._settings
        while not self._stopping.is_set():
            room = settings.batch_records - len(self._waiting)
            if room <= 0 or self._waiting_bytes >= settings.batch_bytes:
                return
            pause = self._committed_at + settings.commit_interval_seconds - self._loop.time()
            if self._waiting and pause <= 0:
                return
            timeout = pause if self._waiting else self._patience()
            self._take(await self._log.read(self.position, min(room, settings.read_records), timeout))
            if not self._waiting:
                return

    def _take(self, fetch: Fetch) -> None:
        self.position = fetch.next_offset
        self._caught_up_at = fetch.caught_up_at
        if fetch.records:
            self._waiting += fetch.records
            self._waiting_bytes += sum([len(record.value or b"") for record in fetch.records])

    def _patience(self) -> float:
        """Seconds to wait for records: until something may come due by the wall, at most the idle time."""
        due = self._fold.next_deadline()
        if due is None:
            return self._settings.idle_seconds
        seconds = (due + self._settings.append_bound_ms + 1 - self._clock()) / 1000
        return min(max(seconds, _SHORTEST_READ_SECONDS), self._settings.idle_seconds)

    async def _commit(self) -> None:
        """One transaction: the records that wait, and what has come due."""
        fold = self._fold
        records, folded = await self._draft()
        if folded or records:
            waiting = self._waiting
            next_offset = waiting[folded].offset if folded < len(waiting) else self.position
            try:
                await self._log.commit(records, next_offset)
            except LogUnavailable:
                self._counts.unknown_outcomes += 1
                raise
            self._counts.commits += 1
            self._committed_at = self._loop.time()
            self.state_changed = self.state_changed or any(record.topic == fold.state_topic for record in records)
            newest = waiting[folded - 1].timestamp if folded else None
            del waiting[:folded]
            self._waiting_bytes = sum([len(record.value or b"") for record in waiting])
            fold.commit()
            await self._tell_lag(newest)
        else:
            fold.commit()  # nothing to write, but time has passed

    async def _draft(self) -> tuple[list[Record], int]:
        """What the transaction has to write, and how many of the waiting records it has folded."""
        fold = self._fold
        while True:
            try:
                folded = await self._fold_waiting()
                if folded == len(self._waiting):
                    await self._pass_time()
                return fold.finish(), folded
            except Poisoned as poisoned:
                logger.exception(
                    "lane %d: the fold raised on session %s, offset %s", self._partition, poisoned.sid, poisoned.offset
                )
                self._counts.poisoned += 1
                self._suspects.note(poisoned, self._partition, self._clock())
                fold.rollback()
                fold.exclude(poisoned)

    async def _fold_waiting(self) -> int:
        fold, records = self._fold, self._waiting
        folded, total = 0, len(records)
        while folded < total and not fold.full():
            folded = fold.fold(records, folded, min(folded + self._settings.turn_records, total), self._clock())
            if folded < total:
                await asyncio.sleep(0)
        return folded

    async def _pass_time(self) -> None:
        """A caught-up lane's clock follows the wall, as far as no door can still append something older."""
        wall = self._clock()
        caught_up_at = self._caught_up_at
        if caught_up_at is None or wall - caught_up_at > _FRESH_MS:
            return
        until = min(caught_up_at, wall) - self._settings.append_bound_ms
        while not self._fold.full():
            if self._fold.pass_time(until, wall):
                return
            await asyncio.sleep(0)

    async def _tell_lag(self, newest: int | None) -> None:
        """Gauges for operators; the log is asked for its end at most once a second, and only while the lane lags."""
        counts, partition = self._counts, self._partition
        if self._caught_up_at is not None:
            counts.lag_records[partition] = len(self._waiting)
            counts.lag_seconds[partition] = 0.0
            return
        if newest is not None:
            counts.lag_seconds[partition] = max(0, self._clock() - newest) / 1000
        if self._loop.time() - self._lag_asked_at >= 1:
            self._lag_asked_at = self._loop.time()
            end = await self._log.end(self._fold.input_topic)
            counts.lag_records[partition] = max(0, end - self.position) + len(self._waiting)
