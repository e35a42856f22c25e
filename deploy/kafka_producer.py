"""Throws aiokafka's producers away for good and hears what they fail with: by private names, as its neighbours."""

import asyncio
import inspect
from collections.abc import Coroutine, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.records import Record

STOP_SECONDS: Final = 2.0
_NO_HEADERS: Final[list[tuple[str, bytes]]] = []

# While the broker still writes a commit's markers, the next transaction's first request is told to come again. aiokafka
# then waits 20 ms, which alone caps a lane at 40 transactions a second. It reads this at call time.
sender.BACKOFF_OVERRIDE = 0.002


def hear(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    """Look at every failure inside a producer that its caller cannot see; asyncio would report each as lost.

    Who uses a producer learns of a failure by the call that it breaks. But a producer whose sender dies fails more
    than that: batches that nobody waits for, a transaction that is not committed, requests beside the fatal one.
    """
    accumulator, transactions = producer._message_accumulator, producer._txn_manager  # noqa: SLF001
    # A batch that is to be sent again is not among the pending; when it fails then, its callback removes it from them.
    accumulator._pending_batches = _Pending()  # noqa: SLF001
    fail_all, fatal_error, begin = accumulator.fail_all, transactions.fatal_error, transactions.begin_transaction

    def failing_all(failure: BaseException) -> None:
        waiting = [batch for batches in accumulator._batches.values() for batch in batches]  # noqa: SLF001
        fail_all(failure)
        for batch in (*waiting, *accumulator._pending_batches):  # noqa: SLF001
            _look_at(batch.future)
            _look_at(batch._drain_waiter)  # noqa: SLF001

    def failing_for_good(failure: BaseException) -> None:
        if transactions._transaction_waiter is None:  # noqa: SLF001  none was begun; it expects one
            transactions._transaction_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001
        fatal_error(failure)
        _look_at(transactions._transaction_waiter)  # noqa: SLF001

    def beginning() -> None:
        begin()
        _look_at(transactions._transaction_waiter)  # noqa: SLF001

    accumulator.fail_all = failing_all
    transactions.fatal_error = failing_for_good
    transactions.begin_transaction = beginning
    return producer


def filled(producer: AIOKafkaProducer, records: Sequence[Record]) -> BatchBuilder:
    """A closed batch of these records, stamped now. ValueError when they do not fit into one."""
    batch, fitted = fitting(producer, records, 0)
    if fitted < len(records):
        raise ValueError(f"record {fitted} of {len(records)} does not fit into its batch")
    return batch


def fitting(producer: AIOKafkaProducer, records: Sequence[Record], first: int) -> tuple[BatchBuilder, int]:
    """A closed batch of as many of these records as fit, from `first` on, stamped now; and where the next one begins.

    One always fits. The batch's own `append` costs three times as much for each.
    """
    batch = producer.create_batch()
    append = batch._builder.append  # noqa: SLF001
    fitted = 0
    for _, _, key, value in records[first:] if first else records:
        if append(fitted, None, key, value, _NO_HEADERS) is None:
            break
        fitted += 1
    batch._relative_offset = fitted  # noqa: SLF001
    batch.close()
    return batch, first + fitted


async def discard(producer: AIOKafkaProducer, seconds: float = STOP_SECONDS) -> None:
    """Stop a producer for good: nothing of it is delivered after this returns. Never raises, never waits long.

    Its own stop() waits for brokers that may never answer, and a stop() cut off leaves the sender running, which
    then delivers much later; a sender that died leaves its requests. So: stop under a timeout, cancel the sender and
    every request of it, close the client, drop what its connections still hold.
    """
    await _within(seconds, producer.stop())
    running = [task for task in _tasks.get(producer._sender, ()) if not task.done()]  # noqa: SLF001
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=seconds)
    await _within(seconds, producer.client.close())
    for connection in producer.client._conns.values():  # noqa: SLF001
        transport = connection._protocol._transport  # noqa: SLF001
        if transport is not None:  # its broker reads nothing; what waits here would be read when it does again
            transport.abort()
    # Whoever still waits for something of it is told.
    gone = KafkaError("this producer was discarded")
    producer._message_accumulator.fail_all(gone)  # noqa: SLF001
    producer._txn_manager.fatal_error(gone)  # noqa: SLF001


async def _within(seconds: float, ending: Coroutine[Any, Any, None]) -> None:
    """In a task of its own: a close() that was cut off cancels what the next one waits for, which then cancels us."""
    task = asyncio.get_running_loop().create_task(ending)
    _look_at(task)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    await asyncio.wait([task], timeout=seconds)


def is_fenced(producer: AIOKafkaProducer) -> bool:
    """Has a successor with the same transactional id been seen, whatever the last call has raised?"""
    task = producer._sender.sender_task  # noqa: SLF001
    return task is not None and task.done() and not task.cancelled() and isinstance(task.exception(), ProducerFenced)


class _Pending(set[Any]):
    """Batches on their way; one may be taken out twice."""

    remove = set.discard


def _look_at(future: "asyncio.Future[Any] | None") -> None:
    """See its failure when it comes."""
    if future is not None:
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


_tasks: Final[WeakKeyDictionary[sender.Sender, WeakSet["asyncio.Task[Any]"]]] = WeakKeyDictionary()
"""A sender and its requests, by sender."""


def heard_task(coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """A task of a sender, all of which are its methods. Of two requests that fail at once it looks only at one."""
    owner = inspect.getcoroutinelocals(coroutine)["self"]
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.setdefault(owner, WeakSet()).add(task)
    _look_at(task)
    return task


sender.create_task = heard_task
