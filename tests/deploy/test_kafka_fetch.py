"""Reading committed records ahead of their taker, on a real broker."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from deploy import kafka_cursor, kafka_fetch
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_cursor import Cursor
from deploy.kafka_fetch import Tail
from schemas import topics
from schemas.records import LogUnavailable, OffsetOutOfRange, StoredRecord

ROWS = topics.SESSION_CLOSE.name


@pytest_asyncio.fixture
async def tail(clients: KafkaClients) -> AsyncIterator[Tail]:
    tail = Tail(clients)
    yield tail
    await tail.close()


async def write(clients: KafkaClients, *values: bytes, partition: int = 0) -> None:
    producer = await clients.producer()
    for value in values:
        await producer.send(ROWS, value, key=b"k", partition=partition)
    await clients.discard(producer)


async def write_transactions(clients: KafkaClients, name: str, *transactions: tuple[bytes, bool]) -> None:
    producer = await clients.producer(name)
    for value, holds in transactions:
        await producer.begin_transaction()
        await producer.send_and_wait(ROWS, value, key=b"k", partition=0)
        await (producer.commit_transaction() if holds else producer.abort_transaction())
    await clients.discard(producer)


async def everything(cursor: Cursor, at_once: int = 1000) -> list[StoredRecord]:
    records: list[StoredRecord] = []
    async with asyncio.timeout(20):
        while True:
            fetch = await cursor.take(at_once, 0.5)
            records += fetch.records
            if fetch.caught_up_at is not None:
                return records


async def test_records_of_aborted_transactions_are_never_seen(clients: KafkaClients, tail: Tail) -> None:
    await write_transactions(clients, "x", (b"1", True), (b"no", False), (b"2", True), (b"no", False))
    await write_transactions(clients, "y", (b"no", False), (b"3", True), (b"no", False))
    cursor = await tail.cursor(ROWS, 0, 0)
    assert [record.value for record in await everything(cursor)] == [b"1", b"2", b"3"]
    # Also from in between: the aborted ones before the position are the broker's to name again.
    for offset in range(cursor.position):
        cursor.seek(offset)
        assert b"no" not in [record.value for record in await everything(cursor)]


async def test_records_of_an_open_transaction_are_not_seen_until_it_is_committed(
    clients: KafkaClients, tail: Tail
) -> None:
    producer = await clients.producer("open")
    await producer.begin_transaction()
    await producer.send_and_wait(ROWS, b"held", key=b"k", partition=0)
    await write(clients, b"behind it")
    cursor = await tail.cursor(ROWS, 0, 0)
    fetch = await cursor.take(10, 0.6)
    assert fetch.records == []
    assert fetch.caught_up_at is None
    await producer.commit_transaction()
    assert [record.value for record in await everything(cursor)] == [b"held", b"behind it"]
    await clients.discard(producer)


async def test_a_backlog_comes_whole_in_order_and_in_the_pieces_asked_for(clients: KafkaClients, tail: Tail) -> None:
    values = [f"{number:06}".encode() * 100 for number in range(6_000)]
    await write(clients, *values)
    cursor = await tail.cursor(ROWS, 0, 0)
    seen: list[bytes | None] = []
    while len(seen) < len(values):
        fetch = await cursor.take(700, 5)
        assert len(fetch.records) <= 700
        assert fetch.caught_up_at is None or len(seen) + len(fetch.records) == len(values)
        assert cursor.waiting_bytes < 2 * kafka_cursor.AHEAD_BYTES + 100_000
        if fetch.records:
            assert fetch.records[0].offset == len(seen)
        seen += [record.value for record in fetch.records]
        assert cursor.position == len(seen)
    assert seen == values


async def test_a_position_within_a_batch_begins_there(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, *(b"%d" % number for number in range(50)))
    cursor = await tail.cursor(ROWS, 0, 37)
    assert [record.offset for record in await everything(cursor)] == list(range(37, 50))
    cursor.seek(48)
    assert [record.offset for record in await everything(cursor, at_once=1)] == [48, 49]


async def test_a_slow_taker_does_not_hold_up_the_others(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, *(b"x" * 10_000 for _ in range(400)))
    await tail.cursor(ROWS, 0, 0)  # nobody takes
    quick = await tail.cursor(ROWS, 1, 0)
    await everything(quick)
    for number in range(10):
        await write(clients, b"%d" % number, partition=1)
        assert [record.value for record in (await quick.take(10, 5)).records] == [b"%d" % number]


async def test_caught_up_is_said_of_a_moment_at_which_it_was_true(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, b"1")
    cursor = await tail.cursor(ROWS, 0, 0)
    await everything(cursor)
    fetch = await cursor.take(10, 0.6)
    assert fetch.caught_up_at is not None
    assert time.time() * 1000 - 2_000 < fetch.caught_up_at <= time.time() * 1000


async def test_while_the_broker_stands_still_nobody_is_told_anew_to_have_caught_up(
    clients: KafkaClients, tail: Tail, kafka_broker: Cluster
) -> None:
    cursor = await tail.cursor(ROWS, 0, 0)
    await everything(cursor)
    kafka_broker.signal(1, signal.SIGSTOP)
    stopped_at = time.time() * 1000
    try:
        while (fetch := await cursor.take(10, 0.1)).caught_up_at is not None:
            assert fetch.records == []
            assert fetch.caught_up_at <= stopped_at
        assert fetch.records == []
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    await write(clients, b"after")
    assert [record.value for record in await everything(cursor)] == [b"after"]


async def test_a_partition_nobody_answers_for_is_unavailable(
    clients: KafkaClients, tail: Tail, kafka_broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_cursor, "AWAY_SECONDS", 0.5)
    cursor = await tail.cursor(ROWS, 0, 0)
    await everything(cursor)
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        with pytest.raises(LogUnavailable, match="no broker answered"):
            await cursor.take(10, 1.0)
    finally:
        kafka_broker.signal(1, signal.SIGCONT)


async def test_below_retention_and_beyond_the_end_is_out_of_range(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, *(b"%d" % number for number in range(10)))
    admin = await clients.admin()
    await admin.delete_records({TopicPartition(ROWS, 0): RecordsToDelete(5)})
    await admin.close()
    for gone in (2, 99):
        cursor = await tail.cursor(ROWS, 0, gone)
        with pytest.raises(OffsetOutOfRange):
            await cursor.take(10, 5)
    assert await tail.bounds(ROWS, 0) == (5, 10)


async def test_a_partition_has_one_reader_the_last_that_asked(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, b"1")
    old = await tail.cursor(ROWS, 0, 0)
    new = await tail.cursor(ROWS, 0, 0)
    old.close()
    assert len(await everything(new)) == 1
    with pytest.raises(LogUnavailable, match="taken over"):
        await old.take(1, 0.01)


async def test_there_is_no_reading_of_a_topic_or_partition_that_does_not_exist(
    tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LogUnavailable):
        await tail.cursor(ROWS, 2, 0)
    monkeypatch.setattr(kafka_fetch, "ASK_SECONDS", 0.3)
    with pytest.raises(LogUnavailable):
        await tail.partitions("no-such-topic")


async def test_a_partition_is_read_on_when_its_leader_becomes_a_broker_that_led_nothing(
    clients: KafkaClients, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaders = {0: 1, 1: 99}  # nobody is 99
    monkeypatch.setattr(Tail, "_leader", lambda _, tp: leaders[tp.partition])
    await write(clients, b"1", partition=1)
    idle = await tail.cursor(ROWS, 0, 0)
    await everything(idle)
    idle.close()
    moved = await tail.cursor(ROWS, 1, 0)
    assert (await moved.take(10, 0.5)).records == []
    leaders[1] = 1
    assert [record.value for record in await everything(moved)] == [b"1"]


async def test_an_answer_that_was_asked_for_before_a_seek_moves_nothing(clients: KafkaClients, tail: Tail) -> None:
    await write(clients, b"1", b"2", b"3")
    producer = await clients.producer()
    cursor = await tail.cursor(ROWS, 0, 0)
    for number in range(5):
        await everything(cursor)  # a poll for what comes next is under way
        cursor.seek(0)
        await producer.send_and_wait(ROWS, b"new", key=b"k", partition=0)
        offsets: list[int] = []
        async with asyncio.timeout(20):
            while len(offsets) < 4 + number:
                offsets += [record.offset for record in (await cursor.take(10, 1)).records]
                assert offsets == list(range(len(offsets)))
    await clients.discard(producer)
