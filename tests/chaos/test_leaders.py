"""A door's batches sent at once to three nodes whose leaders die, stand still and move: minutes, as all chaos."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from struct import Struct
from time import monotonic

import pytest
from aiokafka.structs import TopicPartition

from deploy import kafka_produce, topic_admin
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log
from ingest.kafka import KafkaLog
from schemas.records import LogUnavailable, Record
from tests.contracts.kafka_harness import committed_records, differences
from tests.deploy.sent_at_once import EVENTS
from tests.kafka_broker import private_cluster

pytestmark = pytest.mark.chaos

PARTITIONS = 3
NOT_LEADER = 6
STOOD_STILL_SECONDS = 8.0  # a request's time is 5
LEADERS_GO_HOME = {
    "auto.leader.rebalance.enable": "true",
    "leader.imbalance.check.interval.seconds": "1",
    "leader.imbalance.per.broker.percentage": "0",
}
_OUTCOME = Struct(">ihqqq")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster(nodes=3, settings=LEADERS_GO_HOME) as cluster:
        yield cluster


class Source:
    """Numbers to one partition, one after the other, and what became of each."""

    def __init__(self, log: KafkaLog, partition: int) -> None:
        self.durable: list[int] = []
        self.unknown: list[int] = []
        self.slowest = 0.0
        self._log = log
        self._partition = partition

    async def run(self) -> None:
        number = 0
        while True:
            began = monotonic()
            try:
                await self._log.append(Record(EVENTS, self._partition, b"sid", b"%d" % number))
                self.durable.append(number)
            except LogUnavailable:
                self.unknown.append(number)
            self.slowest = max(self.slowest, monotonic() - began)
            number += 1
            await asyncio.sleep(0.005)


@asynccontextmanager
async def sources(log: KafkaLog) -> AsyncIterator[list[Source]]:
    found = [Source(log, partition) for partition in range(PARTITIONS)]
    tasks = [asyncio.create_task(source.run()) for source in found]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def more(sources: list[Source], count: int = 50) -> None:
    """Until each has so many more numbers durable."""
    goals = [len(source.durable) + count for source in sources]
    async with asyncio.timeout(90):
        while any(len(source.durable) < goal for source, goal in zip(sources, goals, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def leader_of(clients: KafkaClients, partition: int) -> int | None:
    client = await clients.connection()
    try:
        client.set_topics([EVENTS])
        await client.force_metadata_update()
        leader = client.cluster.leader_for_partition(TopicPartition(EVENTS, partition))
        assert leader is None or isinstance(leader, int)
        return leader
    finally:
        await client.close()


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every error in an answer to a request of ours."""
    seen: list[int] = []
    iter_unpack = _OUTCOME.iter_unpack

    class Watched:
        size = _OUTCOME.size

        @staticmethod
        def iter_unpack(data: bytes) -> Iterator[tuple[int, ...]]:
            seen.extend(code for _, code, *_ in iter_unpack(data) if code)
            return iter_unpack(data)

    monkeypatch.setattr(kafka_produce, "_OUTCOME", Watched)
    return seen


async def test_through_kills_and_moves_and_standstills_of_leaders_what_is_durable_is_there_once_and_in_order(
    cluster: Cluster, errors: list[int]
) -> None:
    clients = KafkaClients(cluster.bootstrap)
    await topic_admin.create(clients, PARTITIONS, 3)
    await differences(clients, 0, PARTITIONS)
    async with door_log(clients) as log, sources(log) as running:
        await more(running)
        home = await leader_of(clients, 0)
        assert home is not None
        cluster.signal(home, signal.SIGKILL)
        await more(running)
        cluster.launch(home)
        await asyncio.to_thread(cluster.wait)
        async with asyncio.timeout(90):
            while await leader_of(clients, 0) != home:  # noqa: ASYNC110  a cluster tells nobody
                await asyncio.sleep(0.2)
        await more(running)
        assert NOT_LEADER in errors
        cluster.signal(home, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOOD_STILL_SECONDS)
        finally:
            cluster.signal(home, signal.SIGCONT)
        await more(running)
    for partition, source in enumerate(running):
        stored = [int(record.value or b"") for record in await committed_records(clients, EVENTS, partition)]
        assert len(stored) == len(set(stored)), "a retry doubles nothing"
        assert set(source.durable) - set(stored) == set(), "nothing durable is lost"
        durable = set(source.durable)
        assert [number for number in stored if number in durable] == source.durable, "in order"
        assert source.slowest < 3.0
    print({"errors": sorted(errors), "rebuilds": log.rebuilds, "unknown": [source.unknown for source in running]})
