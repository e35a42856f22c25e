"""Clients are opened as we set them, or the log is unavailable and nothing is left open."""

import asyncio
import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import NodeNotReadyError

from deploy import kafka_client
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients, Security
from schemas.records import LogUnavailable
from tests.deploy.kafka_tasks import left_behind


def test_a_static_member_does_not_leave_its_group() -> None:
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    assert "_group_instance_id is None" in inspect.getsource(GroupCoordinator._maybe_leave_group)


def test_the_client_settings_we_give_are_still_taken() -> None:
    taken = (
        inspect.signature(AIOKafkaProducer).parameters.keys() & inspect.signature(AIOKafkaConsumer).parameters.keys()
    )
    assert taken >= KafkaClients("x:1")._shared(1, 1).keys()
    assert taken >= Security().arguments().keys()


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
        await KafkaClients("127.0.0.1:1")._started(start(), undo)
    assert closed == [True]


async def test_a_start_that_is_cancelled_leaves_no_client_open() -> None:
    closed = asyncio.Event()

    async def undo() -> None:
        closed.set()

    starting = asyncio.create_task(KafkaClients("127.0.0.1:1")._started(asyncio.sleep(3600), undo))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert closed.is_set()


async def test_a_cluster_that_is_unwell_is_asked_again_and_one_that_refuses_us_is_not(
    monkeypatch: pytest.MonkeyPatch, kafka_broker: Cluster
) -> None:
    monkeypatch.setattr(kafka_client, "UNWELL_PAUSE_SECONDS", 0.0)
    opened = 0

    async def opening() -> str:
        nonlocal opened
        opened += 1
        if opened < 3:
            # The node that it asked has died, the cluster answers.
            await KafkaClients(kafka_broker.bootstrap)._started(failing(NodeNotReadyError()), closing)
        return "open"

    assert await kafka_client.patiently(opening) == "open"
    assert opened == 3

    async def refused() -> None:
        nonlocal opened
        opened += 1
        await KafkaClients("127.0.0.1:1").connection()

    with pytest.raises(LogUnavailable, match="it takes no connection"):
        await kafka_client.patiently(refused)
    assert opened == 4
    monkeypatch.setattr(kafka_client, "UNWELL_SECONDS", 0.0)
    with pytest.raises(kafka_client.ClusterUnwell, match="NodeNotReady"):
        await kafka_client.patiently(
            lambda: KafkaClients(kafka_broker.bootstrap)._started(failing(NodeNotReadyError()), closing)
        )


async def failing(failure: Exception) -> None:
    raise failure


async def closing() -> None:
    pass
