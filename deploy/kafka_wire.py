"""The few requests of Kafka's protocol we send ourselves, and which fetched batches a committed reader may see."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import CorruptRecordException, KafkaError, NoError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1
EARLIEST: Final = -2
LATEST: Final = -1
PARTITION_BYTES: Final = 1024 * 1024
RESPONSE_BYTES: Final = 16 * 1024 * 1024


class Answer(NamedTuple):
    """What a broker said of one partition. `aborted`: (producer id, first offset) of aborted transactions within."""

    error: type[KafkaError] | None
    high_watermark: int
    aborted: list[tuple[int, int]]
    data: bytes
    size: int


async def fetch(
    client: AIOKafkaClient,
    node: int,
    positions: Mapping[TopicPartition, int],
    wait_ms: int,
    isolation: int = READ_COMMITTED,
) -> dict[TopicPartition, Answer]:
    """Up to 1 MiB from each position, or what has come when the wait is over. KafkaError: no answer."""
    topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for tp, offset in positions.items():
        topics[tp.topic].append((tp.partition, offset, PARTITION_BYTES))
    request = FetchRequest(wait_ms, 1, RESPONSE_BYTES, isolation, list(topics.items()))
    response = await client.send(node, request)
    return {
        TopicPartition(topic, partition): _answer(code, high_watermark, response.API_VERSION, rest)
        for topic, partitions in response.topics
        for partition, code, high_watermark, *rest in partitions
    }


def _answer(code: int, high_watermark: int, version: int, rest: list[Any]) -> Answer:
    error = for_code(code)
    # v11: last stable offset, log start offset, aborted, preferred replica, records; v4 to v10: aborted, records last.
    aborted = rest[2] if version >= 11 else rest[-2]
    data = rest[-1] or b""
    return Answer(None if error is NoError else error, high_watermark, list(aborted or ()), data, len(data))


def committed_batches(answer: Answer, offset: int) -> tuple[list[Any], int]:
    """The batches of an answer without control records and aborted ones, and the offset to fetch next.

    The last batch may be cut off; it comes whole with the next answer. CorruptRecordException: a checksum is wrong.
    """
    records = MemoryRecords(answer.data)
    pending = sorted(answer.aborted, key=lambda entry: entry[1], reverse=True)
    aborting: set[int] = set()
    kept = []
    while records.has_next():
        batch = records.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"wrong checksum in the batch at {batch.base_offset}")
        while pending and pending[-1][1] <= batch.base_offset:
            aborting.add(pending.pop()[0])
        offset = max(offset, batch.next_offset)
        if batch.is_control_batch:
            if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                aborting.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in aborting):
            kept.append(batch)
    return kept, offset


async def start(client: AIOKafkaClient, tp: TopicPartition) -> int:
    """The first offset retention has left."""
    return await _offset(client, tp, EARLIEST)


async def end(client: AIOKafkaClient, tp: TopicPartition) -> int:
    """The offset after the last committed record."""
    return await _offset(client, tp, LATEST)


async def committed(client: AIOKafkaClient, tp: TopicPartition, group: str) -> int | None:
    """The offset the group has stored for this partition; None when there is none."""
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    request = OffsetFetchRequest(group, [(tp.topic, [tp.partition])])
    response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
    _raise_for(getattr(response, "error_code", 0))
    offset, _, code = response.topics[0][1][0][1:]
    _raise_for(code)
    return int(offset) if offset >= 0 else None


async def at_time(client: AIOKafkaClient, tp: TopicPartition, time_ms: int) -> int | None:
    """The offset of the first record, a committed one or not, as young as this or younger; None: there is none."""
    offset = await _offset(client, tp, max(0, time_ms), READ_UNCOMMITTED)
    return offset if offset >= 0 else None


async def _offset(client: AIOKafkaClient, tp: TopicPartition, which: int, isolation: int = READ_COMMITTED) -> int:
    node = client.cluster.leader_for_partition(tp)
    if node is None or node < 0:
        raise NotLeaderForPartitionError(f"{tp} has no leader")
    request = OffsetRequest(-1, isolation, [(tp.topic, [(tp.partition, which)])])
    # A broker answers a connection's requests in turn: on that of the fetches this would wait for a long poll to end.
    response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
    _, code, *rest = response.topics[0][1][0]
    _raise_for(code)
    return int(rest[-1])


def _raise_for(code: int) -> None:
    error = for_code(code)
    if error is not NoError:
        raise error
