"""What brokers know of a producer: how it stands in a partition (DescribeProducers), and what it has written there."""

# ruff: noqa: SLF001  (private names of aiokafka: the tests say when an upgrade moves them)

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import for_code
from aiokafka.record.control_record import COMMIT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from deploy.kafka_flexible import LONG, NO_TAGS, QUAD, SHORT, Kind, Reader, ask, counted, give_up, text
from deploy.kafka_transaction import LOST
from deploy.kafka_verdict import Outcome, Standing, Written
from deploy.kafka_wire import READ_UNCOMMITTED, at_time, fetch
from schemas.records import LogUnavailable

DESCRIBE_PRODUCERS: Final = Kind(61, 0)
ANSWER_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 0.05
TRACE_BYTES: Final = 64 * 1024 * 1024
"""So much of one partition is read, and no more: half an hour of offsets of a hundred transactions a second."""

FORBIDDEN: Final = 29
UNKNOWN: Final = 35
AGAIN: Final = frozenset({3, 5, 6, 7, LOST, 14, 15, 16, 56, 74, 75, 76})
"""No such leader here (yet), no answer, loading, storage, an older or newer leader."""

logger = logging.getLogger(__name__)
_said: Final[set[str]] = set()


async def standings(producer: AIOKafkaProducer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Standing]:
    """How this producer's id stands in these places, one request to each leader; without those we may not ask about.

    Asks until every leader has answered. LogUnavailable: one says that it cannot tell.
    """
    number = producer._txn_manager.producer_id
    known: dict[TopicPartition, Standing] = {}
    unseen: dict[int, set[str]] = {FORBIDDEN: set(), UNKNOWN: set()}
    waiting = set(places)
    while waiting:
        for tp, (code, standing) in (await _asked(producer.client, number, waiting)).items():
            if code == 0:
                known[tp] = standing
            elif code in unseen:
                unseen[code].add(tp.topic)
            elif code in AGAIN:
                continue
            else:
                raise LogUnavailable(f"error {code} ({for_code(code).__name__}) from the producers of {tp}")
            waiting.discard(tp)
        if waiting:
            await asyncio.sleep(PAUSE_SECONDS)
            await producer.client.force_metadata_update()
    say_once(unseen[FORBIDDEN], "we may not read them")
    say_once(unseen[UNKNOWN], "their brokers are too old to say")
    return known


def say_once(unseen: set[str], reason: str) -> None:
    """These topics are not looked at, and that is so for every lane."""
    if new := sorted(unseen - _said):
        _said.update(new)
        logger.warning("not looked through for transactions that Kafka has left open: %s; %s", ", ".join(new), reason)


async def _asked(
    client: AIOKafkaClient, number: int, places: set[TopicPartition]
) -> dict[TopicPartition, tuple[int, Standing]]:
    """A code and a standing for each; the code of no answer where there was none."""
    led: dict[int, list[TopicPartition]] = defaultdict(list)
    for tp in places:
        led[client.cluster.leader_for_partition(tp)].append(tp)
    found = {tp: (LOST, Standing(tp)) for tp in places}
    asked: list[tuple[AIOKafkaConnection, asyncio.Future[bytes]]] = []
    for leader, its_places in led.items():
        connection = None if leader in {None, -1} else await client._get_conn(leader)
        if connection is None:
            continue
        if DESCRIBE_PRODUCERS.api not in connection._versions:
            found |= {tp: (UNKNOWN, Standing(tp)) for tp in its_places}
        else:
            asked.append((connection, ask(connection, DESCRIBE_PRODUCERS, _question(its_places))))
    if asked:
        await asyncio.wait([answer for _, answer in asked], timeout=ANSWER_SECONDS)
    for connection, answer in asked:
        if not answer.done():
            give_up(connection)
        elif not answer.cancelled() and answer.exception() is None:
            found |= _read(Reader(answer.result()), number)
    return found


def _question(places: Sequence[TopicPartition]) -> Iterator[bytes]:
    by_topic: dict[str, list[int]] = defaultdict(list)
    for tp in places:
        by_topic[tp.topic].append(tp.partition)
    yield counted(len(by_topic))
    for topic, partitions in by_topic.items():
        yield text(topic) + counted(len(partitions))
        yield b"".join(map(LONG.pack, partitions)) + NO_TAGS
    yield NO_TAGS


def _read(reader: Reader, number: int) -> Mapping[TopicPartition, tuple[int, Standing]]:
    found = {}
    reader.skip(LONG.size)  # throttled
    for _ in range(reader.count()):
        topic = reader.text()
        for _ in range(reader.count()):
            tp = TopicPartition(topic, reader.number(LONG))
            code, standing = reader.number(SHORT), Standing(tp)
            reader.text()
            for _ in range(reader.count()):
                whose = reader.number(QUAD)
                epoch, sequence, last_at = reader.number(LONG), reader.number(LONG), reader.number(QUAD)
                reader.skip(LONG.size)  # the coordinator's epoch
                open_from = reader.number(QUAD)
                reader.tags()
                if whose == number:
                    standing = Standing(tp, epoch, sequence, last_at, open_from)
            reader.tags()
            found[tp] = code, standing
        reader.tags()
    return found


async def trace(client: AIOKafkaClient, tp: TopicPartition, number: int, since: int) -> AsyncIterator[Written]:
    """What this producer has written there since then (ms), in order, to the end. KafkaError.

    LogUnavailable: the end is too far away.
    """
    position = await at_time(client, tp, since)
    size = 0
    while position is not None:
        node = client.cluster.leader_for_partition(tp)
        answer = (await fetch(client, node, {tp: position}, 100, READ_UNCOMMITTED))[tp]
        if answer.error is not None:
            raise answer.error(f"reading {tp}")
        records = MemoryRecords(answer.data)
        while records.has_next():
            batch = records.next_batch()
            position = max(position, batch.next_offset)
            if batch.producer_id == number:
                yield Written(batch.producer_epoch, _kind(next(batch).key) if batch.is_control_batch else None)
        if position >= answer.high_watermark:
            return
        size += answer.size
        if size > TRACE_BYTES:
            raise LogUnavailable(f"{tp} holds more than {TRACE_BYTES >> 20} MiB since the transaction in question")


def _kind(key: bytes) -> Outcome:
    return Outcome.COMMIT if ControlRecord.parse(key) == COMMIT_MARKER else Outcome.ABORT
