"""A lane's transaction in two steps: rows and offset, then the commit. For brokers whose `transaction.version` is 2.

There a partition joins a transaction by being written to, and each commit gives the producer a new epoch, so what is
late of one transaction can never get into the next (KIP-890). aiokafka speaks the older form: two more requests, each
awaited, and one more task for each of them. That took a quarter of a worker's time at twelve lanes, and most of the
time from a record to its committed row.

What may be asked again is asked again, with the same epoch and sequence numbers: the broker takes it once. Whatever
else goes wrong is raised, and the producer is of no further use: its successor aborts what it has left open.
"""

# ruff: noqa: SLF001  (private names of aiokafka: the tests say when an upgrade moves them)

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from weakref import WeakSet

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import InvalidProducerEpoch, KafkaConnectionError, KafkaError, ProducerClosed, for_code
from aiokafka.structs import TopicPartition

from deploy.kafka_flexible import LONG, NO_TAGS, NULL, QUAD, SHORT, Kind, Reader, ask, counted, features, give_up, text
from deploy.kafka_producer import fitting
from processors.kafka_lane import Origin
from schemas.records import Record, by_partition

PRODUCE: Final = Kind(0, 12)
END: Final = Kind(26, 5)
COMMIT_OFFSETS: Final = Kind(28, 5)
TWO_STEPS: Final = 2
"""The level of the feature `transaction.version` from which on this is how it is done."""

ANSWER_SECONDS: Final = 3.0
"""After so long a connection is given up, and the same is asked on another: its broker may stand still."""

SHORTEST_PAUSE_SECONDS: Final = 0.002
LONGEST_PAUSE_SECONDS: Final = 0.2

DONE: Final = frozenset({0, 46})  # 46: a repeat of what it has
FENCED: Final = frozenset({47, 90})  # invalid producer epoch, producer fenced
ELSEWHERE: Final = frozenset({3, 5, 6, 13, 56})  # no such topic or leader here, network, storage
COORDINATED_ELSEWHERE: Final = frozenset({15, 16})
AGAIN: Final = ELSEWHERE | COORDINATED_ELSEWHERE | {7, 14, 19, 20, 51}
"""And: timed out, coordinator loading, too few replicas (before or after), the transaction before is being written."""

_speaking: Final[WeakSet[AIOKafkaProducer]] = WeakSet()


class Batch(NamedTuple):
    """Records of one partition as the broker keeps them."""

    tp: TopicPartition
    data: bytes


class Said(NamedTuple):
    """A broker's code of one thing it was asked for, `place` in words."""

    place: str
    code: int


async def learn(producer: AIOKafkaProducer) -> None:
    """Find out whether its brokers know transactions in two steps. Before its first one; KafkaError: no answer."""
    client = producer.client
    coordinator = await _coordinator(producer, CoordinationType.TRANSACTION, producer._txn_manager.transactional_id)
    connection = await client._get_conn(coordinator)
    if connection is None:
        raise KafkaConnectionError("no connection to the coordinator of transactions")
    known = all(
        connection._versions.get(kind.api, (0, 0))[1] >= kind.version for kind in (PRODUCE, END, COMMIT_OFFSETS)
    )
    if known and (await features(connection)).get("transaction.version", 0) >= TWO_STEPS:
        _speaking.add(producer)


async def transact(producer: AIOKafkaProducer, records: Sequence[Record], origin: Origin, next_offset: int) -> bool:
    """Write these and the offset, all or nothing; return when it is committed. False, and nothing done: unknown here.

    InvalidProducerEpoch: there is a successor. Any other error: the outcome is unknown.
    """
    if producer not in _speaking:
        return False
    await Transaction(producer, origin, next_offset).run(records)
    return True


class Transaction:
    """One transaction of a producer, from its first request until its commit is certain."""

    def __init__(self, producer: AIOKafkaProducer, origin: Origin, next_offset: int) -> None:
        self._producer = producer
        self._origin = origin
        self._next_offset = next_offset
        self._transactions = producer._txn_manager
        self._name = producer._txn_manager.transactional_id
        self._pause = SHORTEST_PAUSE_SECONDS
        self._batches: list[Batch] = []
        self._offset_is_due = True

    async def run(self, records: Sequence[Record]) -> None:
        self._batches = list(self._batched(records))
        while self._batches or self._offset_is_due:
            await self._again_if_need_be(await self._written())
        while not await self._committed():
            pass

    def _batched(self, records: Sequence[Record]) -> Iterator[Batch]:
        identity = self._transactions.producer_id, self._transactions.producer_epoch
        for place, its_records in by_partition(records).items():
            sent = 0
            while sent < len(its_records):
                builder, behind = fitting(self._producer, its_records, sent)
                builder._set_producer_state(*identity, sent)
                yield Batch(TopicPartition(*place), bytes(builder._build()))
                sent = behind

    async def _written(self) -> list[Said]:
        """Ask for all that is still to be written; what is said of each."""
        asked = [(batches, *await self._produce(leader, batches)) for leader, batches in (await self._led()).items()]
        offset = await self._commit_offset() if self._offset_is_due else None
        await _answered([*((connection, answer) for _, connection, answer in asked), *([offset] if offset else [])])
        # A failed batch does not stop a commit: offset kept, rows lost. So every outcome is seen before it.
        said = []
        for batches, _, answer in asked:
            taken = _produced(answer)
            for batch in batches:
                code = taken.get(batch.tp, LOST)
                said.append(Said(f"{batch.tp.topic} {batch.tp.partition}", code))
                if code in DONE:
                    self._batches.remove(batch)
        if offset is not None:
            code = _offset_committed(offset[1])
            said.append(Said("the offset", code))
            self._offset_is_due = code not in DONE
        return said

    async def _led(self) -> dict[int | None, list[Batch]]:
        """The first batch of each partition, by leader: the next one may only follow when this one is there."""
        first: dict[TopicPartition, Batch] = {}
        for batch in self._batches:
            first.setdefault(batch.tp, batch)
        led: dict[int | None, list[Batch]] = defaultdict(list)
        cluster = self._producer.client.cluster
        for tp, batch in first.items():
            if not cluster.partitions_for_topic(tp.topic):
                await self._producer.client._wait_on_metadata(tp.topic)
            led[cluster.leader_for_partition(tp)].append(batch)
        return led

    async def _produce(self, leader: int | None, batches: Sequence[Batch]) -> "_Asked":
        terms = SHORT.pack(-1) + LONG.pack(self._producer._sender._request_timeout_ms)
        body = (text(self._name), terms, *_topics(batches), NO_TAGS)
        return await self._ask(leader, PRODUCE, body)

    async def _commit_offset(self) -> "_Asked":
        origin = self._origin
        coordinator = await _coordinator(self._producer, CoordinationType.GROUP, origin.group)
        nobody = LONG.pack(-1) + text("") + NULL  # generation, member, instance: the epoch fences, not the group
        place = counted(1) + text(origin.topic) + counted(1) + LONG.pack(origin.partition)
        value = QUAD.pack(self._next_offset) + LONG.pack(-1) + text("")  # no leader's epoch, no comment
        body = (text(self._name), text(origin.group), self._identity(), nobody, place, value, NO_TAGS * 3)
        return await self._ask(coordinator, COMMIT_OFFSETS, body)

    async def _committed(self) -> bool:
        """Ask for the commit. True: it is certain, and the producer has its next epoch."""
        coordinator = await _coordinator(self._producer, CoordinationType.TRANSACTION, self._name)
        body = (text(self._name), self._identity(), b"\1", NO_TAGS)
        asked = await self._ask(coordinator, END, body)
        await _answered([asked])
        reader = _reader_of(asked[1])
        if reader is not None:
            reader.skip(LONG.size)
        code = LOST if reader is None else reader.number(SHORT)
        await self._again_if_need_be([Said("the commit", code)])
        if reader is None or code:
            return False
        transactions = self._transactions
        transactions._pid_and_epoch = type(transactions._pid_and_epoch)(reader.number(QUAD), reader.number(SHORT))
        transactions._sequence_numbers.clear()
        return True

    def _identity(self) -> bytes:
        return QUAD.pack(self._transactions.producer_id) + SHORT.pack(self._transactions.producer_epoch)

    async def _ask(self, node: int | None, kind: Kind, body: Iterable[bytes]) -> "_Asked":
        connection = None if node is None else await self._producer.client._get_conn(node)
        if connection is not None and self._producer._closed:  # opened after all others were closed
            connection.close()
        self._unless_discarded()
        if connection is not None:
            return connection, ask(connection, kind, body)
        nowhere: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        nowhere.cancel()
        return None, nowhere

    async def _again_if_need_be(self, said: Sequence[Said]) -> None:
        """Return when what has failed may be asked again. KafkaError, which names the place, when it may not."""
        failed = {code for _, code in said if code not in DONE}
        if failed & FENCED:
            raise InvalidProducerEpoch("there is a successor")
        for place, code in said:
            if code not in DONE | AGAIN:
                raise for_code(code)(f"error {code} from {place}")
        if failed:
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._unless_discarded()  # its client would look for brokers for ever
        if failed & COORDINATED_ELSEWHERE or LOST in failed:
            self._producer._sender._coordinator_dead(CoordinationType.GROUP)
            self._producer._sender._coordinator_dead(CoordinationType.TRANSACTION)
        if failed & ELSEWHERE:
            await self._producer.client.force_metadata_update()

    def _unless_discarded(self) -> None:
        if self._producer._closed:
            raise ProducerClosed


LOST: Final = 13
"""The code of no answer."""

_Asked = tuple[AIOKafkaConnection | None, "asyncio.Future[bytes]"]


async def _coordinator(producer: AIOKafkaProducer, kind: CoordinationType, key: str) -> int | None:
    """None: the connection broke on which it was looked up, and it may be looked up again."""
    try:
        found: int = await producer._sender._find_coordinator(kind, key)
    except KafkaError as failure:
        if isinstance(failure.__cause__, KafkaConnectionError):
            return None
        raise
    return found


async def _answered(asked: Sequence[_Asked]) -> None:
    """Wait for these answers; a connection that gives none in time is given up, and so says that there is none."""
    waiting = {answer for _, answer in asked if not answer.done()}
    if waiting:
        await asyncio.wait(waiting, timeout=ANSWER_SECONDS)
    for connection, answer in asked:
        if connection is not None and not answer.done():
            give_up(connection)


def _topics(batches: Sequence[Batch]) -> Iterator[bytes]:
    by_topic: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_topic[batch.tp.topic].append(batch)
    yield counted(len(by_topic))
    for topic, its_batches in by_topic.items():
        yield text(topic) + counted(len(its_batches))
        for tp, data in its_batches:
            yield LONG.pack(tp.partition) + counted(len(data))
            yield data
            yield NO_TAGS
        yield NO_TAGS


def _reader_of(answer: "asyncio.Future[bytes]") -> Reader | None:
    """None: there is no answer."""
    return None if answer.cancelled() or answer.exception() is not None else Reader(answer.result())


def _produced(answer: "asyncio.Future[bytes]") -> dict[TopicPartition, int]:
    """The codes by partition."""
    reader = _reader_of(answer)
    codes: dict[TopicPartition, int] = {}
    for _ in range(reader.count() if reader else 0):
        assert reader is not None
        topic = reader.text()
        for _ in range(reader.count()):
            partition = reader.number(LONG)
            codes[TopicPartition(topic, partition)] = reader.number(SHORT)
            reader.skip(3 * QUAD.size)  # offset, time, first offset
            for _ in range(reader.count()):  # which records, and why
                reader.skip(LONG.size)
                reader.text()
                reader.tags()
            reader.text()
            reader.tags()
        reader.tags()
    return codes


def _offset_committed(answer: "asyncio.Future[bytes]") -> int:
    reader = _reader_of(answer)
    if reader is None:
        return LOST
    reader.skip(LONG.size)
    reader.count()
    reader.text()
    reader.count()
    reader.skip(LONG.size)
    return reader.number(SHORT)
