"""Transactions in two steps: when lanes write them so, and what they ask of the brokers then."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import InvalidProducerEpoch, MessageSizeTooLargeError

from deploy import kafka_transaction
from deploy.broker import Cluster
from deploy.kafka_client import BATCH_BYTES, KafkaClients
from deploy.kafka_flexible import LONG, NO_TAGS, SHORT, Kind, Reader, counted, features, text
from deploy.kafka_flexible import ask as really_ask
from deploy.kafka_transaction import COMMIT_OFFSETS, END, PRODUCE
from processors.kafka_lane import Origin
from schemas import topics
from schemas.records import Record
from tests.contracts.kafka_harness import committed_records, fresh_topics, set_topic
from tests.kafka_broker import private_cluster

ROWS, STATE = topics.SESSION_CLOSE.name, topics.STATE.name
UPDATE_FEATURES = Kind(57, 1)
ORIGIN = Origin("group", topics.EVENTS.name, 0, "lane-0")


def row(value: bytes, partition: int = 0, topic: str = ROWS) -> Record:
    return Record(topic, partition, b"sid", value)


@asynccontextmanager
async def lane_producer(clients: KafkaClients) -> AsyncIterator[AIOKafkaProducer]:
    producer = await clients.producer(ORIGIN.transactional_id)
    try:
        yield producer
    finally:
        await clients.discard(producer)


async def rows_of(clients: KafkaClients, count: int, topic: str = ROWS, partition: int = 0) -> list[bytes | None]:
    """The committed values, once there are as many: a commit is visible a little after it was acknowledged."""
    async with asyncio.timeout(20):
        while True:
            found = [record.value for record in await committed_records(clients, topic, partition)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    """What is asked, but for what is asked again: a coordinator that has only begun says so at first."""
    kinds: list[Kind] = []

    def ask(connection: AIOKafkaConnection, kind: Kind, body: Iterable[bytes]) -> "asyncio.Future[bytes]":
        if kind not in kinds:
            kinds.append(kind)
        return really_ask(connection, kind, body)

    monkeypatch.setattr(kafka_transaction, "ask", ask)
    return kinds


@pytest.fixture(scope="module")
def classic_broker() -> Iterator[Cluster]:
    """As one of an upgraded cluster, whose features were not."""
    with private_cluster(formatting=("--feature", "transaction.version=1")) as cluster:
        yield cluster


async def test_rows_of_several_topics_and_the_offset_are_three_requests(
    clients: KafkaClients, asked: list[Kind]
) -> None:
    async with lane_producer(clients) as producer:
        assert await clients.transact(producer, [row(b"1"), row(b"2", 1), row(b"s", topic=STATE)], ORIGIN, 5)
    assert asked == [PRODUCE, COMMIT_OFFSETS, END]
    assert await rows_of(clients, 1) == [b"1"]
    assert await rows_of(clients, 1, partition=1) == [b"2"]
    assert await rows_of(clients, 1, STATE) == [b"s"]


async def test_an_offset_alone_is_a_transaction_too(clients: KafkaClients, asked: list[Kind]) -> None:
    async with lane_producer(clients) as producer:
        assert await clients.transact(producer, [], ORIGIN, 5)
    assert asked == [COMMIT_OFFSETS, END]


async def test_every_commit_gives_the_producer_its_next_epoch(clients: KafkaClients) -> None:
    async with lane_producer(clients) as producer:
        epochs = []
        for number in range(3):
            epochs.append(producer._txn_manager.producer_epoch)
            await clients.transact(producer, [row(b"%d" % number)], ORIGIN, number)
    assert epochs == [epochs[0], epochs[0] + 1, epochs[0] + 2]
    assert await rows_of(clients, 3) == [b"0", b"1", b"2"]


async def test_what_fills_several_batches_of_a_partition_stays_in_order(clients: KafkaClients) -> None:
    values = [bytes([number]) * (BATCH_BYTES // 3) for number in range(10)]
    async with lane_producer(clients) as producer:
        await clients.transact(producer, [row(value) for value in values], ORIGIN, 1)
    assert await rows_of(clients, 10) == values


async def test_who_has_a_successor_is_told_so_and_leaves_nothing(clients: KafkaClients) -> None:
    async with lane_producer(clients) as zombie, lane_producer(clients) as successor:
        with pytest.raises(InvalidProducerEpoch):
            await clients.transact(zombie, [row(b"of the zombie")], ORIGIN, 1)
        await clients.transact(successor, [row(b"of the successor")], ORIGIN, 1)
    assert await rows_of(clients, 1) == [b"of the successor"]


async def test_what_the_broker_refuses_is_named_with_its_place(clients: KafkaClients, asked: list[Kind]) -> None:
    await set_topic(clients, ROWS, "max.message.bytes", "2000")
    async with lane_producer(clients) as producer:
        with pytest.raises(MessageSizeTooLargeError, match=f"error 10 from {ROWS} 1"):
            await clients.transact(producer, [row(b"1"), row(b"x" * 4000, 1)], ORIGIN, 1)
    assert END not in asked


async def test_who_is_told_to_write_as_to_older_brokers_does(clients: KafkaClients, asked: list[Kind]) -> None:
    classic = KafkaClients(clients.bootstrap, two_steps=False)
    async with lane_producer(classic) as producer:
        assert not await classic.transact(producer, [row(b"1")], ORIGIN, 1)
    assert not asked


async def set_level(clients: KafkaClients, level: int) -> None:
    """Raise or lower the cluster's `transaction.version`, as an operator's tool does."""
    client = await clients.connection()
    connection = await client._get_conn(client.get_random_node())
    assert connection is not None
    kind = b"\1" if level == 2 else b"\2"  # an upgrade; a downgrade that loses nothing
    feature = text("transaction.version") + SHORT.pack(level) + kind + NO_TAGS
    reader = Reader(
        await really_ask(connection, UPDATE_FEATURES, (LONG.pack(5000), counted(1), feature, b"\0", NO_TAGS))
    )
    assert [reader.number(LONG), reader.number(SHORT)] == [0, 0]  # not throttled, no error
    async with asyncio.timeout(10):
        while True:
            if (await features(connection))["transaction.version"] == level:
                break
            await asyncio.sleep(0.02)
    await client.close()


async def test_lanes_go_on_while_the_feature_is_raised_and_lowered_under_them(classic_broker: Cluster) -> None:
    clients = KafkaClients(classic_broker.bootstrap)
    await fresh_topics(clients, 1)
    async with lane_producer(clients) as producer:
        await set_level(clients, 2)
        assert not await clients.transact(producer, [], ORIGIN, 1)
        await producer.begin_transaction()
        await producer.send_and_wait(ROWS, b"1", partition=0)
        await producer.commit_transaction()
    async with lane_producer(clients) as producer:
        assert await clients.transact(producer, [row(b"2")], ORIGIN, 2)
        await set_level(clients, 1)
        assert await clients.transact(producer, [row(b"3")], ORIGIN, 3)
    async with lane_producer(clients) as producer:
        assert not await clients.transact(producer, [], ORIGIN, 4)
    assert await rows_of(clients, 3) == [b"1", b"2", b"3"]


async def test_a_cluster_whose_features_were_not_upgraded_is_asked_nothing_it_does_not_know(
    classic_broker: Cluster, asked: list[Kind]
) -> None:
    clients = KafkaClients(classic_broker.bootstrap)
    await fresh_topics(clients, 1)
    async with lane_producer(clients) as producer:
        assert not await clients.transact(producer, [row(b"1")], ORIGIN, 1)
    assert not asked
