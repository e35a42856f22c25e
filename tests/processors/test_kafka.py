"""Lanes on a real broker: what only Kafka can do wrong."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import lane_group
from processors.kafka import KafkaLaneGroup
from processors.kafka_lane import KafkaLane
from schemas import topics
from schemas.records import LaneFenced, LogUnavailable, Record
from tests.contracts.kafka_harness import KafkaHarness, committed_records, fresh_topics, set_topic

PARTITIONS = 3
ROWS = topics.SESSION_CLOSE.name
STATE = topics.STATE.name


@pytest.fixture
def two_steps() -> bool:
    """How transactions are written; a test may be told both ways."""
    return True


both_ways = pytest.mark.parametrize("two_steps", [True, False], ids=["two-steps", "classic"])


@pytest_asyncio.fixture
async def kafka(kafka_broker: Cluster, two_steps: bool) -> AsyncIterator[KafkaHarness]:
    async with AsyncExitStack() as closing:
        harness = KafkaHarness(kafka_broker, closing, two_steps=two_steps)
        await fresh_topics(harness.clients, PARTITIONS)
        yield harness


@asynccontextmanager
async def opened(group: KafkaLaneGroup, partition: int = 0) -> AsyncIterator[KafkaLane]:
    lane = await group.open_lane(partition)
    try:
        yield lane
    finally:
        await lane.close()


def row(number: int, partition: int = 0) -> Record:
    return Record(ROWS, partition, b"sid", str(number).encode())


def state(key: str, value: bytes | None, partition: int = 0) -> Record:
    return Record(STATE, partition, key.encode(), value)


async def holds(clients: KafkaClients, *expected: bytes, topic: str = ROWS, partition: int = 0) -> None:
    """These are the committed values, and no others. A commit is visible a little after it was acknowledged."""
    async with asyncio.timeout(20):
        while True:
            found = [record.value for record in await committed_records(clients, topic, partition)]
            if len(found) >= len(expected):
                assert found == list(expected)
                return
            await asyncio.sleep(0.02)


async def first_assignment(group: KafkaLaneGroup) -> frozenset[int]:
    async for owned in group.assignments():
        return owned
    raise AssertionError("the group closed")


@both_ways
async def test_a_commit_holds_rows_state_and_offset(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    assert await first_assignment(group) == {0, 1, 2}
    async with opened(group) as lane:
        assert await lane.committed() == 0
        await lane.commit([row(1), row(2), state("s", b"x")], 7)
    async with opened(group) as successor:
        assert await successor.committed() == 7
        assert [r.value async for batch in successor.restore(STATE) for r in batch] == [b"x"]
    await holds(kafka.clients, b"1", b"2")


@both_ways
async def test_a_lane_is_fenced_when_a_successor_opens_it(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    async with opened(group) as zombie:
        await zombie.commit([row(1)], 1)
        async with opened(group) as successor:
            with pytest.raises(LaneFenced):
                await zombie.commit([row(2)], 2)
            await successor.commit([row(3)], 2)
            assert await successor.committed() == 2
    await holds(kafka.clients, b"1", b"3")


@both_ways
async def test_an_open_transaction_of_a_predecessor_is_aborted_before_its_offset_is_read(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    async with opened(group) as predecessor:
        await predecessor.commit([row(1)], 1)
        producer = predecessor._producer
        assert producer is not None
        await producer.begin_transaction()
        await producer.send_and_wait(ROWS, b"open", key=b"sid", partition=0)
        async with opened(group) as successor:
            assert await successor.committed() == 1
            await successor.commit([row(2)], 2)
    await holds(kafka.clients, b"1", b"2")


@both_ways
async def test_a_record_the_broker_refuses_takes_its_whole_transaction_with_it(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    async with opened(group) as lane:
        await lane.commit([row(1)], 1)
        await set_topic(kafka.clients, ROWS, "max.message.bytes", "2000")
        with pytest.raises(LogUnavailable):
            await lane.commit([Record(ROWS, 0, b"sid", b"x" * 4000), state("s", b"lost")], 2)
        with pytest.raises(LogUnavailable):
            await lane.commit([row(2)], 2)
    await set_topic(kafka.clients, ROWS, "max.message.bytes", "1048588")
    async with opened(group) as successor:
        assert await successor.committed() == 1
        await successor.commit([row(2)], 2)
    await holds(kafka.clients, b"1", b"2")
    await holds(kafka.clients, topic=STATE)


@pytest.mark.parametrize("two_steps", [False])  # in two steps each transaction begins to count anew
async def test_a_producer_is_rotated_before_its_sequence_is_used_up(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    async with opened(group) as lane:
        lane.sequence_limit = 10
        producers = set()
        for number in range(12):
            await lane.commit([row(number), row(number), row(number)], number)
            producers.add(id(lane._producer))
        assert len(producers) > 1
        assert await lane.committed() == 11
    await holds(kafka.clients, *(b"%d" % (number // 3) for number in range(36)))


@both_ways
async def test_a_restore_reads_past_trailing_markers_of_aborted_transactions(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    async with opened(group) as lane:
        await lane.commit([state("s", b"kept")], 1)
        assert lane._producer is not None
        await lane._producer.begin_transaction()
        await lane._producer.send_and_wait(STATE, b"aborted", key=b"s", partition=0)
        await lane._producer.abort_transaction()
        assert [r.value async for batch in lane.restore(STATE) for r in batch] == [b"kept"]


async def test_two_slots_share_the_partitions_and_a_third_worker_takes_over_what_one_left(kafka: KafkaHarness) -> None:
    seen: dict[str, frozenset[int]] = {}
    changed = asyncio.Event()

    async def watch(slot: str, group: KafkaLaneGroup) -> None:
        async for owned in group.assignments():
            seen[slot] = owned
            changed.set()

    async def until(settled: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not settled():
                changed.clear()
                await changed.wait()

    async with asyncio.TaskGroup() as tasks, lane_group(kafka.clients, kafka.group_name, "a") as a:
        tasks.create_task(watch("a", a))
        await until(lambda: seen.get("a") == {0, 1, 2})
        async with lane_group(kafka.clients, kafka.group_name, "b") as b:
            tasks.create_task(watch("b", b))
            await until(
                lambda: seen.get("a", frozenset()) | seen.get("b", frozenset()) == {0, 1, 2} and len(seen["a"]) < 3
            )
            assert seen["a"].isdisjoint(seen["b"])
            taken = seen["b"]
        seen.pop("b")
        # A static member's successor gets its partitions back; nobody else's move.
        async with lane_group(kafka.clients, kafka.group_name, "b") as again:
            assert await first_assignment(again) == taken
            assert seen["a"].isdisjoint(taken)


async def test_lanes_go_on_exactly_after_the_broker_was_killed_and_came_back(
    kafka: KafkaHarness, kafka_broker: Cluster
) -> None:
    group = await kafka.group("a")
    done = 0

    async def work(until: int) -> None:
        """Commit row after row; on any failure begin again where the offset says."""
        nonlocal done
        while done < until:
            try:
                async with opened(group) as lane:
                    done = await lane.committed()
                    while done < until:
                        await lane.commit([row(done)], done + 1)
                        done += 1
            except LogUnavailable:
                await asyncio.sleep(0.1)

    async with asyncio.timeout(90):
        await work(20)
        working = asyncio.create_task(work(60))
        while done < 30:  # noqa: ASYNC110  amid its transactions
            await asyncio.sleep(0.001)
        kafka_broker.signal(1, signal.SIGKILL)
        kafka_broker.launch(1)
        await asyncio.to_thread(kafka_broker.wait)
        await working
    await holds(kafka.clients, *(b"%d" % number for number in range(60)))


async def test_who_was_fenced_and_lost_the_partition_does_not_take_it_back(kafka: KafkaHarness) -> None:
    group = await kafka.group("a")
    await first_assignment(group)
    async with opened(group) as lane, AsyncExitStack() as closing:
        owner = await kafka.clients.producer(f"{kafka.group_name}-{topics.EVENTS.name}-0")
        closing.push_async_callback(kafka.clients.discard, owner)
        with pytest.raises(LaneFenced):
            await lane.commit([row(1)], 1)
        again = asyncio.create_task(group.open_lane(0))
        await asyncio.sleep(0)  # it waits for what the group says
        group.assigned(frozenset({1, 2}))  # as its next heartbeat tells it
        with pytest.raises(LogUnavailable, match="no longer"):
            await again
        with pytest.raises(LogUnavailable, match="no longer"):
            await group.open_lane(0)
        # The owner goes on undisturbed.
        await owner.begin_transaction()
        await owner.send_and_wait(ROWS, b"of the owner", key=b"sid", partition=0)
        await owner.commit_transaction()
    await holds(kafka.clients, b"of the owner")
