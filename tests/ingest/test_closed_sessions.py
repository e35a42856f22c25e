import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.closed_sessions import ClosedSessions, SortedDigests
from ingest.session_id import SessionKeys
from schemas.records import LogUnavailable, StoredRecord
from tests.ingest.logs import ToldTopic

KEYS = SessionKeys([b"k" * 32])
HOUR = 3_600_000
NOW = 1_760_000_000_000
LIFETIME = 24 * HOUR + 60_000


def closing(*sids, value=b'{"closedAt":1,"reason":"end"}'):
    return [StoredRecord(offset, NOW, sid.encode(), value) for offset, sid in enumerate(sids)]


@asynccontextmanager
async def following(closed, topic):
    task = asyncio.create_task(closed.follow(topic, lambda: NOW))
    try:
        async with asyncio.timeout(10):
            await topic.told_all.wait()
            yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@given(st.lists(st.integers(min_value=0, max_value=2**64 - 1), max_size=300), st.sets(st.integers(0, 2**64 - 1)))
def test_sorted_digests_hold_what_a_set_would(added, asked):
    digests, model = SortedDigests(), set()
    for digest in added:
        assert digests.add(digest) == (digest not in model)
        model.add(digest)
    assert all((digest in digests) == (digest in model) for digest in asked | model)


def test_sorted_digests_hold_many_in_any_order():
    numbers = [(n * 0x9E3779B97F4A7C15) % 2**64 for n in range(20_000)]
    digests = SortedDigests()
    assert all(digests.add(number) for number in numbers)
    assert not any(digests.add(number) for number in numbers)
    assert all(number in digests for number in numbers)
    known = set(numbers)
    assert not any((number ^ 1) in digests for number in numbers if (number ^ 1) not in known)


MEMORY_OF_300_000 = """
import gc, psutil
from ingest.closed_sessions import ClosedSessions
from ingest.session_id import SessionKeys

keys, hour, now, ids = SessionKeys([b"k" * 32]), 3_600_000, 1_760_000_000_000, 300_000
closed, process = ClosedSessions(24 * hour + 60_000), psutil.Process()

def close(numbers):
    for number in numbers:
        closed.add(keys.mint(now - number * 7919 % (24 * hour)), now)
    gc.collect()
    return process.memory_info().rss

before = close(range(1000))
print((close(range(ids)) - before) / ids, len(closed))
"""


def test_a_closed_id_costs_at_most_16_bytes():
    # In a process of its own: what it takes from the machine, everything counted.
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_300_000], cwd=root, capture_output=True, text=True, check=True
    )
    bytes_each, count = ran.stdout.split()
    assert int(count) == 301_000
    assert 8 <= float(bytes_each) <= 16


def test_an_id_is_closed_when_told_and_not_before():
    closed = ClosedSessions(LIFETIME)
    sid, other = KEYS.mint(NOW), KEYS.mint(NOW)
    assert not closed.is_closed(sid, NOW)
    closed.add(sid, NOW)
    assert closed.is_closed(sid, NOW)
    assert not closed.is_closed(other, NOW)


def test_an_old_id_is_closed_by_arithmetic_alone():
    closed = ClosedSessions(LIFETIME)
    sid = KEYS.mint(NOW)
    assert not closed.is_closed(sid, NOW + LIFETIME)
    assert closed.is_closed(sid, NOW + LIFETIME + 1)


def test_an_id_from_a_door_whose_clock_is_ahead_is_open():
    assert not ClosedSessions(LIFETIME).is_closed(KEYS.mint(NOW + 5 * HOUR), NOW)


def test_what_arithmetic_says_is_forgotten_and_stays_closed():
    closed = ClosedSessions(LIFETIME)
    sids = [KEYS.mint(NOW - hours * HOUR) for hours in range(25)]
    for sid in sids:
        closed.add(sid, NOW)
    assert len(closed) == 25
    for later in range(0, 60 * HOUR, HOUR // 2):
        closed.forget(NOW + later)
        assert all(closed.is_closed(sid, NOW + later) for sid in sids)
    assert len(closed) == 0


def test_an_id_told_twice_is_kept_once():
    closed = ClosedSessions(LIFETIME)
    sid = KEYS.mint(NOW)
    closed.add(sid, NOW)
    closed.add(sid, NOW)
    assert len(closed) == 1


@pytest.mark.parametrize("key", ["", "x", "g" * 64, "01" + "z" * 62, "01" + "f" * 62, "b" * 64, "0" * 64])
def test_keys_that_are_no_live_id_of_ours_take_no_memory(key):
    closed = ClosedSessions(LIFETIME)
    closed.add(key, NOW)
    assert len(closed) == 0


async def test_a_door_is_not_ready_before_the_topic_is_read_to_its_end():
    closed, sid = ClosedSessions(LIFETIME), KEYS.mint(NOW)
    assert "closed-session topic" in (closed.unready() or "")
    async with following(closed, ToldTopic([closing(sid)])):
        assert closed.is_closed(sid, NOW)
        assert closed.unready() is not None


async def test_a_door_that_read_it_to_its_end_is_ready_and_learns_on():
    closed, first, second = ClosedSessions(LIFETIME), KEYS.mint(NOW), KEYS.mint(NOW)
    async with following(closed, ToldTopic([closing(first), None, closing(second), None])):
        assert closed.unready() is None
        assert closed.is_closed(first, NOW)
        assert closed.is_closed(second, NOW)


async def test_tombstones_open_nothing():
    closed, sid = ClosedSessions(LIFETIME), KEYS.mint(NOW)
    async with following(closed, ToldTopic([closing(sid), closing(sid, value=None), None])):
        assert closed.is_closed(sid, NOW)


async def test_following_begins_anew_after_an_outage_or_an_error_and_forgets_nothing():
    closed, first, second = ClosedSessions(LIFETIME), KEYS.mint(NOW), KEYS.mint(NOW)
    topic = ToldTopic(
        [LogUnavailable("not there yet")],
        [closing(first), RuntimeError("a fault of the client library")],
        [closing(first, second), None],
    )
    async with following(closed, topic):
        assert topic.attempts == 3
        assert closed.unready() is None
        assert closed.is_closed(first, NOW)
        assert closed.is_closed(second, NOW)


async def test_a_long_topic_is_read_without_holding_the_loop():
    closed = ClosedSessions(LIFETIME)
    sids = [KEYS.mint(NOW) for _ in range(10_000)]
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.create_task(count_turns())
    async with following(closed, ToldTopic([closing(*sids), None])):
        assert turns >= 4
    counter.cancel()
    await asyncio.gather(counter, return_exceptions=True)
    assert len(closed) == 10_000
