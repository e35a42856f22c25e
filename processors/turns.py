"""THE loop of one partition: read, fold, write rows, state and offset in one transaction.

The lane's clock is the newest receive time among its records. Only a lane that has read everything there is may use
the wall, and then trails it by the time a door may take to append: a backlog, a stalled fetch or one fast clock never
times a live session out.
"""

import asyncio
import logging
import math
from dataclasses import dataclass, field

from processors.counts import Counts
from processors.fold import Fold, MakeFold, Poisoned
from processors.ports import Clock, LaneGroup, LaneLog
from processors.suspects import Suspects
from schemas.records import Fetch, LogUnavailable, Record, StoredRecord

logger = logging.getLogger(__name__)

_FRESH_MS = 1_000  # how old the answer "nothing lies beyond" may be
_SHORTEST_READ_SECONDS = 0.05
_TURNS_OF_WAITING = 16  # so many turns fold what waits, however much it is
_GOLDEN = 0.6180339887  # its multiples, less their whole part, lie evenly however many there are


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
    turn_records: int = 64
    """Records folded before other tasks get the loop; a lane with thousands waiting takes more at once."""
    idle_seconds: float = 1.0
    """How long one read waits for records."""
    backoff_seconds: float = 0.1
    """First wait before a lane is opened again; doubles up to `backoff_limit_seconds`."""
    backoff_limit_seconds: float = 5.0
    poisoned_sessions_a_minute: int = 20
    """More distinct sessions than this raising within a minute stop the worker: then it is our bug."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes of a worker share."""

    group: LaneGroup
    make_fold: MakeFold
    clock: Clock
    settings: LaneSettings
    counts: Counts
    suspects: Suspects
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while folding. Lanes whose commits were merged go on in the same turn of the loop: one after the other,
    with a look at the sockets between, they hold nobody up."""


class Turns:
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
        self._turn = shared.turn
        self._loop = asyncio.get_running_loop()
        self._waiting: list[StoredRecord] = []
        self._waiting_bytes = 0
        self._caught_up_at: int | None = None
        self._due_at = 0.0
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
            pause = self._due_at - self._loop.time()
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
            self._due_at = next_due(self._loop.time(), self._settings.commit_interval_seconds, self._partition)
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
                async with self._turn:
                    if folded == len(self._waiting):
                        await self._pass_time()
                    records = fold.finish()
                    await asyncio.sleep(0)
                    return records, folded
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
        turn_records = max(self._settings.turn_records, total // _TURNS_OF_WAITING)
        while folded < total and not fold.full():
            async with self._turn:
                folded = fold.fold(records, folded, min(folded + turn_records, total), self._clock())
                await asyncio.sleep(0)  # before the next lane has its turn
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


def next_due(now: float, interval: float, partition: int) -> float:
    """When a lane that has just committed shall commit again: once an interval, each lane at its own moment of it.

    Seconds of the loop's clock. Between a half and one and a half intervals away. Lanes whose commits were merged
    would else go on in step, and fold all at once for ever.
    """
    if not interval:
        return now
    moment = partition * _GOLDEN % 1 * interval
    return moment + math.ceil((now + interval / 2 - moment) / interval) * interval
