"""Two workers with one name on two hosts: the second is refused, and one that was moved is not."""

import asyncio
from dataclasses import replace

import pytest

from deploy import kafka_client, kafka_slot
from deploy.broker import Cluster
from deploy.failure import Failure
from deploy.kafka_client import KafkaClients
from deploy.kafka_member import Groups
from schemas import topics
from tests.contracts.kafka_harness import fresh_topics

EVENTS = topics.EVENTS.name


async def test_while_one_host_holds_a_name_another_is_refused_and_takes_it_once_the_holder_is_dead(
    kafka_broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "SESSION_TIMEOUT_MS", 3_000)
    monkeypatch.setattr(kafka_client, "HEARTBEAT_MS", 300)
    monkeypatch.setattr(kafka_slot, "PATIENCE_SECONDS", 5.0)
    here = KafkaClients(kafka_broker.bootstrap, host="here")
    there = replace(here, host="there")
    await fresh_topics(here, 2)
    told: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    holder = await Groups(here).member("slots", "w-1", EVENTS, told.put_nowait)
    try:
        with pytest.raises(Failure, match=r"another worker of group 'slots' is 'w-1' \(mediabeat@here at "):
            await Groups(there).member("slots", "w-1", EVENTS, told.put_nowait)
        async with asyncio.timeout(3):  # another name is nobody's, though it begins alike
            await kafka_slot.refuse_if_held(there, "slots", "w-")
            await kafka_slot.refuse_if_held(there, "slots", "w-10")
            await kafka_slot.refuse_if_held(there, "of others", "w-1")
    finally:
        await holder.close()  # as a crash: it does not leave the group
    moved = await Groups(there).member("slots", "w-1", EVENTS, told.put_nowait)
    await moved.close()


async def test_a_worker_started_again_on_its_host_takes_its_name_back_at_once(
    kafka_broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_slot, "PATIENCE_SECONDS", 0.0)  # whoever waits is refused
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 2)
    told: asyncio.Queue[frozenset[int]] = asyncio.Queue()
    for _ in range(2):
        member = await Groups(clients).member("again", "w", EVENTS, told.put_nowait)
        await member.close()


async def test_a_cluster_that_does_not_answer_refuses_nobody() -> None:
    await kafka_slot.refuse_if_held(KafkaClients("127.0.0.1:1"), "group", "w")
