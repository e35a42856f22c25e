"""The place of a replay, kept by a real broker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy import kafka_replay
from deploy.failure import Failure
from deploy.kafka_client import KafkaClients
from deploy.kafka_fetch import Tail
from deploy.kafka_replay import KafkaPositions
from deploy.replay import Settled
from schemas import topics


@pytest_asyncio.fixture
async def positions(clients: KafkaClients, request: pytest.FixtureRequest) -> AsyncIterator[KafkaPositions]:
    positions = KafkaPositions(clients, request.node.name)
    yield positions
    await positions.close()


def texts(found: dict[int, Settled]) -> dict[int, str]:
    return {partition: settled.text() for partition, settled in found.items()}


async def test_a_first_replay_has_settled_nothing(positions: KafkaPositions) -> None:
    assert await positions.load() == {}


async def test_another_replay_goes_on_where_the_last_one_stopped(
    clients: KafkaClients, positions: KafkaPositions, request: pytest.FixtureRequest
) -> None:
    await positions.save({0: Settled("0-4,9-12"), 1: Settled("7-7")})

    again = KafkaPositions(clients, request.node.name)
    try:
        assert texts(await again.load()) == {0: "0-4,9-12", 1: "7-7"}
        await again.save({0: Settled("0-12")})
    finally:
        await again.close()
    assert texts(await positions.load()) == {0: "0-12", 1: "7-7"}


async def test_a_consumer_that_only_knows_offsets_misses_no_reject(
    clients: KafkaClients, positions: KafkaPositions, request: pytest.FixtureRequest
) -> None:
    await positions.save({0: Settled("0-4,9-12"), 1: Settled("7-7")})

    tail = Tail(clients)
    try:
        group = f"{request.node.name}-replay"
        found = [await tail.committed(group, topics.REJECTS.name, partition) for partition in (0, 1)]
    finally:
        await tail.close()
    assert found == [5, 0]


async def test_more_pieces_than_a_group_can_note_stop_the_replay(positions: KafkaPositions) -> None:
    pieces = ",".join(f"{10 * number}-{10 * number}" for number in range(1000))

    with pytest.raises(Failure, match="too many pieces"):
        await positions.save({0: Settled(pieces)})


async def test_no_broker_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_replay, "PATIENCE_SECONDS", 1.0)
    positions = KafkaPositions(KafkaClients("127.0.0.1:1"), "nobody")

    with pytest.raises(Failure, match="try again"):
        await positions.load()
    await positions.close()
