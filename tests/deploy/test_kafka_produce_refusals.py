"""A door's batches sent at once, and a broker or a connection that does its worst: no answer, a wrong one, a refusal."""

import asyncio
import gc
import signal
import socket
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.conn import CloseReason
from aiokafka.errors import (
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from aiokafka.producer.transaction_manager import PidAndEpoch
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from deploy import kafka_produce
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from tests.contracts.kafka_harness import set_topic
from tests.deploy.kafka_tasks import left_behind
from tests.deploy.sent_at_once import (
    EVENTS,
    Batch,
    connected_producer,
    connection_of,
    numbers,
    send,
    send_the_other_way,
)

TP = TopicPartition(EVENTS, 0)


async def told(*batches: Batch) -> list[BaseException | None]:
    async with asyncio.timeout(10):
        return [await batch.outcome for batch in batches]


class ClosedHandle:
    """A writer whose connection was lost while its reader does not know yet, as uvloop's is then."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, _: bytes) -> None:
        raise RuntimeError("unable to perform operation; the handler is closed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


async def test_one_refused_batch_of_a_request_costs_the_others_nothing(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    await set_topic(clients, EVENTS, "max.message.bytes", "2000")
    large, small = Batch(1, size=4000), Batch(2, 3, partition=1)
    assert send(producer, large, small) == []
    refusal, nothing = await told(large, small)
    assert isinstance(refusal, MessageSizeTooLargeError)
    assert nothing is None
    assert await numbers(clients) == [0]
    assert await numbers(clients, 1) == [2, 3]
    after = Batch(4, partition=1)
    assert send(producer, after) == []
    assert await told(after) == [None]


async def test_a_gap_in_the_sequence_is_told_and_nothing_is_stored(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    producer._txn_manager.increment_sequence_number(TP, 5)
    gapped, other = Batch(1), Batch(2, partition=1)
    assert send(producer, gapped, other) == []
    refusal, nothing = await told(gapped, other)
    assert isinstance(refusal, OutOfOrderSequenceNumber)
    assert nothing is None
    assert await numbers(clients) == [0]
    assert await numbers(clients, 1) == [2]


async def test_a_producer_of_an_older_epoch_is_told_so(producer: AIOKafkaProducer, clients: KafkaClients) -> None:
    transactions = producer._txn_manager
    older = transactions._pid_and_epoch
    transactions._pid_and_epoch = PidAndEpoch(older.pid, older.epoch + 1)
    transactions._sequence_numbers.clear()
    await send_the_other_way(producer, 1)
    transactions._pid_and_epoch = older
    late = Batch(2)
    assert send(producer, late) == []
    [refusal] = await told(late)
    assert isinstance(refusal, ProducerFenced)
    assert await numbers(clients) == [0, 1]


async def test_an_answer_that_cannot_be_read_is_asked_for_again(
    producer: AIOKafkaProducer, clients: KafkaClients, monkeypatch: pytest.MonkeyPatch, reported: list[str]
) -> None:
    taken = kafka_produce.taken
    monkeypatch.setattr(kafka_produce, "taken", lambda answer: taken(answer[:-20]))
    connection = connection_of(producer)
    first, second = Batch(1), Batch(2, partition=1)
    assert send(producer, first, second) == []
    assert await told(first, second) == [None, None]
    assert not connection.connected()
    assert await numbers(clients) == [0, 1]
    assert await numbers(clients, 1) == [2]
    assert reported == []


async def test_an_answer_to_something_else_is_no_answer(producer: AIOKafkaProducer, clients: KafkaClients) -> None:
    connection = connection_of(producer)
    batch = Batch(1)
    assert send(producer, batch) == []
    number, struct, request = connection._requests.pop()
    connection._requests.append((number + 1, struct, request))
    metadata = asyncio.ensure_future(connection.send(MetadataRequest([EVENTS])))
    assert await told(batch) == [None]
    assert isinstance((await asyncio.gather(metadata, return_exceptions=True))[0], Exception)
    assert not connection.connected()
    assert await numbers(clients) == [0, 1]


async def test_requests_of_aiokafka_on_the_same_connection_get_their_own_answers(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    connection = connection_of(producer)
    for number in range(1, 20):
        before = asyncio.ensure_future(connection.send(MetadataRequest([EVENTS])))
        await asyncio.sleep(0)  # its bytes go first
        batch = Batch(number)
        assert send(producer, batch) == []
        after = asyncio.ensure_future(connection.send(MetadataRequest([EVENTS])))
        assert await told(batch) == [None]
        for answer in (await before, await after):
            assert [topic for _, topic, *_ in answer.topics] == [EVENTS]
    assert await numbers(clients) == list(range(20))


async def test_a_connection_that_was_lost_and_does_not_know_it_is_replaced(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    connection = connection_of(producer)
    connection._writer = ClosedHandle(connection._writer)
    batch = Batch(1)
    assert send(producer, batch) == []
    assert await told(batch) == [None]
    assert await numbers(clients) == [0, 1]


async def test_a_partition_that_is_under_way_to_an_old_leader_waits(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    producer._sender._muted_partitions.add(TP)
    muted, free = Batch(1), Batch(2, partition=1)
    assert send(producer, muted, free) == [muted]
    assert await told(free) == [None]
    assert not muted.outcome.done()
    assert producer._sender._muted_partitions == {TP}


async def test_a_second_request_that_fails_in_an_unknown_way_leaves_nobody_waiting(
    producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch, reported: list[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise AssertionError("no aiokafka error")

    monkeypatch.setattr(producer.client, "send", broken)
    first, second = Batch(1), Batch(2, partition=1)
    assert send(producer, first, second) == []
    connection_of(producer).close(CloseReason.CONNECTION_BROKEN)
    assert all(isinstance(failure, AssertionError) for failure in await told(first, second))
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


async def test_when_the_sender_is_dead_an_error_is_final(
    producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_produce, "taken", lambda _: 0)
    batch = Batch(1)
    assert send(producer, batch) == []
    producer._sender.sender_task.cancel()
    assert await told(batch) != [None]
    assert all("_send_produce_req" not in str(task) for task in left_behind())


async def test_while_it_stops_an_error_starts_nothing_that_outlives_it(
    producer: AIOKafkaProducer, clients: KafkaClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_produce, "taken", lambda _: 0)
    batch = Batch(1)
    assert send(producer, batch) == []
    producer._closed = True  # as stop() begins
    assert await told(batch) != [None]
    assert all("_send_produce_req" not in str(task) for task in left_behind())
    producer._closed = False


async def test_what_did_not_leave_this_host_before_a_producer_was_discarded_never_does(
    producer: AIOKafkaProducer, clients: KafkaClients, kafka_broker: Cluster
) -> None:
    connection = connection_of(producer)
    connection._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        batch = Batch(1, size=800_000)
        assert send(producer, batch) == []
        assert connection._writer.transport.get_write_buffer_size() > 0
        await clients.discard(producer)
        assert isinstance((await told(batch))[0], Exception)
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    async with asyncio.timeout(10):
        while connection._protocol._transport is not None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    async with connected_producer(clients):
        assert await numbers(clients) == [0, 0]


async def test_what_did_not_leave_before_its_time_was_up_leaves_once(
    producer: AIOKafkaProducer, clients: KafkaClients, kafka_broker: Cluster
) -> None:
    connection = connection_of(producer)
    connection._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    producer._sender._request_timeout_ms = 200
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        batch = Batch(1, size=800_000)
        assert send(producer, batch) == []
        async with asyncio.timeout(10):
            await connection._closed_fut  # not when the broker goes on: its bytes have been given up
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    assert await told(batch) == [None]
    await send_the_other_way(producer, 2)
    assert await numbers(clients) == [0, 1, 2]
