"""Transactions in two steps whose requests and answers get lost, come late or meet a successor."""

import asyncio
import gc
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError

from deploy import kafka_transaction
from deploy.broker import Cluster
from deploy.kafka_flexible import Kind, ask
from deploy.kafka_transaction import COMMIT_OFFSETS, END, PRODUCE
from processors import kafka_lane
from processors.kafka import KafkaLaneGroup
from processors.kafka_lane import KafkaLane
from schemas import topics
from schemas.records import LaneFenced, LogUnavailable, Record
from tests.contracts.kafka_harness import KafkaHarness, committed_records, fresh_topics
from tests.deploy.kafka_tasks import left_behind

ROWS = topics.SESSION_CLOSE.name
STATE = topics.STATE.name
LARGE = 400_000

Answer = asyncio.Future[bytes]
Fate = Callable[[AIOKafkaConnection, Kind, list[bytes]], Answer]


def unsent(connection: AIOKafkaConnection, kind: Kind, body: list[bytes]) -> Answer:
    """The connection breaks before the request is written."""
    connection.close()
    return ask(connection, kind, body)


def cut(connection: AIOKafkaConnection, kind: Kind, body: list[bytes]) -> Answer:
    """The connection ends behind the request: it is taken while it is asked again, or before, or after."""
    answer = ask(connection, kind, body)
    connection.close()
    return answer


def aborted(connection: AIOKafkaConnection, kind: Kind, body: list[bytes]) -> Answer:
    """The connection breaks while the request is written: it is taken, or it is not."""
    assert connection._writer is not None
    transport = connection._writer.transport
    answer = ask(connection, kind, body)
    transport.abort()
    return answer


def unanswered(connection: AIOKafkaConnection, kind: Kind, body: list[bytes]) -> Answer:
    """The request is taken, and its answer gets lost."""

    async def lose(_: bytes) -> bytes:
        connection.close()
        raise KafkaConnectionError("lost")

    return passed_on(ask(connection, kind, body), lose)


def passed_on(answer: Answer, by: Callable[[bytes], Awaitable[bytes]]) -> Answer:
    """What becomes of this answer on its way."""

    async def pass_on() -> bytes:
        return await by(await answer)

    passed = asyncio.ensure_future(pass_on())
    passed.add_done_callback(lambda done: done.cancelled() or done.exception())
    return passed


FATES: tuple[Fate, ...] = (unsent, cut, aborted, unanswered)


class Wire:
    """Between a lane and its broker. Each request goes as its fate is, and is kept."""

    def __init__(self) -> None:
        self.fates: dict[tuple[Kind, int], Fate] = {}
        self.otherwise: Fate = ask
        self.asked: Counter[Kind] = Counter()
        self.sent: list[tuple[Kind, bytes]] = []

    def __call__(self, connection: AIOKafkaConnection, kind: Kind, body: Iterable[bytes]) -> Answer:
        self.asked[kind] += 1
        parts = list(body)
        self.sent.append((kind, b"".join(parts)))
        return self.fates.pop((kind, self.asked[kind]), self.otherwise)(connection, kind, parts)

    def next(self, kind: Kind, fate: Fate, ahead: int = 1) -> None:
        self.fates[kind, self.asked[kind] + ahead] = fate


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(kafka_transaction, "ask", wire)
    return wire


@pytest_asyncio.fixture
async def kafka(kafka_broker: Cluster) -> AsyncIterator[KafkaHarness]:
    async with AsyncExitStack() as closing:
        harness = KafkaHarness(kafka_broker, closing)
        await fresh_topics(harness.clients, 2)
        yield harness


class Owner:
    """Commits numbers, each as rows of three partitions, and knows where it goes on after a failure."""

    def __init__(self, kafka: KafkaHarness, group: KafkaLaneGroup, lane: KafkaLane) -> None:
        self.kafka, self.group, self.lane = kafka, group, lane
        self.done = 0

    async def commit(self, size: int = 0, times: int = 1) -> None:
        """The next number; of several rows of such a size."""
        await self.lane.commit(rows(self.done, size, times), self.done + 1)
        self.done += 1

    async def reopen(self) -> None:
        await self.lane.close()
        self.lane = await self.group.open_lane(0)
        self.done = await self.lane.committed()

    async def holds(self, done: int, times: int = 1) -> None:
        """So many were committed, each once and in order, and the offset says so."""
        async with AsyncExitStack() as closing:
            successor = await self.group.open_lane(0)
            closing.push_async_callback(successor.close)
            assert await successor.committed() == done
        expected = [number for number in range(done) for _ in range(times)]
        for topic, partition in ((ROWS, 0), (ROWS, 1), (STATE, 0)):
            found = [int(r.value or b"") for r in await committed_records(self.kafka.clients, topic, partition)]
            assert found == expected, (topic, partition)


def rows(number: int, size: int = 0, times: int = 1) -> list[Record]:
    value = b"%d" % number
    large = value + b" " * size
    return [
        *(Record(ROWS, 0, b"sid", large) for _ in range(times)),
        *(Record(ROWS, 1, b"sid", value) for _ in range(times)),
        *(Record(STATE, 0, b"%d" % n, value) for n in range(times)),
    ]


@pytest_asyncio.fixture
async def owner(kafka: KafkaHarness, wire: Wire) -> AsyncIterator[Owner]:
    group = await kafka.group("a")
    owner = Owner(kafka, group, await group.open_lane(0))
    yield owner
    await owner.lane.close()


@pytest.mark.parametrize("kind", [PRODUCE, COMMIT_OFFSETS, END])
async def test_a_request_or_answer_that_is_lost_is_asked_again_and_counts_once(
    owner: Owner, wire: Wire, kind: Kind, reported: list[str]
) -> None:
    for fate in FATES:
        await owner.commit()
        wire.next(kind, fate)
        await owner.commit()
    await owner.commit()
    assert wire.asked[kind] > owner.done
    await owner.holds(9)
    gc.collect()
    assert reported == []
