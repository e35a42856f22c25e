"""What we rely on in aiokafka beyond its documentation: when an upgrade moves it, this says so."""

import asyncio
import gc
import inspect
import signal
from collections.abc import Callable

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import AddPartitionsToTxnHandler, Sender
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import TopicPartition

from deploy import kafka_producer
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from schemas import topics
from schemas.records import Record
from tests.contracts.kafka_harness import committed_records, fresh_topics
from tests.deploy.kafka_tasks import left_behind

EVENTS = topics.EVENTS.name
TP = TopicPartition("t", 0)


@pytest_asyncio.fixture
async def clients(kafka_broker: Cluster) -> KafkaClients:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 1)
    return clients


async def all_told() -> None:
    """Run every callback, and collect what is held by nobody."""
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()


async def test_the_private_names_that_we_touch_are_there() -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="x")
    assert isinstance(producer._sender, Sender)
    assert isinstance(producer._message_accumulator, MessageAccumulator)
    assert isinstance(producer._txn_manager, TransactionManager)
    assert callable(producer.client.close)
    assert producer._sender.sender_task is None
    assert producer._message_accumulator._batches == {}
    assert producer._message_accumulator._pending_batches == set()
    assert producer._txn_manager._transaction_waiter is None
    builder = producer.create_batch()
    assert isinstance(MessageBatch(TP, builder, 1, 0)._drain_waiter, asyncio.Future)
    assert builder.record_count() == builder._relative_offset == 0
    assert builder._builder.append(0, None, b"k", b"v", []) is not None
    await producer.stop()


async def test_a_batch_takes_what_fits_and_the_next_one_goes_on_from_there(clients: KafkaClients) -> None:
    producer = await clients.producer()
    records = [Record(EVENTS, 0, b"%d" % number, b"x" * 300_000) for number in range(7)]
    records += [Record(EVENTS, 0, b"none", None)]
    sent, sizes = 0, []
    while sent < len(records):
        batch, following = clients.fitting(producer, records, sent)
        sizes.append(batch.record_count())
        assert batch.record_count() == following - sent
        sent = following
        await (await producer.send_batch(batch, EVENTS, partition=0))
    with pytest.raises(ValueError, match="does not fit"):
        clients.filled(producer, records)
    await clients.discard(producer)
    assert len(sizes) > 1
    assert [(r.key, r.value) for r in await committed_records(clients, EVENTS, 0)] == [r[2:] for r in records]


def test_what_we_replace_is_looked_up_when_it_is_needed() -> None:
    assert sender.BACKOFF_OVERRIDE == 0.002
    assert "BACKOFF_OVERRIDE" in inspect.getsource(AddPartitionsToTxnHandler.handle_response)
    assert sender.create_task is kafka_producer.heard_task
    assert "create_task(self._do_txn_commit" in inspect.getsource(Sender._maybe_do_transactional_request)
    assert "self._message_accumulator.fail_all(" in inspect.getsource(Sender._fail_all)
    assert "self._txn_manager.fatal_error(" in inspect.getsource(Sender._fail_all)
    assert "_pending_batches.remove(batch)" in inspect.getsource(MessageAccumulator)


async def fenced_amid_a_retry(hear: Callable[[AIOKafkaProducer], object]) -> None:
    """A producer whose sender dies while one batch waits to be sent again, one to be sent first, and nobody for it."""
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="x")
    hear(producer)
    accumulator, transactions = producer._message_accumulator, producer._txn_manager
    transactions.set_pid_and_epoch(1, 0)
    transactions.begin_transaction()
    again = accumulator._append_batch(producer.create_batch(), TP)
    assert accumulator._pop_batch(TP) is again
    accumulator.reenqueue(again)
    accumulator._append_batch(producer.create_batch(), TopicPartition("t", 1))
    accumulator.fail_all(ProducerFenced())
    transactions.fatal_error(ProducerFenced())
    await producer.stop()


async def test_whatever_fails_inside_a_fenced_producer_has_been_looked_at(reported: list[str]) -> None:
    await fenced_amid_a_retry(kafka_producer.hear)
    await all_told()
    assert reported == []


async def test_left_alone_aiokafka_reports_it_as_lost(reported: list[str]) -> None:
    await fenced_amid_a_retry(lambda _: None)
    await all_told()
    assert any("never retrieved" in message for message in reported)
    assert any("Exception in callback" in message for message in reported)


async def test_a_producer_that_fails_before_its_first_transaction_fails_in_silence(reported: list[str]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)
    kafka_producer.hear(producer)
    producer._txn_manager.fatal_error(ProducerFenced())
    await producer.stop()
    del producer
    await all_told()
    assert reported == []


async def test_the_second_request_that_a_fencing_fails_is_looked_at_too(reported: list[str]) -> None:
    class Failing:
        async def request(self) -> None:
            raise ProducerFenced

    failing = Failing()
    task = sender.create_task(failing.request())
    await asyncio.wait([task])
    del task
    await all_told()
    assert reported == []


async def test_a_fenced_producer_is_told_from_others_and_thrown_away_in_silence(
    clients: KafkaClients, reported: list[str]
) -> None:
    old = await clients.producer("one")
    await old.begin_transaction()
    await old.send_and_wait(EVENTS, b"of the dead", partition=0)
    new = await clients.producer("one")
    assert not clients.is_fenced(new)
    offsets = asyncio.ensure_future(old.send_offsets_to_transaction({TopicPartition(EVENTS, 0): 1}, "group"))
    batch = old.create_batch()
    batch.append(timestamp=None, key=b"k", value=b"of the dead too")
    sent = await old.send_batch(batch, EVENTS, partition=0)
    outcomes = await asyncio.gather(offsets, sent, return_exceptions=True)
    assert all(isinstance(outcome, BaseException) for outcome in outcomes)
    assert clients.is_fenced(old)
    await clients.discard(old)
    await clients.discard(new)
    del old, new, batch, sent, offsets, outcomes
    await all_told()
    assert not left_behind()
    assert reported == []
    assert await committed_records(clients, EVENTS, 0) == []


async def test_a_discarded_producer_delivers_nothing_later(
    clients: KafkaClients, kafka_broker: Cluster, reported: list[str]
) -> None:
    producer = await clients.producer()
    await producer.send_and_wait(EVENTS, b"before", partition=0)
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        batch = producer.create_batch()
        batch.append(timestamp=None, key=b"k", value=b"on its way")
        first = await producer.send_batch(batch, EVENTS, partition=0)
        await asyncio.sleep(0.05)  # it is in the broker's socket: that one may hold
        queued = await producer.send(EVENTS, b"queued", partition=0)
        await clients.discard(producer)
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    outcomes = await asyncio.gather(first, queued, return_exceptions=True)
    assert all(isinstance(outcome, BaseException) for outcome in outcomes)
    successor = await clients.producer()
    await successor.send_and_wait(EVENTS, b"after", partition=0)
    await clients.discard(successor)
    values = [record.value for record in await committed_records(clients, EVENTS, 0)]
    assert b"queued" not in values
    assert values[0] == b"before"
    assert values[-1] == b"after"
    assert not left_behind()
    assert reported == []
