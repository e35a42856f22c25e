"""The owners of one lane, one after the other, some of whom die before their transaction is ended."""

import asyncio
import uuid
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import TxnOffsetCommitRequest
from aiokafka.structs import TopicPartition

from deploy.kafka_client import KafkaClients
from deploy.kafka_fetch import Tail
from deploy.kafka_leftovers import _places
from deploy.kafka_producer import fitting
from deploy.kafka_traces import standings
from deploy.kafka_transaction import Transaction
from processors.kafka_lane import KafkaLane, Origin
from schemas import topics
from schemas.records import Record
from tests.contracts.kafka_harness import committed_records

ROWS, STATE, EVENTS = topics.SESSION_CLOSE.name, topics.STATE.name, topics.EVENTS.name


class Lanes:
    """The owners of one partition, one after the other, and what Kafka holds of theirs."""

    def __init__(self, clients: KafkaClients, partition: int = 0) -> None:
        name = uuid.uuid4().hex
        self.clients, self.tail = clients, Tail(clients)
        self.origin = Origin(name, EVENTS, partition, f"{name}-{partition}")
        self._producers: list[AIOKafkaProducer] = []
        self._lanes: list[KafkaLane] = []

    def row(self, value: bytes, topic: str = ROWS) -> Record:
        return Record(topic, self.origin.partition, b"sid", value)

    async def producer(self) -> AIOKafkaProducer:
        """One that fences, and does not look whether anything is open."""
        producer = await self.clients.producer(self.origin.transactional_id)
        self._producers.append(producer)
        return producer

    async def lane(self) -> KafkaLane:
        lane = KafkaLane(self.clients, self.tail, self.origin)
        await lane.open()
        self._lanes.append(lane)
        return lane

    async def open_in(self) -> set[str]:
        """The topics in which something is open. It asks for a producer, and so fences."""
        producer = await self.producer()
        places, offset = await _places(producer, self.origin)
        known = await standings(producer, [*places, *([offset] if offset else [])])
        return {tp.topic for tp, standing in known.items() if standing.is_open}

    async def visible(self, topic: str = ROWS) -> list[bytes | None]:
        return [record.value for record in await committed_records(self.clients, topic, self.origin.partition)]

    async def close(self) -> None:
        for producer in self._producers:
            await self.clients.discard(producer)
        for lane in self._lanes:
            await lane.close()
        await self.tail.close()

    # What follows is written by hand, as an owner does that dies before its transaction is ended.

    async def write(self, producer: AIOKafkaProducer, record: Record) -> None:
        """A row of a transaction of which the coordinator does not know that it is in this partition."""
        builder, _ = fitting(producer, [record], 0)
        transactions = producer._txn_manager
        builder._set_producer_state(transactions.producer_id, transactions.producer_epoch, 0)
        places = [(record.topic, [(record.partition, bytes(builder._build()))])]
        request = ProduceRequest(self.origin.transactional_id, -1, 5_000, places)
        leader = producer.client.cluster.leader_for_partition(TopicPartition(record.topic, record.partition))
        response = await producer.client.send(leader, request)
        assert response.topics[0][1][0][1] == 0

    async def write_offset(self, producer: AIOKafkaProducer, offset: int) -> None:
        """As `write`."""
        transactions, origin = producer._txn_manager, self.origin
        coordinator = await producer.client.coordinator_lookup(0, origin.group)
        request = TxnOffsetCommitRequest(
            origin.transactional_id,
            origin.group,
            transactions.producer_id,
            transactions.producer_epoch,
            [(origin.topic, [(origin.partition, offset, "")])],
        )
        async with asyncio.timeout(20):
            while (await producer.client.send(coordinator, request)).errors[0][1][0][1]:  # noqa: ASYNC110  it has only begun
                await asyncio.sleep(0.02)

    async def unended_classic(self, producer: AIOKafkaProducer, records: Iterable[Record], offset: int) -> None:
        await producer.begin_transaction()
        for record in records:
            await producer.send_and_wait(record.topic, record.value, record.key, partition=record.partition)
        place = TopicPartition(self.origin.topic, self.origin.partition)
        await producer.send_offsets_to_transaction({place: offset}, self.origin.group)

    async def unended(self, producer: AIOKafkaProducer, records: Iterable[Record], offset: int | None) -> Transaction:
        """A transaction that is written, and not ended yet. No offset: it does not get there."""
        transaction = Transaction(producer, self.origin, offset or 0)
        transaction._batches = list(transaction._batched(list(records)))
        transaction._offset_is_due = offset is not None
        while transaction._batches or transaction._offset_is_due:
            await transaction._again_if_need_be(await transaction._written())
        return transaction


async def commit(transaction: Transaction) -> None:
    while not await transaction._committed():
        pass


async def goes_on(lanes: Lanes, offset: int, rows: list[bytes]) -> None:
    """Whoever comes next finds this offset, leaves nothing open, and what it commits makes nothing else visible."""
    lane = await lanes.lane()
    assert await lane.committed() == offset
    assert await lanes.open_in() == set()
    lane = await lanes.lane()
    await lane.commit([lanes.row(b"after")], offset + 1)
    await lanes.lane()  # which waits until that is written
    assert await lanes.visible() == [*rows, b"after"]
