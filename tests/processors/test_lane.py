"""The loop of one partition: what it commits, when, by which clock, and what it does when the log fails it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from processors.counts import Counts
from processors.fold import Poisoned
from processors.lane import Lane
from processors.session.rules import Rules
from processors.session_table import SessionTable
from processors.suspects import Suspects, TooManyPoisoned
from processors.turns import LaneSettings, Shared
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record
from tests.processors.memory_log import MemoryLog
from tests.processors.partition import MINUTE, START_PARAMS, T0, document, sid_of

A, B = sid_of(1), sid_of(2)
EVENTS = topics.EVENTS.name
AT_ONCE = LaneSettings(commit_interval_seconds=0, backoff_seconds=0.001, backoff_limit_seconds=0.002)


def event(
    sid: str, event_type: str, ts: int, playhead: float = 0, received: int | None = None, **members: Any
) -> bytes:
    body = orjson.dumps(document(event_type, playhead, T0 + ts, **members))
    return encode_envelope(Envelope(sid, T0 + (ts if received is None else received), "collection", None, None, body))


def start(sid: str, ts: int = 0) -> bytes:
    return event(sid, "sessionStart", ts, params=START_PARAMS)


async def post(log: MemoryLog, sid: str, event_type: str, ts: int, playhead: float = 0) -> None:
    """Append an event when it happens: time then stands at `ts`."""
    held(log, ts)
    await log.append(EVENTS, sid.encode(), event(sid, event_type, ts, playhead))


class Running:
    """A lane at work on a memory log."""

    def __init__(self, log: MemoryLog, settings: LaneSettings, make_fold: Callable[[int], Any] | None) -> None:
        self.log = log
        self.counts = Counts()
        self.tables: list[Any] = []
        self._make_fold = make_fold or (lambda partition: SessionTable(partition, Rules(), self.counts))
        shared = Shared(
            log, self._made, log.clock, settings, self.counts, Suspects(settings.poisoned_sessions_a_minute)
        )
        self.lane = Lane(0, shared)
        self.task: asyncio.Task[None] | None = None

    def _made(self, partition: int) -> Any:
        self.tables.append(self._make_fold(partition))
        return self.tables[-1]

    def begin(self) -> None:
        parked = self.lane.parked
        self.lane = Lane(0, self.lane._shared, parked)
        self.task = asyncio.create_task(self.lane.run())

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the lane work until something is so. Fails with the lane."""
        for _ in range(200_000):
            if condition():
                return
            assert self.task is not None
            if self.task.done():
                self.task.result()
                raise AssertionError("the lane ended")
            await asyncio.sleep(0)
        raise AssertionError("it never came about")

    async def stop(self, *, keep: bool = False) -> None:
        assert self.task is not None
        self.lane.stop(keep=keep)
        await self.task

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [orjson.loads(record.value or b"") for record in self.log.records(f"media.reports.{kind}.v1")]


@asynccontextmanager
async def running(
    log: MemoryLog, settings: LaneSettings = AT_ONCE, make_fold: Callable[[int], Any] | None = None
) -> AsyncIterator[Running]:
    lane = Running(log, settings, make_fold)
    lane.begin()
    try:
        yield lane
    finally:
        assert lane.task is not None
        lane.task.cancel()
        await asyncio.wait((lane.task,))


def held(log: MemoryLog, at: int = 0) -> MemoryLog:
    """Time stands still at `at` after T0."""
    log.clock.now = log.clock.holds_at = T0 + at
    return log


# What is committed.


async def test_rows_state_and_offset_are_one_transaction() -> None:
    log = held(MemoryLog())
    offset = await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
    [(partition, records, next_offset)] = log.transactions
    assert partition == 0
    assert [(record.topic, record.key.decode()) for record in records] == [
        (topics.SESSION_START.name, A),
        (topics.STATE.name, A),
        (topics.STATE.name, f"{A}/start"),
    ]
    assert next_offset == offset + 1


async def test_an_idle_lane_opens_no_transaction() -> None:
    log = MemoryLog()
    async with running(log) as lane:
        await lane.until(lambda: log.clock.now > T0 + 30_000)
    assert not log.transactions


async def test_a_consumed_record_without_effect_still_moves_the_offset() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        await log.append(EVENTS, A.encode(), start(A))
        await lane.until(lambda: len(log.transactions) == 2)
    assert log.transactions[1] == (0, [], log.end(EVENTS, 0))


async def test_a_lane_commits_once_in_its_interval() -> None:
    log = held(MemoryLog())
    settings = LaneSettings(commit_interval_seconds=3600, read_records=10)
    async with running(log, settings) as lane:
        await log.append(EVENTS, A.encode(), start(A))
        await lane.until(lambda: log.transactions)
        for ts in range(1, 95):
            await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts))
        await lane.until(lambda: log.read_to == log.end(EVENTS, 0))
        assert len(log.transactions) == 1
        await lane.stop()
    assert len(log.transactions) == 2
    assert lane.counts.consumed == 95


async def test_a_lane_commits_before_its_interval_when_many_records_wait() -> None:
    log = held(MemoryLog())
    settings = LaneSettings(commit_interval_seconds=3600, read_records=10, batch_records=50)
    for ts in range(151):
        await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts) if ts else start(A))
    async with running(log, settings) as lane:
        await lane.until(lambda: lane.counts.consumed >= 110)
    assert [lane.counts.consumed, lane.counts.commits] == [110, 3]


async def test_a_lane_commits_before_its_interval_when_many_bytes_wait() -> None:
    log = held(MemoryLog())
    settings = LaneSettings(commit_interval_seconds=3600, read_records=1, batch_bytes=3_000)
    for ts in range(13):
        await log.append(
            EVENTS, A.encode(), event(A, "ping", ts, ts, customMetadata={"k": "x" * 900}) if ts else start(A)
        )
    async with running(log, settings) as lane:
        await lane.until(lambda: lane.counts.consumed >= 7)
    assert [lane.counts.consumed, lane.counts.commits] == [7, 3]


async def test_offsets_that_skip_are_no_matter() -> None:
    log = held(MemoryLog())
    log.skip_every = 1
    for ts in range(30):
        await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts) if ts else start(A))
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.consumed == 30)
        assert log.consumed[0] == log.end(EVENTS, 0) == 60


async def test_expiries_beyond_the_limit_go_into_the_next_transaction_before_the_record() -> None:
    log = held(MemoryLog())
    for number in range(2_050):
        await log.append(EVENTS, b"", start(sid_of(number)))
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.consumed == 2_050)
        log.clock.now = log.clock.holds_at = T0 + 15 * MINUTE
        before = len(log.transactions)
        last = await log.append(EVENTS, b"", event(sid_of(0), "ping", 15 * MINUTE))
        await lane.until(lambda: lane.counts.consumed == 2_051)
    first, second = log.transactions[before : before + 2]
    assert (first[2], second[2]) == (last, last + 1)
    closes = [sum(record.topic == topics.SESSION_CLOSE.name for record in records) for _, records, _ in (first, second)]
    assert closes == [2_000, 50]


async def test_a_stopped_lane_commits_what_it_has_read() -> None:
    log = held(MemoryLog())
    settings = LaneSettings(commit_interval_seconds=3600)
    async with running(log, settings) as lane:
        await log.append(EVENTS, A.encode(), start(A))
        await lane.until(lambda: log.transactions)
        await log.append(EVENTS, B.encode(), start(B))
        await lane.until(lambda: log.read_to == log.end(EVENTS, 0))
        await lane.stop()
    assert log.consumed[0] == log.end(EVENTS, 0)
    assert len(lane.rows("session-start")) == 2


async def test_a_lane_stopped_between_two_transactions_of_one_batch_commits_both() -> None:
    log = held(MemoryLog())
    for number in range(2_050):
        await log.append(EVENTS, b"", start(sid_of(number)))
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.consumed == 2_050)
        await post(log, sid_of(0), "ping", 15 * MINUTE)
        await lane.until(lambda: lane.counts.expiries == 2_000)
        await lane.stop()
    assert lane.counts.consumed == 2_051


# By which clock.


async def test_a_caught_up_lane_times_sessions_out_by_the_wall_less_the_append_bound() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        log.clock.now = log.clock.holds_at = T0 + 11 * MINUTE + AT_ONCE.append_bound_ms
        await lane.until(lambda: lane.counts.consumed == 1)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not lane.rows("session-close")
        log.clock.now = log.clock.holds_at = log.clock.now + 1
        await lane.until(lambda: lane.rows("session-close"))


async def test_an_event_leaves_the_window_of_an_idle_lane_by_the_wall() -> None:
    log = MemoryLog()
    log.clock.now = T0
    await log.append(EVENTS, A.encode(), start(A))
    await log.append(EVENTS, A.encode(), event(A, "sessionEnd", 0))
    async with running(log) as lane:
        await lane.until(lambda: lane.rows("session-close"))
    assert T0 + 8_000 < log.clock.now < T0 + 12_000


async def test_a_stalled_fetch_times_no_live_session_out() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.consumed == 1)
        log.stalled = True
        log.clock.holds_at = None
        await log.append(EVENTS, A.encode(), event(A, "ping", 5 * MINUTE, 300))
        await lane.until(lambda: log.clock.now > T0 + 60 * MINUTE)
        log.stalled = False
        await lane.until(lambda: lane.counts.consumed == 2)
        assert not lane.counts.rejected


async def test_an_answer_older_than_a_second_moves_no_clock() -> None:
    class SlowLog(MemoryLog):
        """Answers truly, and late."""

        async def open_lane(self, partition: int) -> Any:
            lane = await super().open_lane(partition)
            read = lane.read

            async def late(offset: int, max_records: int, timeout_seconds: float) -> Any:
                fetch = await read(offset, max_records, 0)
                self.clock.now += 1_001
                return fetch

            lane.read = late  # type: ignore[method-assign]
            return lane

    log = SlowLog()
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.clock.now > T0 + 60 * MINUTE)
        assert not lane.rows("session-close")


async def test_a_backlog_times_no_live_session_out() -> None:
    log = MemoryLog()
    await log.append(EVENTS, A.encode(), start(A))
    for ts in range(MINUTE, 60 * MINUTE, MINUTE):
        log.clock.now = T0 + ts
        await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts / 1000))
    held(log, 120 * MINUTE)
    async with running(log, LaneSettings(commit_interval_seconds=0, read_records=7)) as lane:
        await lane.until(lambda: lane.counts.consumed >= 50)
        assert not lane.rows("session-close")
        await lane.until(lambda: lane.rows("session-close"))
    [close] = lane.rows("session-close")
    assert close["mediabeat"]["endedAt"] == T0 + 59 * MINUTE  # only when nothing was left to read
    assert not lane.counts.rejected


async def test_a_door_an_hour_ahead_times_no_live_session_out() -> None:
    log = held(MemoryLog(), 10_000)
    await log.append(EVENTS, A.encode(), start(A))
    await log.append(EVENTS, B.encode(), event(B, "sessionStart", 0, received=60 * MINUTE, params=START_PARAMS))
    await log.append(EVENTS, A.encode(), event(A, "ping", 10_000, 10))
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.consumed == 3)
        assert not lane.rows("session-close")
        assert lane.counts.open_sessions == {0: 1}


# When the log fails.


@pytest.mark.parametrize("vice", ["commits_lost", "commits_unsure"])
async def test_a_transaction_of_unknown_outcome_is_neither_lost_nor_doubled(vice: str) -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    for ts in range(1, 20):
        await post(log, A, "error", ts * 7_000, ts)
    setattr(log, vice, 3)
    async with running(log, LaneSettings(commit_interval_seconds=0, read_records=3, backoff_seconds=0.001)) as lane:
        await lane.until(lambda: log.consumed.get(0) == log.end(EVENTS, 0))
        await post(log, A, "sessionEnd", 150_000)
        await post(log, A, "ping", 160_000)
        await lane.until(lambda: lane.rows("session-close"))
    [close] = lane.rows("session-close")
    assert close["mediaReporting"]["qoeDataDetails"]["errorCount"] == 19
    assert len(lane.rows("session-start")) == 1
    assert lane.counts.unknown_outcomes == 3


async def test_a_fenced_lane_opens_its_partition_again_from_committed_state() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        log.epochs[0] += 1
        await post(log, A, "sessionEnd", 1_000)
        await post(log, A, "ping", 9_000)
        await lane.until(lambda: lane.rows("session-close"))
    assert lane.counts.fences == 1
    assert len(lane.rows("session-close")) == 1


async def test_a_log_that_is_away_is_waited_for() -> None:
    log = held(MemoryLog())
    log.away = True
    async with running(log) as lane:
        await lane.until(lambda: lane.counts.log_failures >= 2)
        assert lane.lane.unready == "log unavailable: the log is away"
        log.away = False
        await log.append(EVENTS, A.encode(), start(A))
        await lane.until(lambda: lane.rows("session-start"))
        assert lane.lane.unready is None


async def test_what_retention_took_is_not_skipped_in_silence() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    log.consumed[0] = 0
    log.first_offset = 5
    async with running(log) as lane:
        await lane.until(lambda: lane.lane.unready is not None and "not on the log" in lane.lane.unready)
    assert not log.transactions


# Tables outlive lanes.


async def test_a_parked_table_is_used_again_when_nothing_was_committed_since() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        await lane.stop(keep=True)
        await post(log, A, "sessionEnd", 1_000)
        await post(log, A, "ping", 9_000)
        lane.begin()
        await lane.until(lambda: lane.rows("session-close"))
        assert lane.counts.restores == 1
        assert len(lane.tables) == 1


async def test_a_parked_table_is_read_anew_when_another_worker_has_committed() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        await lane.stop(keep=True)
        async with running(log) as successor:
            await post(log, A, "sessionEnd", 1_000)
            await post(log, A, "ping", 9_000)
            await successor.until(lambda: successor.rows("session-close"))
        lane.begin()
        await post(log, A, "ping", 10_000)
        await lane.until(lambda: lane.counts.rejected)
        assert lane.counts.restores == 2
        assert len(lane.rows("session-close")) == 1


async def test_no_table_is_parked_by_a_lane_that_has_been_fenced() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        log.epochs[0] += 1
        await lane.stop(keep=True)
        assert lane.lane.parked is None


async def test_no_table_is_parked_when_a_successor_comes_while_the_end_is_asked() -> None:
    class ContestedLog(MemoryLog):
        """A successor takes the lane and commits, whenever somebody asks where a topic ends."""

        contested = False

        def end(self, topic: str, partition: int) -> int:
            if self.contested and topic == topics.STATE.name:
                self.epochs[partition] += 1
                self._put(Record(topic, partition, b"successor", None))
            return super().end(topic, partition)

    log = ContestedLog()
    held(log)
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        log.contested = True
        await lane.stop(keep=True)
        assert lane.lane.parked is None


async def test_a_lane_cancelled_within_a_commit_does_not_trust_its_table() -> None:
    log = held(MemoryLog())
    await log.append(EVENTS, A.encode(), start(A))
    async with running(log) as lane:
        await lane.until(lambda: log.transactions)
        await log.append(EVENTS, B.encode(), start(B))
        assert lane.task is not None
        await lane.until(lambda: not lane.tables[0]._outcome.records and lane.counts.commits == 1)
        lane.task.cancel()
        await asyncio.wait((lane.task,))
        assert lane.lane.parked is None
        lane.begin()
        await lane.until(lambda: len(lane.rows("session-start")) == 2)
        assert lane.counts.restores == 2


# Poison.


class Picky:
    """A fold that raises on records of some keys, and has no state."""

    input_topic = EVENTS
    state_topic = topics.STATE.name

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.excluded: set[int | None] = set()
        self.folded: list[bytes] = []
        self.draft: list[bytes] = []

    def restore(self, records: Any) -> None: ...
    def restored(self) -> None: ...

    def fold(self, records: Any, start: int, stop: int, wall: int) -> int:
        for record in records[start:stop]:
            if record.key.startswith(b"bad") and record.offset not in self.excluded:
                raise Poisoned(record.key.decode(), record.offset)
            self.draft.append(record.key)
        return stop

    def pass_time(self, until: int, wall: int) -> bool:
        return True

    def full(self) -> bool:
        return False

    def finish(self) -> list[Any]:
        return []

    def commit(self) -> None:
        self.folded += self.draft
        self.rollback()

    def rollback(self) -> None:
        self.draft = []

    def exclude(self, poisoned: Poisoned) -> None:
        self.excluded.add(poisoned.offset)

    def next_deadline(self) -> int | None:
        return None


async def test_the_batch_is_folded_again_without_what_the_fold_raised_on() -> None:
    log = held(MemoryLog())
    for key in (b"good", b"bad", b"good", b"bad", b"good"):
        await log.append(EVENTS, key, b"")
    async with running(log, LaneSettings(commit_interval_seconds=0, turn_records=1), Picky) as lane:
        await lane.until(lambda: log.transactions)
    assert len(log.transactions) == 1
    assert lane.tables[0].folded == [b"good", b"bad", b"good", b"bad", b"good"]
    assert lane.counts.poisoned == 2


async def test_many_distinct_poisoned_sessions_within_a_minute_stop_the_lane() -> None:
    log = held(MemoryLog())
    for number in range(30):
        await log.append(EVENTS, f"bad {number}".encode(), b"")
    async with running(log, AT_ONCE, Picky) as lane:
        assert lane.task is not None
        await asyncio.wait((lane.task,))
        with pytest.raises(TooManyPoisoned, match="21 sessions within a minute"):
            lane.task.result()
    assert not log.transactions


async def test_one_session_that_is_poisoned_often_stops_nothing() -> None:
    log = held(MemoryLog())
    for _ in range(30):
        await log.append(EVENTS, b"bad", b"")
    async with running(log, AT_ONCE, Picky) as lane:
        await lane.until(lambda: log.transactions)
    assert lane.counts.poisoned == 30


def test_suspects_are_forgotten_after_a_minute() -> None:
    suspects = Suspects(limit=2)
    for minute in range(10):
        suspects.note(Poisoned(f"session {minute}", 1), 0, minute * 60_000)
        suspects.note(Poisoned(f"other {minute}", 1), 0, minute * 60_000)


# Lag.


async def test_a_lagging_lane_says_by_how_much() -> None:
    log = MemoryLog()
    for ts in range(100):
        log.clock.now = T0 + ts
        await log.append(EVENTS, A.encode(), event(A, "ping", ts, ts) if ts else start(A))
    held(log, 5 * MINUTE)
    seen: list[tuple[int, float]] = []
    async with running(log, LaneSettings(commit_interval_seconds=0, read_records=10)) as lane:
        await lane.until(lambda: 0 in lane.counts.lag_records)
        seen.append((lane.counts.lag_records[0], lane.counts.lag_seconds[0]))
        await lane.until(lambda: lane.counts.lag_records[0] == 0)
        assert lane.counts.lag_seconds[0] == 0
    [(records, seconds)] = seen
    assert records > 50
    assert seconds == pytest.approx(300, abs=1)
