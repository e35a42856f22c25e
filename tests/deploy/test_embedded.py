"""The embedded log beyond what every log promises: bounds, merging, wake-ups, and a loop that never waits for the disk."""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio

from deploy import embedded_appends, embedded_file, embedded_lanes, embedded_visible
from deploy.embedded import EmbeddedLog, Vices
from deploy.embedded_jobs import Work
from schemas import topics
from schemas.records import LaneFenced, LogUnavailable, Record

EVENTS = topics.EVENTS.name
ROWS = topics.SESSION_CLOSE.name
PATIENCE_SECONDS = 30.0
MEGABYTE = bytes(1024 * 1024)


def event(value: bytes, partition: int = 0) -> Record:
    return Record(EVENTS, partition, b"sid", value)


@asynccontextmanager
async def opened(data: Path, vices: Vices | None = None) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(data, 3, vices=vices)
    try:
        yield log
    finally:
        await log.close()


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[EmbeddedLog]:
    async with opened(tmp_path) as log, asyncio.timeout(2 * PATIENCE_SECONDS):
        yield log


@contextmanager
def stuck_writer(log: EmbeddedLog) -> Iterator[None]:
    """The disk does not answer until the block is left."""
    stuck, answers = threading.Event(), threading.Event()

    def do(_: Any) -> None:
        stuck.set()
        answers.wait()

    log._writer.put(Work(do))
    stuck.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        answers.set()


async def stored(log: EmbeddedLog, topic: str = EVENTS) -> list[bytes | None]:
    values: list[bytes | None] = []
    async for records in log.follow(topic):
        if records is None:
            break
        values += [record.value for record in records]
    return values


async def test_the_loop_turns_while_the_disk_does_not_answer(log: EmbeddedLog) -> None:
    await log.append(event(b"there"))
    lane = await log.lane_group().open_lane(1)

    with stuck_writer(log):
        waiting = [asyncio.create_task(log.append(event(b"waits"))), asyncio.create_task(lane.commit([], 1))]
        for _ in range(1000):
            await asyncio.sleep(0)
        assert await stored(log) == [b"there"]  # readers are served, too
        assert not any(task.done() for task in waiting)

    await asyncio.gather(*waiting)


async def test_the_loop_turns_while_a_read_does_not_answer(log: EmbeddedLog) -> None:
    answers = threading.Event()
    slow = asyncio.create_task(log.readers.ask(lambda _: answers.wait()))

    await log.append(event(b"not behind the read"))
    assert not slow.done()

    answers.set()
    await slow


async def test_what_waits_is_merged_into_one_commit(log: EmbeddedLog) -> None:
    commits: list[int] = []
    lane = await log.lane_group().open_lane(0)
    log._writer.on_wal_pages = commits.append

    with stuck_writer(log):
        waiting = [asyncio.create_task(log.append(event(b"%d" % number, number % 3))) for number in range(300)]
        waiting += [asyncio.create_task(lane.commit([Record(ROWS, 0, b"sid", b"row")], 1))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)

    assert len(commits) == 1
    assert len(await stored(log)) == 300


async def test_an_append_the_disk_does_not_answer_is_given_up_and_never_written(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_appends, "APPEND_BOUND_SECONDS", 0.2)
    with stuck_writer(log):
        with pytest.raises(LogUnavailable):
            await log.append(event(b"given up"))
        assert "has not ended" in str(log.unready())

    monkeypatch.undo()
    await log.append(event(b"later"))
    assert log.unready() is None
    assert await stored(log) == [b"later"]


async def test_an_append_whose_caller_went_away_before_it_was_begun_is_not_written(log: EmbeddedLog) -> None:
    with stuck_writer(log):
        gone = asyncio.create_task(log.append(event(b"of a client that hung up")))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone

    await log.append(event(b"later"))
    assert await stored(log) == [b"later"]


async def test_more_than_may_wait_is_refused_at_once_and_the_rest_is_kept(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_appends, "WAITING_BYTES", 5 * len(MEGABYTE))
    with stuck_writer(log):
        waiting = [asyncio.create_task(log.append(event(MEGABYTE))) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(LogUnavailable, match="bytes wait to be written"):
            await log.append(event(b"one too many"))
        assert "bytes wait" in str(log.unready())
        assert not log.offer(event(b"one too many"))
    await asyncio.gather(*waiting)

    assert log.unready() is None
    assert len(await stored(log)) == 5


async def test_an_offer_leaves_half_the_room_to_what_must_not_be_dropped(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_appends, "WAITING_BYTES", 4 * len(MEGABYTE))
    with stuck_writer(log):
        assert [log.offer(event(MEGABYTE)) for _ in range(4)] == [True, True, False, False]
        waiting = asyncio.create_task(log.append(event(b"must not be dropped")))
        await asyncio.sleep(0)
    await waiting

    assert len(await stored(log)) == 3


async def test_a_write_that_cannot_be_stored_fails_alone(log: EmbeddedLog) -> None:
    lane = await log.lane_group().open_lane(0)
    unstorable: Any = {"not": "bytes"}
    with stuck_writer(log):
        before = asyncio.create_task(log.append(event(b"before")))
        bad = asyncio.create_task(
            lane.commit([Record(ROWS, 0, b"sid", b"half"), Record(ROWS, 0, b"sid", unstorable)], 9)
        )
        after = asyncio.create_task(log.append(event(b"after")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(before, after)
    with pytest.raises(LogUnavailable, match="cannot store this"):
        await bad

    assert await stored(log) == [b"before", b"after"]
    assert await stored(log, ROWS) == []
    assert await (await log.lane_group().open_lane(0)).committed() == 0


async def test_a_topic_or_partition_that_is_not_there_is_the_callers_error(log: EmbeddedLog) -> None:
    for nowhere in (Record("media.typo.v1", 0, b"", b""), Record(EVENTS, 3, b"", b""), Record(EVENTS, -1, b"", b"")):
        with pytest.raises(ValueError, match="no partition"):
            await log.append(nowhere)
    with pytest.raises(ValueError, match="no partition 3"):
        await log.lane_group().open_lane(3)


async def test_a_lane_that_waits_asks_nothing_of_the_disk_until_it_is_woken(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.append(event(b"old", 1))
    lanes = [await log.lane_group().open_lane(partition) for partition in range(3)]
    for lane in lanes:
        await lane.read(await lane.committed(), 10, 0)  # what was there before is looked up once
    asked: list[Any] = []
    real = log.readers.ask
    monkeypatch.setattr(log.readers, "ask", lambda question: asked.append(question) or real(question))

    reads = [asyncio.create_task(lane.read(1, 10, PATIENCE_SECONDS)) for lane in lanes]
    for _ in range(1000):
        await asyncio.sleep(0)
    for partition in (2, 0, 1):
        await log.append(event(b"news", partition))

    fetches = await asyncio.gather(*reads)
    assert [[record.value for record in fetch.records] for fetch in fetches] == [[b"news"]] * 3
    assert asked == []


async def test_a_lane_reads_the_same_from_memory_and_from_the_file(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_visible, "TAIL_BYTES", 3000)
    chance = random.Random(5)
    lane = await log.lane_group().open_lane(1)
    written: list[bytes] = []
    for number in range(400):
        partition = chance.randrange(3)
        value = b"%d" % number + bytes(chance.randrange(300))
        await log.append(event(value, partition))
        if partition == 1:
            written.append(value)
    assert lane._tail.covers_from > 0  # some is in memory, some no longer

    whole = (await lane.read(0, 1000, 0)).records
    whole += (await lane.read(whole[-1].offset + 1, 1000, 0)).records
    assert [record.value for record in whole] == written
    for _ in range(200):
        offset, limit = chance.randrange(401), chance.randrange(1, 50)
        expected = [record for record in whole if record.offset >= offset][:limit]
        fetch = await lane.read(offset, limit, 0)
        if expected and fetch.records:
            assert fetch.records == expected[: len(fetch.records)]
        assert bool(fetch.records) == bool(expected)
        is_end = not expected or expected[-1] == whole[-1]
        assert (fetch.caught_up_at is not None) == (is_end and fetch.records == expected)


async def test_a_lane_is_not_caught_up_while_a_commit_hangs(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = await log.lane_group().open_lane(0)
    assert (await lane.read(0, 10, 0)).caught_up_at is not None

    # Not earlier: the writer may still be on its way out of the commit that opened the lane.
    monkeypatch.setattr(embedded_lanes, "STALLED_SECONDS", 0.0)
    with stuck_writer(log):
        assert (await lane.read(0, 10, 0)).caught_up_at is None


async def test_what_a_predecessor_had_sent_is_settled_before_its_successor_begins(log: EmbeddedLog) -> None:
    group = log.lane_group()
    predecessor = await group.open_lane(0)
    with stuck_writer(log):
        sent = asyncio.create_task(predecessor.commit([Record(ROWS, 0, b"sid", b"row")], 5))
        await asyncio.sleep(0)
        successor = asyncio.create_task(group.open_lane(0))
        await asyncio.sleep(0)
        too_late = asyncio.create_task(predecessor.commit([Record(ROWS, 0, b"sid", b"too late")], 6))
        await asyncio.sleep(0)

    assert await (await successor).committed() == 5
    await sent
    with pytest.raises(LaneFenced):
        await too_late
    assert await stored(log, ROWS) == [b"row"]


async def test_a_lane_whose_transaction_is_unknown_must_be_opened_anew(
    log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_lanes, "COMMIT_BOUND_SECONDS", 0.1)
    lane = await log.lane_group().open_lane(0)
    with stuck_writer(log), pytest.raises(LogUnavailable):
        await lane.commit([Record(ROWS, 0, b"sid", b"unknown")], 5)

    with pytest.raises(LaneFenced, match="opened anew"):
        await lane.commit([Record(ROWS, 0, b"sid", b"too late")], 6)
    assert await (await log.lane_group().open_lane(0)).committed() in (0, 5)


async def test_consumers_of_different_names_have_offsets_of_their_own(log: EmbeddedLog) -> None:
    await (await log.lane_group("one").open_lane(0)).commit([], 0)
    await log.append(event(b"x"))
    await (await log.lane_group("two").open_lane(0)).commit([], 1)

    assert await (await log.lane_group("one").open_lane(0)).committed() == 0
    assert await (await log.lane_group("two").open_lane(0)).committed() == 1


async def test_closing_writes_what_waits_and_ends_who_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        lane = await log.lane_group().open_lane(0)
        reading = asyncio.create_task(lane.read(0, 10, PATIENCE_SECONDS))
        await asyncio.sleep(0)
        appending = asyncio.create_task(log.append(event(b"last", 1)))
        await asyncio.sleep(0)
        await log.close()
        await appending
        with pytest.raises(LogUnavailable, match="closed"):
            await reading
        with pytest.raises(LogUnavailable, match="closed"):
            await log.append(event(b"too late"))
        assert log.unready() == "the log is closed"

    async with opened(tmp_path) as log:
        assert await stored(log) == [b"last"]


async def test_a_group_ends_its_assignments_when_closed(log: EmbeddedLog) -> None:
    group = log.lane_group()
    assignments = group.assignments()

    assert await anext(assignments) == {0, 1, 2}
    ending = asyncio.create_task(anext(assignments, None))
    await group.close()
    assert await ending is None


async def test_offsets_and_timestamps_go_on_after_a_restart(tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        async with opened(tmp_path) as log:
            await log.append(event(b"x"))
            lane = await log.lane_group().open_lane(0)
            seen = (await lane.read(0, 10, 0)).records
    assert [record.offset for record in seen] == [0, 1, 2]
    assert [record.timestamp for record in seen] == sorted(record.timestamp for record in seen)


async def test_a_log_made_before_a_topic_was_known_opens_and_has_it_from_then_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append(event(b"of the former release"))
    with contextlib.closing(apsw.Connection(str(tmp_path / embedded_file.FILE_NAME))) as connection:
        connection.execute(f'DROP TABLE "{topics.ROUNDWARE.name}"')
    async with opened(tmp_path) as log:
        lane = await log.lane_group().open_lane(0)
        [kept] = (await lane.read(0, 10, 1)).records
        assert kept.value == b"of the former release"
        await lane.commit((Record(topics.ROUNDWARE.name, 0, b"r:5", b"{}"),), kept.offset + 1)
        async for records in log.follow(topics.ROUNDWARE.name):
            assert [record.key for record in records or ()] == [b"r:5"]
            break


async def test_a_log_told_to_show_its_vices_shows_them_all(tmp_path: Path) -> None:
    async with opened(tmp_path, Vices()) as log:
        lane = await log.lane_group().open_lane(0)
        raised = invisible = 0
        for number in range(60):
            try:
                await log.append(event(b"%d" % number))
            except LogUnavailable:
                raised += 1
            fetch = await lane.read(0, 1000, 0)
            invisible += b"%d" % number not in {record.value for record in fetch.records}
            assert fetch.caught_up_at is None or b"%d" % number in {record.value for record in fetch.records}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(records := (await lane.read(0, 1000, 0.1)).records) < 60:
                pass

        assert raised
        assert invisible
        assert len(records) == 60  # those that raised hold, too
        offsets = [record.offset for record in records]
        assert offsets == sorted(offsets)
        assert offsets[-1] > 60
