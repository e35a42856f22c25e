"""kill -9 of a door at full load: whatever it acknowledged is on the topic. And what it takes in memory stays flat."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import psutil
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from deploy.broker import Cluster
from schemas import topics
from tests.chaos.figures import figures_of
from tests.chaos.posters import Tally, post
from tests.chaos.processes import until
from tests.chaos.stage import Scale, Stage, stage

SCALE = Scale(partitions=4, idle=60, grace=10, window=1, rate=0, at_once=1, voyage_sessions=1)
POSTERS = 48


@asynccontextmanager
async def full_load(url: str, limit: int = 1_000_000) -> AsyncIterator[Tally]:
    """As much as the door can take."""
    tally = Tally()
    tasks = [asyncio.create_task(post(url, tally, limit)) for _ in range(POSTERS)]
    try:
        yield tally
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def killed_under_load(theatre: Stage, times: int, acknowledged_between: tuple[int, int]) -> Tally:
    """What was acknowledged to players of a door that was killed so often, each time amid so many requests."""
    chance = random.Random(11)
    door = theatre.add_door()
    await door.ready()
    async with full_load(theatre.url(door.name)) as tally:
        for _ in range(times):
            goal = len(tally.acknowledged) + chance.randint(*acknowledged_between)
            await until(lambda goal=goal: len(tally.acknowledged) >= goal)
            unanswered = tally.unanswered
            door.kill()
            await until(lambda unanswered=unanswered: tally.unanswered > unanswered)
            door.start()
            await door.ready()
        goal = len(tally.acknowledged) + acknowledged_between[0]
        await until(lambda: len(tally.acknowledged) >= goal)
        figures = figures_of(door)
        assert figures["mediabeat_requests_ordinary_total"] == 0, "all of it takes the short way"
        assert await door.stop() == 0
    return tally


async def values_of(theatre: Stage, topic: str) -> AsyncIterator[bytes]:
    """Everything on a topic, read by a consumer that shares no code with ours."""
    consumer = AIOKafkaConsumer(bootstrap_servers=theatre.cluster.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for partition in range(SCALE.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record.value
    finally:
        await consumer.stop()


async def assert_nothing_acknowledged_is_lost(theatre: Stage, tally: Tally) -> None:
    stored: set[tuple[str, int]] = set()
    async for value in values_of(theatre, topics.EVENTS.name):
        envelope = orjson.loads(value)
        is_start = envelope["event"]["eventType"] == "sessionStart"
        stored.add((envelope["sid"], -1 if is_start else envelope["event"]["playerTime"]["playhead"]))
    lost = set(tally.acknowledged) - stored
    print(f"\n{len(tally.acknowledged)} acknowledged, {len(stored)} on the topic, {len(lost)} lost,", end=" ")
    print(f"{tally.refused} refused, {tally.unanswered} unanswered")
    assert lost == set()
    assert len(set(tally.acknowledged)) == len(tally.acknowledged)


@pytest.mark.parametrize(
    ("times", "acknowledged_between"),
    [
        pytest.param(2, (500, 2_000), id="the short form"),
        pytest.param(20, (2_000, 20_000), id="twenty times", marks=pytest.mark.chaos),
    ],
)
async def test_a_door_killed_at_full_load_has_lost_nothing_that_it_acknowledged(
    kafka_broker: Cluster, tmp_path: Path, times: int, acknowledged_between: tuple[int, int]
) -> None:
    async with stage(kafka_broker, SCALE, tmp_path, seed=1) as theatre:
        tally = await killed_under_load(theatre, times, acknowledged_between)
        await assert_nothing_acknowledged_is_lost(theatre, tally)


@pytest.mark.chaos
async def test_the_memory_of_a_door_stays_flat_over_sessions_and_connections(
    kafka_broker: Cluster, tmp_path: Path
) -> None:
    """Thousands of connections with a session each; whatever a request left behind would be seen: 40 bytes are 10 MB."""
    async with stage(kafka_broker, SCALE, tmp_path, seed=1) as theatre:
        door = theatre.add_door()
        await door.ready()
        assert door._popen is not None
        memory = psutil.Process(door._popen.pid).memory_info
        resident = []
        async with full_load(theatre.url(door.name), limit=50) as tally:
            for goal in (60_000, 180_000, 310_000):
                await until(lambda goal=goal: len(tally.acknowledged) >= goal, 300)
                resident.append(memory().rss / 1e6)
        figures = figures_of(door)
        print(f"\n{figures['mediabeat_requests_received_total']:.0f} requests, resident MB: {resident}")
        assert resident[-1] - resident[0] < 10
        assert figures["mediabeat_requests_ordinary_total"] == 0
