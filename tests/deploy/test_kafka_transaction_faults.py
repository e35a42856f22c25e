"""Transactions in two steps whose requests and answers get lost, come late or meet a successor."""

import asyncio
import gc
import random
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import nullcontext
from itertools import product

import pytest
import pytest_asyncio
from aiokafka.conn import AIOKafkaConnection as Connection
from aiokafka.errors import KafkaConnectionError

from deploy import kafka_transaction
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_fetch import Tail
from deploy.kafka_flexible import SHORT, Kind, ask, counted, text
from deploy.kafka_transaction import COMMIT_OFFSETS, END, PRODUCE
from processors import kafka_lane
from processors.kafka_lane import KafkaLane, Origin
from schemas import topics
from schemas.records import LaneFenced, LogUnavailable, Record
from tests.contracts.kafka_harness import committed_records, fresh_topics
from tests.deploy.kafka_tasks import left_behind

ROWS = topics.SESSION_CLOSE.name
STATE = topics.STATE.name
KINDS = (PRODUCE, COMMIT_OFFSETS, END)

Body = list[bytes]
Answer = asyncio.Future[bytes]
Fate = Callable[[Connection, Kind, Body], Answer]
Act = Callable[[bytes], Coroutine[None, None, bytes]]


def unsent(connection: Connection, kind: Kind, body: Body) -> Answer:
    """The connection breaks before the request is written."""
    connection.close()
    return ask(connection, kind, body)


def aborted(connection: Connection, kind: Kind, body: Body) -> Answer:
    """The connection breaks while the request is written: it is taken, or it is not, or late."""
    answer = ask(connection, kind, body)
    connection._protocol._transport.abort()
    return answer


def unanswered(connection: Connection, kind: Kind, body: Body) -> Answer:
    """The request is taken, and its answer gets lost."""

    async def lose(_: bytes) -> bytes:
        connection.close()
        raise KafkaConnectionError("lost")

    return after(lose)(connection, kind, body)


FATES: tuple[Fate, ...] = (unsent, aborted, unanswered)


def passed_on(answer: Answer, by: Act) -> Answer:
    """What becomes of this answer on its way."""

    async def pass_on() -> bytes:
        return await by(await answer)

    passed = asyncio.ensure_future(pass_on())
    passed.add_done_callback(lambda done: done.cancelled() or done.exception())
    return passed


def before(act: Act) -> Fate:
    """This is done first, then the request is sent."""
    return lambda connection, *asked: passed_on(asyncio.ensure_future(act(b"")), lambda _: ask(connection, *asked))


def after(act: Act) -> Fate:
    """This is done when the request was taken, and before its answer is heard."""
    return lambda connection, *asked: passed_on(ask(connection, *asked), act)


class Wire:
    """Between a lane and its broker. It keeps each request, and lets it have its fate."""

    def __init__(self) -> None:
        self.fates: dict[tuple[Kind, int], Fate] = {}
        self.otherwise: Fate = ask
        self.sent: list[tuple[Kind, bytes]] = []

    def __call__(self, connection: Connection, kind: Kind, body: Iterable[bytes]) -> Answer:
        parts = list(body)
        self.sent.append((kind, b"".join(parts)))
        return self.fates.pop((kind, self.asked(kind)), self.otherwise)(connection, kind, parts)

    def asked(self, kind: Kind) -> int:
        return sum(sent is kind for sent, _ in self.sent)

    def next(self, kind: Kind, fate: Fate, *ahead: int) -> None:
        self.fates |= {(kind, self.asked(kind) + each): fate for each in ahead or (1,)}


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(kafka_transaction, "ask", wire)
    monkeypatch.setattr(kafka_transaction, "ANSWER_SECONDS", 30)  # a busy machine gives up nothing by itself
    monkeypatch.setattr(kafka_lane, "COMMIT_SECONDS", 60)
    return wire


def rows(number: int) -> list[Record]:
    """What is committed with this number: rows of three partitions; at times two batches of them, at times none."""
    times = (1, 1, 3, 1, 0)[number % 5]
    value = b"%d" % number
    large = value + b" " * (400_000 if times > 1 else 0)
    small = [Record(ROWS, 1, b"sid", value), Record(STATE, 0, b"sid", value)]
    return [Record(ROWS, 0, b"sid", large)] * times + small * min(times, 1)


class Owner:
    """Commits number after number, and after a failure goes on where the offset says."""

    def __init__(self, clients: KafkaClients, tail: Tail, origin: Origin) -> None:
        self.clients, self.tail, self.origin = clients, tail, origin
        self.lanes: list[KafkaLane] = []
        self.done = 0

    async def succeed(self, answer: bytes = b"") -> bytes:
        """Open the lane anew, whatever its predecessor is doing."""
        lane = KafkaLane(self.clients, self.tail, self.origin)
        await lane.open()
        self.done = await lane.committed()
        self.lanes.append(lane)
        return answer

    async def commit(self) -> None:
        await self.lanes[-1].commit(rows(self.done), self.done + 1)
        self.done += 1

    async def commit_until(self, kind: int) -> None:
        while self.done % 5 != kind:
            await self.commit()

    async def attempt(self) -> None:
        """Commit the next number, or open a successor."""
        self.committing = asyncio.ensure_future(self.commit())
        await asyncio.wait([self.committing])
        if self.committing.cancelled() or self.committing.exception() is not None:
            await self.succeed()

    async def give_up(self, answer: bytes) -> bytes:
        self.committing.cancel()
        return answer

    async def holds(self, done: int) -> None:
        """So many were committed, each once and in order, and the offset says so."""
        await self.succeed()
        assert self.done == done
        for place in ((ROWS, 0), (ROWS, 1), (STATE, 0)):
            found = [int(record.value or b"") for record in await committed_records(self.clients, *place)]
            assert found == [n for n in range(done) for record in rows(n) if record[:2] == place], place


@pytest_asyncio.fixture
async def owner(kafka_broker: Cluster, wire: Wire, reported: list[str]) -> AsyncIterator[Owner]:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 2)
    tail, name = Tail(clients), uuid.uuid4().hex
    owner = Owner(clients, tail, Origin(name, topics.EVENTS.name, 0, f"{name}-0"))
    await owner.succeed()
    yield owner
    for lane in owner.lanes:
        await lane.close()
    await tail.close()
    gc.collect()
    assert reported == []
    assert left_behind() == []


async def test_what_is_lost_is_asked_again_and_counts_once(owner: Owner, wire: Wire) -> None:
    for kind, fate, requests in product(KINDS, FATES, ((1,), (1, 2), (2, 3))):
        await owner.commit_until(2)
        wire.next(kind, fate, *requests)
        await owner.commit()
        wire.fates.clear()
    await owner.holds(owner.done)


async def test_of_a_request_that_was_taken_in_part_only_the_rest_is_asked_again(owner: Owner, wire: Wire) -> None:
    def in_part(connection: Connection, kind: Kind, body: Body) -> Answer:
        state = next(at for at, part in enumerate(body) if part.startswith(text(STATE)))
        return ask(connection, kind, [*body[:2], counted(1), *body[state:]])

    await owner.commit()
    await owner.succeed()  # which waits until the transaction before is written: the broker refuses nothing by itself
    wire.sent.clear()
    wire.next(PRODUCE, in_part)
    await owner.commit()
    assert [STATE.encode() in body for kind, body in wire.sent if kind == PRODUCE] == [True, False]
    await owner.holds(2)


async def test_a_request_that_is_late_of_one_transaction_gets_into_no_other(owner: Owner, wire: Wire) -> None:
    await owner.commit()
    past = list(wire.sent)

    async def come_late(answer: bytes) -> bytes:
        producer = owner.lanes[-1]._producer
        assert producer is not None
        for kind, body in past:
            await ask(await producer.client._get_conn(1), kind, [body])
        return answer

    for kind in KINDS:
        wire.next(kind, after(come_late))
        await owner.commit()
    await owner.holds(4)
    await come_late(b"")
    await owner.holds(4)


async def test_whoever_meets_a_successor_is_fenced_and_the_offset_says_where_to_go_on(owner: Owner, wire: Wire) -> None:
    for kind, moment in product(KINDS, (before, after)):
        await owner.commit_until(0)
        zombie, number = owner.lanes[-1], owner.done
        wire.next(kind, moment(owner.succeed))
        certain = kind == END and moment is after
        with nullcontext() if certain else pytest.raises(LaneFenced):
            await zombie.commit(rows(number), number + 1)
        assert owner.done == number + certain
        with pytest.raises(LaneFenced):
            await zombie.commit(rows(owner.done), owner.done + 1)
        await owner.commit()
    await owner.holds(owner.done)


async def test_a_commit_that_is_cancelled_is_all_there_or_not_at_all(owner: Owner, wire: Wire) -> None:
    for kind, moment in product(KINDS, (before, after)):
        await owner.commit_until(0)
        number = owner.done
        wire.next(kind, moment(owner.give_up))
        await owner.attempt()
        assert owner.committing.cancelled()
        assert number + (kind == END and moment is after) <= owner.done <= number + (kind == END)
        await owner.commit()
    await owner.holds(owner.done)


async def test_a_broker_that_stands_still_amid_a_transaction_is_asked_again_on_another_connection(
    owner: Owner, wire: Wire, kafka_broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def standing(connection: Connection, kind: Kind, body: Body) -> Answer:
        kafka_broker.signal(1, signal.SIGSTOP)
        answer = ask(connection, kind, body)
        answer.add_done_callback(lambda _: kafka_broker.signal(1, signal.SIGCONT))
        return answer

    monkeypatch.setattr(kafka_transaction, "ANSWER_SECONDS", 1)
    for kind in KINDS:
        await owner.commit_until(1)
        wire.next(kind, standing)
        await owner.commit()
    await owner.holds(owner.done)


async def test_a_lane_that_is_closed_amid_its_commit_delivers_nothing_more(owner: Owner, wire: Wire) -> None:
    async def close(answer: bytes) -> bytes:
        await owner.lanes[-1].close()
        return answer[:-5] + SHORT.pack(51) + answer[-3:]  # to be asked again

    await owner.commit()
    wire.next(COMMIT_OFFSETS, after(close))
    with pytest.raises(LogUnavailable, match="ProducerClosed"):
        await owner.commit()
    assert wire.asked(END) == 1
    await owner.holds(1)


async def test_by_chance_too_each_transaction_is_there_once_and_in_order(owner: Owner, wire: Wire) -> None:
    chance, acts = random.Random(11), set[Fate]()
    fates = (*FATES, before(owner.give_up), after(owner.give_up))

    def by_chance(connection: Connection, kind: Kind, body: Body) -> Answer:
        act = chance.choice(fates) if chance.random() < 0.2 else ask
        acts.add(act)
        return act(connection, kind, body)

    wire.otherwise = by_chance
    while owner.done < 120:
        await owner.attempt()
        if chance.random() < 0.05:
            await owner.succeed()
    wire.otherwise = ask
    assert acts == {*fates, ask}
    await owner.holds(120)
