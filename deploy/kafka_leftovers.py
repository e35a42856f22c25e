"""Closes what a lane's predecessors have left open: Kafka may call a transaction ended that is still open somewhere.

From 4.1 to 4.3.1 at least (KAFKA-20734) the coordinator of transactions takes a partition that has no leader at the
moment for a deleted one. It writes no marker there and forgets it, whether the transaction was committed or aborted.
The next transaction of the same producer id that touches the partition ends both alike: rows that were aborted become
visible with it, and doubled, since the successor has written them again.

So whoever has got its producer, and thereby fenced all others, looks through the lane's places. What is open there
with its own id can be ended by nobody else any more: it is given the end that its offset had.
"""

# ruff: noqa: SLF001  (private names of aiokafka: the tests say when an upgrade moves them)

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaConnectionError, KafkaError, for_code
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest
from aiokafka.structs import TopicPartition

from deploy.kafka_traces import say_once, standings, trace
from deploy.kafka_transaction import AGAIN, LOST
from deploy.kafka_verdict import (
    NEVER,
    Leftover,
    Outcome,
    Standing,
    Written,
    by_log,
    by_open_offset,
    by_standings,
    is_shared,
    leftover,
    offset_since,
    witnesses,
)
from processors.kafka_lane import Origin
from schemas import topics
from schemas.records import LogUnavailable

OFFSETS: Final = "__consumer_offsets"
TOPICS: Final = (*(topic.name for topic in topics.ALL), OFFSETS)
"""Where something of a lane may be open; its producer asks for all their leaders at once."""

SETTLING_SECONDS: Final = 10.0
READING_SECONDS: Final = 10.0
ENDING_SECONDS: Final = 9.0
"""Below the transaction's timeout at the broker."""

PAUSE_SECONDS: Final = 0.02

logger = logging.getLogger(__name__)


async def settle(producer: AIOKafkaProducer, origin: Origin, undecided: Outcome | None = None) -> bool:
    """Look whether anything of this producer's id is open, which has just fenced its predecessors, and end it.

    `undecided`: how to end what cannot be seen to have ended. True: there is nothing. False: something was ended, and
    the producer is of no further use: the next one comes when that is written. LogUnavailable: not all leaders have
    answered in time, or it is not to be seen how to end it.
    """
    name = origin.transactional_id
    try:
        unsaid = f"not all leaders have said whether Kafka has left something open of {name}"
        async with _bound(SETTLING_SECONDS, unsaid):
            left = await _look(producer, origin)
        if left is None:
            return True
        outcome = await _outcome(producer, origin, left, undecided)
        # Once the places are in a transaction of ours, whoever comes next aborts it: this is not cut short.
        async with _bound(ENDING_SECONDS, f"nobody has ended what is open of {name} in {_in_words(left.places)}"):
            await _end(producer, origin, left, outcome)
    except LogUnavailable:
        raise
    except Exception as failure:  # aiokafka asserts too, and an answer may be cut short
        raise LogUnavailable(f"what Kafka has left open of {name}: {failure!r}") from failure
    logger.warning(
        "Kafka had forgotten the end of a transaction of %s (producer %s, epoch %s), which was open in %s; ended: %s",
        *(name, producer._txn_manager.producer_id, left.epoch, _in_words(left.places)),
        outcome.value,
    )
    return False


@asynccontextmanager
async def _bound(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise LogUnavailable(f"{what}, within {seconds:g} s") from late


async def _look(producer: AIOKafkaProducer, origin: Origin) -> Leftover | None:
    """The oldest transaction that is open; None: there is none, or none that we may see."""
    places, offset = await _places(producer, origin)
    known = await standings(producer, [*places, *([offset] if offset else [])])
    hidden = producer.client.cluster.unauthorized_topics
    say_once(hidden, "we may not describe them")
    rows = [known[tp] for tp in places if tp in known]
    whole = len(rows) == len(places) and not hidden - {OFFSETS}
    if offset is None and OFFSETS not in hidden:  # no group has ever had an offset
        return leftover(rows, Standing(TopicPartition(OFFSETS, NEVER)), whole=whole)
    return leftover(rows, known.get(offset) if offset else None, whole=whole)


async def _places(producer: AIOKafkaProducer, origin: Origin) -> tuple[list[TopicPartition], TopicPartition | None]:
    """The lane's partitions that exist, and that of its group's offsets."""
    client = producer.client
    cluster = client.cluster
    await client._maybe_wait_metadata()
    # A topic that is made meanwhile holds nothing yet; but nothing may be missing that is there.
    if OFFSETS not in cluster.unauthorized_topics and not cluster.partitions_for_topic(OFFSETS):
        await client.force_metadata_update()
    while not cluster.partitions_for_topic(origin.topic):
        await asyncio.sleep(PAUSE_SECONDS)
        await client.force_metadata_update()
    lanes = [TopicPartition(topic.name, origin.partition) for topic in topics.ALL]
    count = len(cluster.partitions_for_topic(OFFSETS) or ())
    offset = TopicPartition(OFFSETS, group_partition(origin.group, count)) if count else None
    return [tp for tp in lanes if tp.partition in (cluster.partitions_for_topic(tp.topic) or ())], offset


def group_partition(group: str, count: int) -> int:
    """Where Kafka keeps a group's offsets: by Java's hash of its name."""
    code = 0
    data = group.encode("utf-16-be")
    for high, low in zip(data[::2], data[1::2], strict=True):
        code = (31 * code + (high << 8 | low)) & 0xFFFFFFFF
    size = code if code < 1 << 31 else (1 << 32) - code
    return size % count if size < 1 << 31 else 0


async def _outcome(producer: AIOKafkaProducer, origin: Origin, left: Leftover, undecided: Outcome | None) -> Outcome:
    """How it ended, by what can be seen. LogUnavailable: nothing tells."""
    try:
        async with _bound(READING_SECONDS, f"how a transaction of {origin.transactional_id} ended was not found"):
            outcome = by_standings(left) or await _by_witnesses(producer, left) or by_open_offset(left) or undecided
    except LogUnavailable:  # a log that may tell is too long to be read
        if undecided is None:
            raise
        return undecided
    if outcome is not None:
        return outcome
    number = producer._txn_manager.producer_id
    raise LogUnavailable(
        f"a transaction of {origin.transactional_id} (producer {number}, epoch {left.epoch}) is open in "
        f"{_in_words(left.places)}, and whether it was committed is not to be seen"
        f"{'' if left.offset and left.whole else ', since we may not read every topic'}: decide it yourself, and start "
        "this worker with MEDIABEAT_UNDECIDED=commit or =abort"
    )


async def _by_witnesses(producer: AIOKafkaProducer, left: Leftover) -> Outcome | None:
    for witness, since in witnesses(left):
        outcome = by_log(left, witness, await _written(producer, witness.tp, since, left.epoch))
        if outcome is Outcome.ABORT and witness is not left.offset:
            if left.offset is None:
                return None
            if left.offset.tp.partition != NEVER:
                offsets = await _written(producer, left.offset.tp, offset_since(left), left.epoch)
                outcome = None if is_shared(offsets, left.epoch) else outcome
        if outcome is not None:
            return outcome
    return None


async def _written(producer: AIOKafkaProducer, tp: TopicPartition, since: int, epoch: int) -> list[Written]:
    """All of the producer's, to the first marker of a later epoch."""
    written: list[Written] = []
    async for batch in trace(producer.client, tp, producer._txn_manager.producer_id, since):
        written.append(batch)
        if batch.marker is not None and batch.epoch > epoch:
            break
    return written


async def _end(producer: AIOKafkaProducer, origin: Origin, left: Leftover, outcome: Outcome) -> None:
    """Make the places part of a transaction of ours, and end that: markers are written by producer id."""
    transactions = producer._txn_manager
    name = origin.transactional_id
    identity = name, transactions.producer_id, transactions.producer_epoch
    rows = [place.tp for place in left.places if place is not left.offset]
    if rows:
        by_topic = [(tp.topic, [tp.partition]) for tp in rows]
        await _surely(producer, name, AddPartitionsToTxnRequest(*identity, by_topic), _codes_of_partitions)
    if len(rows) < len(left.places):
        await _surely(producer, name, AddOffsetsToTxnRequest(*identity, origin.group), _code)
    await _surely(producer, name, EndTxnRequest(*identity, outcome is Outcome.COMMIT), _code)


async def _surely(
    producer: AIOKafkaProducer, name: str, request: Any, codes_of: Callable[[Any], Iterable[int]]
) -> None:
    """Ask the coordinator until it has done it. All that we ask may be asked twice. KafkaError: it will not."""
    while True:
        try:
            node = await producer._sender._find_coordinator(CoordinationType.TRANSACTION, name)
            failed = set(codes_of(await producer.client.send(node, request))) - {0}
        except KafkaError as failure:
            if not failure.retriable and not isinstance(failure.__cause__, KafkaConnectionError):
                raise
            failed = {LOST}
        if not failed:
            return
        if failed - AGAIN:
            raise for_code(min(failed - AGAIN))(f"{type(request).__name__} of {name}")
        producer._sender._coordinator_dead(CoordinationType.TRANSACTION)
        await asyncio.sleep(PAUSE_SECONDS)


def _codes_of_partitions(response: Any) -> Iterable[int]:
    return (code for _, code in chain.from_iterable(partitions for _, partitions in response.errors))


def _code(response: Any) -> Iterable[int]:
    return (response.error_code,)


def _in_words(places: Iterable[Standing]) -> str:
    return ", ".join(f"{place.tp.topic} {place.tp.partition} (from offset {place.open_from})" for place in places)
