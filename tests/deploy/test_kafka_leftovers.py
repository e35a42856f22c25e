"""Transactions that Kafka calls ended and that are still open somewhere: the next owner of the lane ends them rightly."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.structs import TopicPartition

from deploy import kafka_leftovers, kafka_traces
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_flexible import LONG, SHORT, Kind, ask
from deploy.kafka_leftovers import OFFSETS, _places, group_partition
from deploy.kafka_traces import FORBIDDEN, standings
from deploy.kafka_verdict import Outcome
from deploy.kafka_wire import LATEST, READ_UNCOMMITTED, _offset
from processors.kafka_lane import Origin
from schemas import topics
from schemas.records import LogUnavailable
from tests.contracts.kafka_harness import fresh_topics
from tests.deploy.lane_owners import EVENTS, ROWS, STATE, Lanes, commit, goes_on
from tests.kafka_broker import private_cluster


@pytest.fixture(scope="module")
def unverifying_broker() -> Iterator[Cluster]:
    """One that takes rows of a transaction which its coordinator has not been told of, and so leaves them open."""
    with private_cluster(settings={"transaction.partition.verification.enable": "false"}) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def lanes(unverifying_broker: Cluster) -> AsyncIterator[Lanes]:
    clients = KafkaClients(unverifying_broker.bootstrap)
    await fresh_topics(clients, 1)
    lanes = Lanes(clients)
    lane = await lanes.lane()
    await lane.commit([lanes.row(b"before")], 1)
    await lane.close()
    yield lanes
    await lanes.close()


async def test_what_nobody_has_ended_is_aborted_everywhere(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await lanes.write(dead, lanes.row(b"during", STATE))
    await lanes.write_offset(dead, 2)
    assert await lanes.open_in() == {ROWS, STATE, OFFSETS}
    with caplog.at_level(logging.WARNING):
        await goes_on(lanes, 1, [b"before"])
    assert await lanes.visible(STATE) == []
    said = [record.message for record in caplog.records if "had forgotten" in record.message]
    assert len(said) == 1
    assert f"open in {ROWS} 0 (from offset 2), {STATE} 0 (from offset 0), {OFFSETS}" in said[0]
    assert said[0].endswith("ended: abort")


async def test_rows_whose_offset_was_never_written_are_aborted(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await goes_on(lanes, 1, [b"before"])


async def test_rows_are_committed_as_the_marker_of_other_rows_says(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await commit(await lanes.unended(dead, [lanes.row(b"during", STATE)], 2))
    assert await lanes.open_in() == {ROWS}
    await goes_on(lanes, 2, [b"before", b"during"])


async def test_an_offset_is_committed_as_the_marker_of_its_rows_says(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write_offset(dead, 2)
    await commit(await lanes.unended(dead, [lanes.row(b"during")], None))
    assert await lanes.open_in() == {OFFSETS}
    await goes_on(lanes, 2, [b"before", b"during"])


async def test_rows_alone_follow_the_marker_of_their_offset(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await commit(await lanes.unended(dead, [], 2))
    assert await lanes.open_in() == {ROWS}
    await goes_on(lanes, 2, [b"before", b"during"])


async def test_rows_alone_are_aborted_with_their_offset(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await lanes.unended(dead, [], 2)  # its successor aborts it
    assert await lanes.open_in() == {ROWS}
    await goes_on(lanes, 1, [b"before"])


async def test_rows_follow_an_offset_that_a_later_transaction_has_committed_with_its_own(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await lanes.write_offset(dead, 2)
    later = await lanes.producer()
    later = await lanes.producer()  # so that its markers do not have the epoch of the first one's
    await commit(await lanes.unended(later, [lanes.row(b"later", STATE)], 3))
    assert await lanes.open_in() == {ROWS}
    await goes_on(lanes, 3, [b"before", b"during"])


async def test_two_transactions_that_were_forgotten_are_ended_each_by_its_own_outcome(lanes: Lanes) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await commit(await lanes.unended(dead, [], 2))
    await lanes.write(dead, lanes.row(b"next", STATE))
    await lanes.unended(dead, [], 3)
    assert await lanes.open_in() == {ROWS, STATE}
    await goes_on(lanes, 2, [b"before", b"during"])
    assert await lanes.visible(STATE) == []


async def test_an_offset_left_open_is_no_abort_where_rows_were_committed_before_later_ones_were_aborted(
    lanes: Lanes,
) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await lanes.write_offset(dead, 2)
    await commit(await lanes.unended(dead, [lanes.row(b"during", STATE)], None))
    await lanes.unended(dead, [lanes.row(b"later", STATE)], None)
    assert await lanes.open_in() == {ROWS, OFFSETS}
    await goes_on(lanes, 2, [b"before", b"during"])


async def end_classic(owner: AIOKafkaProducer, group: str, offset: int) -> None:
    await owner.begin_transaction()
    await owner.send_and_wait(STATE, b"state", b"sid", partition=0)
    await owner.send_offsets_to_transaction({TopicPartition(EVENTS, 0): offset}, group)
    await owner.commit_transaction()


async def test_a_lane_is_refused_where_nothing_tells_how_a_classic_transaction_ended(lanes: Lanes) -> None:
    lanes.clients = KafkaClients(lanes.clients.bootstrap, two_steps=False)
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await end_classic(dead, lanes.origin.group, 2)
    said = rf"producer {dead._txn_manager.producer_id}, epoch \d+\) is open in {ROWS} 0 .*MEDIABEAT_UNDECIDED"
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=said):
            await lanes.lane()


@pytest.mark.parametrize(
    ("decided", "rows"), [(Outcome.COMMIT, [b"before", b"during"]), (Outcome.ABORT, [b"before"])], ids=str
)
async def test_an_operator_decides_what_is_refused(lanes: Lanes, decided: Outcome, rows: list[bytes]) -> None:
    lanes.clients = KafkaClients(lanes.clients.bootstrap, two_steps=False)
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await end_classic(dead, lanes.origin.group, 2)
    lanes.clients = KafkaClients(lanes.clients.bootstrap, two_steps=False, undecided=decided)
    await goes_on(lanes, 2, rows)


async def test_an_operator_decides_where_the_log_takes_too_long_to_read(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await commit(await lanes.unended(dead, [], 2))
    monkeypatch.setattr(kafka_leftovers, "READING_SECONDS", 0.0)
    with pytest.raises(LogUnavailable, match="was not found"):
        await lanes.lane()
    lanes.clients = KafkaClients(lanes.clients.bootstrap, undecided=Outcome.COMMIT)
    await goes_on(lanes, 2, [b"before", b"during"])


async def test_a_classic_commit_is_not_taken_for_the_abort_of_the_next_transaction_of_its_epoch(lanes: Lanes) -> None:
    lanes.clients = KafkaClients(lanes.clients.bootstrap, two_steps=False)
    dead = await lanes.producer()
    await lanes.write(dead, lanes.row(b"during"))
    await end_classic(dead, lanes.origin.group, 2)
    await lanes.unended_classic(dead, [lanes.row(b"next", STATE)], 3)  # its successor aborts it
    with pytest.raises(LogUnavailable, match="MEDIABEAT_UNDECIDED"):
        await lanes.lane()


@pytest_asyncio.fixture
async def ordinary(kafka_broker: Cluster) -> AsyncIterator[Lanes]:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 1)
    lanes = Lanes(clients)
    yield lanes
    await lanes.close()


async def ends(lanes: Lanes) -> dict[TopicPartition, int]:
    """Where the lane's places end, markers and what is open among it."""
    producer = await lanes.producer()
    places, offset = await _places(producer, lanes.origin)
    assert len(places) == len(topics.ALL)
    assert offset is not None
    return {tp: await _offset(producer.client, tp, LATEST, READ_UNCOMMITTED) for tp in (*places, offset)}


async def test_where_nothing_is_open_a_lane_opens_with_one_request_more_and_writes_nothing(
    ordinary: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Kind] = []

    def counting(connection: AIOKafkaConnection, kind: Kind, body: Iterable[bytes]) -> "asyncio.Future[bytes]":
        asked.append(kind)
        return ask(connection, kind, body)

    lane = await ordinary.lane()
    await lane.commit([ordinary.row(b"1"), ordinary.row(b"s", STATE)], 1)
    before = await ends(ordinary)
    monkeypatch.setattr(kafka_traces, "ask", counting)
    lane = await ordinary.lane()
    assert await lane.committed() == 1
    assert asked == [kafka_traces.DESCRIBE_PRODUCERS]
    assert await ends(ordinary) == before


async def test_whoever_may_not_ask_is_told_so_once_and_opens_its_lane(
    ordinary: Lanes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidding(connection: AIOKafkaConnection, kind: Kind, body: Iterable[bytes]) -> "asyncio.Future[bytes]":
        async def refused() -> bytes:
            answer = await ask(connection, kind, body)
            return answer.replace(LONG.pack(0) + SHORT.pack(0), LONG.pack(0) + SHORT.pack(FORBIDDEN))

        return asyncio.ensure_future(refused())

    monkeypatch.setattr(kafka_traces, "ask", forbidding)
    monkeypatch.setattr(kafka_traces, "_said", set())
    for offset in (1, 2):
        lane = await ordinary.lane()
        await lane.commit([ordinary.row(b"%d" % offset)], offset)
    said = [record.message for record in caplog.records if record.message.startswith("not looked through")]
    assert len(said) == 1
    assert ROWS in said[0]
    assert said[0].endswith("we may not read them")


async def test_a_lane_opens_on_brokers_too_old_to_be_asked(
    ordinary: Lanes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_traces, "DESCRIBE_PRODUCERS", Kind(9_999, 0))
    monkeypatch.setattr(kafka_traces, "_said", set())
    await ordinary.lane()
    assert "their brokers are too old to say" in caplog.text


async def test_a_group_has_its_offsets_where_we_look_for_them(ordinary: Lanes) -> None:
    producer = await ordinary.producer()
    for name in (
        "g",
        "häuser",
        "polygenelubricants",
        *map(str, range(5)),
    ):  # the third one's hash is Java's least number
        group = f"{name}-{uuid.uuid4().hex}" if name != "polygenelubricants" else name
        lanes = Lanes(ordinary.clients)
        lanes.origin = Origin(group, EVENTS, 0, f"{group}-0")
        producer = await lanes.producer()
        await lanes.unended(producer, [], 1)
        everywhere = [TopicPartition(OFFSETS, partition) for partition in range(3)]
        known = await standings(producer, everywhere)
        assert [tp.partition for tp in everywhere if known[tp].is_open] == [group_partition(group, 3)], group
        await lanes.close()


async def test_a_lane_that_must_number_anew_forgets_where_it_was_when_something_was_open(lanes: Lanes) -> None:
    lane = await lanes.lane()
    await lane.commit([lanes.row(b"1")], 2)
    assert lane._producer is not None
    await lanes.write(lane._producer, lanes.row(b"stray", STATE))
    lane.sequence_limit = -1
    with pytest.raises(LogUnavailable, match="must find out anew"):
        await lane.commit([lanes.row(b"2")], 3)
    await goes_on(lanes, 2, [b"before", b"1"])
    assert await lanes.visible(STATE) == []
