"""Sends a door's batches at once, in one request to each leader. Whatever goes wrong is aiokafka's to mend.

aiokafka leads every batch over two queues, three tasks and a dozen futures, which costs a door as much as dozens of
events. Here a request is bytes, one future and one timer. It carries the producer id and the sequence numbers that
aiokafka would have given it, so its sender may send the same batches again: the broker takes each once.
"""

# ruff: noqa: SLF001  (private names of aiokafka: the tests say when an upgrade moves them)

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from struct import Struct
from typing import Any, Final, Generic, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.structs import TopicPartition

from deploy.kafka_flexible import HEAD, LONG, PlainHead, give_up
from deploy.kafka_producer import filled, heard_task
from schemas.records import Record

PRODUCE: Final = 0
VERSION: Final = 7

_TERMS: Final = Struct(">hhii")  # no transaction, acks, milliseconds, topics
_PARTITION: Final = Struct(">ii")  # its number, bytes
_OUTCOME: Final = Struct(">ihqqq")  # partition, error code, offset, time, first offset


class HasRecords(Protocol):
    """Records of one partition, at least one."""

    @property
    def records(self) -> Sequence[Record]: ...


Batch = TypeVar("Batch", bound=HasRecords)


def send_at_once(
    producer: AIOKafkaProducer, batches: Sequence[Batch], answered: Callable[[Batch, BaseException | None], None]
) -> list[Batch]:
    """Write these batches, at most one of a partition, to their leaders; those that cannot go so are returned.

    `answered` is called once for each of the others: with None when it is durable.
    """
    sender, accumulator = producer._sender, producer._message_accumulator
    if producer._closed or accumulator._batches or accumulator._exception is not None or sender.sender_task.done():
        return list(batches)
    led: dict[int | None, list[tuple[TopicPartition, Batch]]] = {}
    left = []
    for batch in batches:
        tp = TopicPartition(*batch.records[0][:2])
        if tp in sender._muted_partitions:  # a request to the leader before this one is not over
            left.append(batch)
        else:
            led.setdefault(producer.client.cluster.leader_for_partition(tp), []).append((tp, batch))
    for leader, group in led.items():
        connection = producer.client._conns.get((leader, ConnectionGroup.DEFAULT))
        if leader in sender._in_flight or connection is None or not _speaks(connection):
            left += [batch for _, batch in group]
        else:
            assert leader is not None
            _Request(producer, leader, answered).send(connection, group)
    return left


def _speaks(connection: AIOKafkaConnection) -> bool:
    least, most = connection._versions.get(PRODUCE, (0, -1))
    return bool(least <= VERSION <= most and connection.connected())


class _Request(Generic[Batch]):
    """One request to a leader, from its sending until all its batches are answered.

    To its connection it is the future of the answer: told at once, where a future would tell after a turn of the loop.
    """

    __slots__ = ("_answered", "_batches", "_is_over", "_leader", "_producer", "_timer")

    def __init__(
        self, producer: AIOKafkaProducer, leader: int, answered: Callable[[Batch, BaseException | None], None]
    ) -> None:
        self._producer = producer
        self._leader = leader
        self._answered = answered
        self._batches: list[tuple[TopicPartition, Batch, BatchBuilder]] = []
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def send(self, connection: AIOKafkaConnection, group: Sequence[tuple[TopicPartition, Batch]]) -> None:
        sender = self._producer._sender
        for tp, batch in group:
            try:
                self._batches.append((tp, batch, self._numbered(tp, batch)))
            except Exception as failure:  # noqa: BLE001 - a record that fits into no batch costs its own batch alone
                self._answered(batch, failure)
        if not self._batches:
            return
        # aiokafka's sender leaves alone what is marked so.
        sender._in_flight.add(self._leader)
        sender._muted_partitions.update(tp for tp, _, _ in self._batches)
        number = connection._next_correlation_id()
        built = [(tp, builder._build()) for tp, _, builder in self._batches]
        data = encoded(number, connection._client_id, sender._acks, sender._request_timeout_ms, built)
        connection._requests.append((number, _Answer, self))
        late = partial(give_up, connection)
        self._timer = asyncio.get_running_loop().call_later(sender._request_timeout_ms / 1000, late)
        try:
            connection._writer.write(data)
        except (OSError, RuntimeError):  # the latter is uvloop's, of a connection lost in this turn of the loop
            connection.close(CloseReason.CONNECTION_BROKEN)

    def _numbered(self, tp: TopicPartition, batch: Batch) -> BatchBuilder:
        transactions = self._producer._txn_manager
        builder = filled(self._producer, batch.records)
        sequence = transactions.sequence_number(tp)
        transactions.increment_sequence_number(tp, len(batch.records))
        builder._set_producer_state(transactions.producer_id, transactions.producer_epoch, sequence)
        return builder

    def done(self) -> bool:
        return self._is_over

    def set_result(self, taken: int) -> None:
        """The broker has answered that it has so many of the batches."""
        self._end()
        if taken == len(self._batches):
            self._leave()
            for _, batch, _ in self._batches:
                self._answered(batch, None)
        else:
            self._again_unless_over(KafkaError("an error in the answer to a producer that ends"))

    def set_exception(self, failure: BaseException) -> None:
        """There will be no answer."""
        self._end()
        self._again_unless_over(failure)

    def _end(self) -> None:
        self._is_over = True
        assert self._timer is not None
        self._timer.cancel()

    def _again_unless_over(self, failure: BaseException) -> None:
        if self._producer._closed or self._producer._sender.sender_task.done():
            self._leave()
            for _, batch, _ in self._batches:
                self._answered(batch, failure)
        else:
            self._again()

    def _again(self) -> None:
        """Let aiokafka's sender ask the same once more, and go on until each batch has a verdict."""
        accumulator, sender = self._producer._message_accumulator, self._producer._sender
        given = {}
        for tp, batch, builder in self._batches:
            again = given[tp] = MessageBatch(tp, builder, accumulator._batch_ttl, 0)
            again.drain_ready()
            accumulator._pending_batches.add(again)
            again.future.add_done_callback(partial(self._told, again, batch))
        asking = heard_task(sender._send_produce_req(self._leader, given))
        asking.add_done_callback(partial(self._asked, list(given.values())))

    def _asked(self, batches: Sequence[MessageBatch], asking: "asyncio.Task[Any]") -> None:
        """What is not answered when it has ended so never will be: by a bug of aiokafka's, or by `discard`."""
        if asking.cancelled() or asking.exception() is not None:
            for batch in batches:
                batch.failure(KafkaError("its request has failed") if asking.cancelled() else asking.exception())
        self._wake()

    def _told(self, again: MessageBatch, batch: Batch, verdict: "asyncio.Future[Any]") -> None:
        self._producer._message_accumulator._pending_batches.discard(again)
        self._answered(batch, asyncio.CancelledError() if verdict.cancelled() else verdict.exception())

    def _leave(self) -> None:
        sender = self._producer._sender
        sender._in_flight.discard(self._leader)
        sender._muted_partitions.difference_update(tp for tp, _, _ in self._batches)
        self._wake()

    def _wake(self) -> None:
        """Tell aiokafka's sender that what waits for this leader may go."""
        accumulator = self._producer._message_accumulator
        if accumulator._batches and not accumulator._waiter_future.done():
            accumulator._waiter_future.set_result(None)


def encoded(
    number: int, client: str, acks: int, timeout_ms: int, batches: Sequence[tuple[TopicPartition, bytes]]
) -> bytes:
    """A produce request, with the length before it."""
    by_topic: dict[str, list[bytes]] = {}
    for tp, data in batches:
        by_topic.setdefault(tp.topic, []).append(_PARTITION.pack(tp.partition, len(data)) + data)
    pieces = [HEAD.pack(PRODUCE, VERSION, number), _text(client), _TERMS.pack(-1, acks, timeout_ms, len(by_topic))]
    for topic, partitions in by_topic.items():
        pieces += [_text(topic), LONG.pack(len(partitions)), *partitions]
    request = b"".join(pieces)
    return LONG.pack(len(request)) + request


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


class _Taken:
    @staticmethod
    def decode(data: BytesIO) -> int:
        return taken(data.read())


class _Answer(PlainHead):
    RESPONSE_TYPE = _Taken


def taken(answer: bytes) -> int:
    """How many batches a produce answer says are durable; 0 when it says an error of any."""
    count = 0
    (topics,) = LONG.unpack_from(answer)
    at = 4
    for _ in range(topics):
        at += 2 + int.from_bytes(answer[at : at + 2], "big")
        (partitions,) = LONG.unpack_from(answer, at)
        behind = at + 4 + partitions * _OUTCOME.size
        for _, code, *_ in _OUTCOME.iter_unpack(answer[at + 4 : behind]):
            if code:
                return 0
            count += 1
        at = behind
    return count
