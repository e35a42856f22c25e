"""Requests that aiokafka does not know, on its connections."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from deploy import kafka_flexible
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_flexible import LONG, NO_TAGS, NULL, Kind, Reader, ask, counted, features, text, varint

LIST_GROUPS = Kind(16, 3)


@pytest_asyncio.fixture
async def client(kafka_broker: Cluster) -> AsyncIterator[AIOKafkaClient]:
    client = await KafkaClients(kafka_broker.bootstrap).connection()
    yield client
    await client.close()


async def connection_of(client: AIOKafkaClient) -> AIOKafkaConnection:
    connection = await client._get_conn(client.get_random_node())
    assert connection is not None
    return connection


@given(st.integers(0, 2**31 - 1))
def test_a_length_is_read_as_it_was_written(length: int) -> None:
    assert Reader(varint(length)).varint() == length
    assert Reader(counted(length)).count() == length


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300)))
def test_texts_are_read_one_after_the_other(texts: list[str]) -> None:
    reader = Reader(b"".join(map(text, texts)))
    assert [reader.text() for _ in texts] == texts


def test_no_list_and_no_text_are_read_as_empty_ones() -> None:
    assert Reader(NULL).count() == 0
    assert Reader(NULL).text() == ""


def test_tags_that_a_later_broker_added_are_passed_over() -> None:
    reader = Reader(varint(2) + b"\0\3abc" + b"\5\0" + LONG.pack(7))
    assert reader.tags() == {0: b"abc", 5: b""}
    assert reader.number(LONG) == 7


async def test_a_broker_says_what_its_cluster_s_features_are_set_to(client: AIOKafkaClient) -> None:
    found = await features(await connection_of(client))
    assert found["transaction.version"] >= 2
    assert found["metadata.version"] > 20


async def test_a_broker_too_old_for_the_question_has_no_features(
    client: AIOKafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_flexible, "API_VERSIONS", Kind(18, 99))  # to this one it answers so
    connection = await connection_of(client)
    assert await features(connection) == {}
    assert (await client.fetch_all_metadata()).brokers()  # the connection is of use as before


async def test_requests_of_both_kinds_are_answered_in_their_order(client: AIOKafkaClient) -> None:
    connection = await connection_of(client)
    asked = [ask(connection, LIST_GROUPS, (NO_TAGS,)) for _ in range(3)]
    levels = asyncio.ensure_future(features(connection))
    await client.fetch_all_metadata()
    assert "metadata.version" in await levels
    for answer in asked:
        reader = Reader(await answer)
        assert [reader.number(LONG), reader.number(kafka_flexible.SHORT)] == [0, 0]  # not throttled, no error


async def test_who_asks_on_a_connection_that_ends_is_told(client: AIOKafkaClient, reported: list[str]) -> None:
    connection = await connection_of(client)
    unanswered = ask(connection, LIST_GROUPS, (NO_TAGS,))
    connection.close()
    for asked in (unanswered, ask(connection, LIST_GROUPS, (NO_TAGS,))):
        with pytest.raises(KafkaConnectionError):
            await asked
    del unanswered, asked
    assert not reported
