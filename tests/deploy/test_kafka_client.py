"""What we rely on in aiokafka beyond its documentation: when an upgrade moves it, this says so."""

import asyncio
import inspect
import signal

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import NodeNotReadyError
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import MessageAccumulator, MessageBatch
from aiokafka.producer.sender import AddPartitionsToTxnHandler, Sender
from aiokafka.structs import TopicPartition

from deploy import kafka_client
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients, Security
from schemas import topics
from schemas.records import LogUnavailable
from tests.contracts.kafka_harness import committed_records, fresh_topics

EVENTS = topics.EVENTS.name


@pytest_asyncio.fixture
async def clients(kafka_broker: Cluster) -> KafkaClients:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 1)
    return clients


def left_behind() -> list[object]:
    """Tasks of aiokafka that still run."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [one for one in coroutines if inspect.iscoroutine(one) and "aiokafka" in one.cr_code.co_filename]


async def test_the_private_names_that_discarding_needs_are_there() -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    assert isinstance(producer._sender, Sender)
    assert isinstance(producer._message_accumulator, MessageAccumulator)
    assert callable(producer._message_accumulator.fail_all)
    assert callable(producer.client.close)
    assert producer._sender.sender_task is None
    assert producer._message_accumulator._batches == {}
    assert producer._message_accumulator._pending_batches == set()
    assert producer._txn_manager is None
    await producer.stop()
    transactional = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="x")
    assert transactional._txn_manager._transaction_waiter is None
    builder = transactional.create_batch()
    batch = MessageBatch(TopicPartition("t", 0), builder, 1, 0)
    assert isinstance(batch._drain_waiter, asyncio.Future)
    await transactional.stop()


def test_the_wait_between_transactions_is_read_when_it_is_needed() -> None:
    assert sender.BACKOFF_OVERRIDE == 0.002
    assert "BACKOFF_OVERRIDE" in inspect.getsource(AddPartitionsToTxnHandler.handle_response)


def test_a_static_member_does_not_leave_its_group() -> None:
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    assert "_group_instance_id is None" in inspect.getsource(GroupCoordinator._maybe_leave_group)


def test_the_client_settings_we_give_are_still_taken() -> None:
    taken = (
        inspect.signature(AIOKafkaProducer).parameters.keys() & inspect.signature(AIOKafkaConsumer).parameters.keys()
    )
    assert taken >= KafkaClients("x:1")._shared(1, 1).keys()
    assert taken >= Security().arguments().keys()


async def test_a_discarded_producer_delivers_nothing_later(clients: KafkaClients, kafka_broker: Cluster) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
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


async def test_no_broker_is_unavailable_within_the_bound_and_leaves_nothing_behind() -> None:
    with pytest.raises(LogUnavailable, match="no Kafka at"):
        await KafkaClients("127.0.0.1:1").producer("id")
    assert not left_behind()


@pytest.mark.parametrize("failure", [AssertionError("Did we not perform bootstrap?"), OSError(), NodeNotReadyError()])
async def test_whatever_a_client_raises_while_it_starts_is_an_unavailable_log_and_the_client_is_closed(
    failure: Exception,
) -> None:
    closed = []

    async def start() -> None:
        raise failure

    async def undo() -> None:
        closed.append(True)

    with pytest.raises(LogUnavailable):
        await kafka_client._started(start(), undo, "127.0.0.1:1")
    assert closed == [True]


async def test_a_start_that_is_cancelled_leaves_no_client_open() -> None:
    closed = asyncio.Event()

    async def undo() -> None:
        closed.set()

    starting = asyncio.create_task(kafka_client._started(asyncio.sleep(3600), undo, "127.0.0.1:1"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert closed.is_set()
