"""A door's batches sent at once: every one of them arrives once, whatever happens to the request."""

import asyncio
import gc
import random
import signal
from collections import Counter
from io import BytesIO

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from deploy import kafka_produce
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_produce import encoded, taken
from tests.deploy.kafka_tasks import left_behind
from tests.deploy.sent_at_once import Batch, connection_of, numbers, send, send_the_other_way


async def test_batches_of_several_partitions_are_one_request_and_arrive_in_order(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    first, second = Batch(1, 2, 3), Batch(4, 5, partition=1)
    asked = len(connection_of(producer)._requests)
    assert send(producer, first, second) == []
    assert len(connection_of(producer)._requests) == asked + 1
    assert [await first.outcome, await second.outcome] == [None, None]
    assert await numbers(clients) == [0, 1, 2, 3]
    assert await numbers(clients, 1) == [4, 5]


async def test_both_ways_share_a_sequence(producer: AIOKafkaProducer, clients: KafkaClients) -> None:
    for number in range(1, 9, 2):
        batch = Batch(number)
        assert send(producer, batch) == []
        assert await batch.outcome is None
        await send_the_other_way(producer, number + 1)
    assert await numbers(clients) == list(range(9))


async def test_what_cannot_go_at_once_is_given_back_untouched(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    under_way, behind = Batch(1), Batch(2, partition=1)
    assert send(producer, under_way) == []
    assert send(producer, behind) == [behind]  # one request to a leader at a time
    await under_way.outcome
    await connection_of(producer).close()
    assert send(producer, behind) == [behind]
    await clients.discard(producer)
    assert send(producer, behind) == [behind]
    assert not behind.outcome.done()


async def test_what_waits_for_the_same_leader_goes_when_the_request_is_answered(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    batch = Batch(1)
    assert send(producer, batch) == []
    async with asyncio.timeout(5):
        await send_the_other_way(producer, 2, partition=1)
        assert await batch.outcome is None
    assert await numbers(clients, 1) == [2]


async def test_an_answer_with_an_error_is_asked_again_and_nothing_is_there_twice(
    producer: AIOKafkaProducer, clients: KafkaClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bytes] = []

    def refused(answer: bytes) -> int:
        answers.append(answer)
        return 0

    monkeypatch.setattr(kafka_produce, "taken", refused)
    first, second = Batch(1, 2), Batch(3, partition=1)
    assert send(producer, first, second) == []
    assert [await first.outcome, await second.outcome] == [None, None]
    assert len(answers) == 1
    await send_the_other_way(producer, 4)
    assert await numbers(clients) == [0, 1, 2, 4]
    assert await numbers(clients, 1) == [3]


async def test_a_connection_that_breaks_under_way_costs_nothing(
    producer: AIOKafkaProducer, clients: KafkaClients
) -> None:
    batch = Batch(1, 2)
    assert send(producer, batch) == []
    connection_of(producer).close()
    assert await batch.outcome is None
    await send_the_other_way(producer, 3)
    assert await numbers(clients) == [0, 1, 2, 3]


async def test_an_answer_that_does_not_come_in_time_is_asked_for_on_another_connection(
    producer: AIOKafkaProducer, clients: KafkaClients, kafka_broker: Cluster
) -> None:
    connection = connection_of(producer)
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        producer._sender._request_timeout_ms = 100
        batch = Batch(1, 2)
        assert send(producer, batch) == []
        async with asyncio.timeout(10):
            while connection.connected():  # noqa: ASYNC110 - a connection tells nobody
                await asyncio.sleep(0.01)
        assert not batch.outcome.done()
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    assert await batch.outcome is None
    assert await numbers(clients) == [0, 1, 2]


async def test_a_producer_that_is_discarded_fails_what_is_under_way_and_leaves_nothing_behind(
    producer: AIOKafkaProducer, clients: KafkaClients, kafka_broker: Cluster
) -> None:
    kafka_broker.signal(1, signal.SIGSTOP)
    try:
        batch = Batch(1)
        assert send(producer, batch) == []
        await clients.discard(producer)
        assert await batch.outcome is not None
    finally:
        kafka_broker.signal(1, signal.SIGCONT)
    del producer
    gc.collect()
    assert left_behind() == []
    assert await numbers(clients) in ([0], [0, 1])


async def test_a_batch_too_large_to_be_sent_costs_no_other(producer: AIOKafkaProducer, clients: KafkaClients) -> None:
    large, other = Batch(1, 2, size=600_000), Batch(3, partition=1)
    assert send(producer, large, other) == []
    assert isinstance(await large.outcome, ValueError)
    assert await other.outcome is None
    await send_the_other_way(producer, 4)
    assert await numbers(clients) == [0, 4]


async def test_whatever_becomes_of_requests_and_answers_each_record_is_there_once_and_in_order(
    producer: AIOKafkaProducer, clients: KafkaClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, acts = random.Random(7), Counter[str]()

    def misread(answer: bytes) -> int:
        act = chance.choice(("read", "read", "refused", "garbled"))
        acts[act] += 1
        return 0 if act == "refused" else taken(answer[:-20] if act == "garbled" else answer)

    def hurt() -> None:
        for connection in list(producer.client._conns.values()):
            if connection._writer is not None:
                chance.choice((connection.close, connection._writer.transport.abort))()

    monkeypatch.setattr(kafka_produce, "taken", misread)
    for number in range(1, 150):
        if chance.random() < 0.2:
            hurt()
        batches = [Batch(number), Batch(number, partition=1)]
        left = send(producer, *batches)
        acts["left"] += len(left)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
            hurt()
        for batch in left:
            await send_the_other_way(producer, number, batch.records[0].partition)
            batch.tell(None)
        async with asyncio.timeout(10):
            assert [await batch.outcome for batch in batches] == [None, None]
    assert min(acts[act] for act in ("read", "refused", "garbled", "left")) > 5
    assert await numbers(clients) == list(range(150))
    assert await numbers(clients, 1) == list(range(1, 150))


partitions = st.dictionaries(st.integers(0, 2**31 - 1), st.binary(max_size=50), min_size=1, max_size=4)


@given(
    st.integers(0, 2**31 - 1),
    st.text(max_size=10),
    st.sampled_from([-1, 1]),
    st.integers(0, 100_000),
    st.dictionaries(st.text(max_size=10), partitions, max_size=3),
)
def test_a_request_has_the_bytes_that_aiokafka_gives_it(
    number: int, client: str, acks: int, timeout_ms: int, asked: dict[str, dict[int, bytes]]
) -> None:
    request = ProduceRequest_v7(None, acks, timeout_ms, [(topic, list(of.items())) for topic, of in asked.items()])
    expected = request.build_request_header(number, client).encode() + request.encode()
    batches = [(TopicPartition(topic, part), data) for topic, of in asked.items() for part, data in of.items()]
    assert encoded(number, client, acks, timeout_ms, batches) == len(expected).to_bytes(4, "big") + expected


codes = st.lists(st.tuples(st.integers(0, 99), st.sampled_from([0, 0, 0, 6, 87])), max_size=4)


@given(st.dictionaries(st.text(max_size=10), codes, max_size=3))
def test_an_answer_counts_what_is_durable_and_is_nothing_with_an_error_in_it(
    said: dict[str, list[tuple[int, int]]],
) -> None:
    told = [(topic, [(part, code, 7, -1, 0) for part, code in of]) for topic, of in said.items()]
    answer = ProduceResponse_v7(told, 0).encode()
    assert ProduceResponse_v7.decode(BytesIO(answer)).topics == told
    outcomes = [code for of in said.values() for _, code in of]
    assert taken(answer) == (0 if any(outcomes) else len(outcomes))
