"""What the front door asks of a log. Kafka implements it in `ingest/kafka.py`, SQLite in `deploy/embedded.py`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from schemas.records import Record, StoredRecord


class EventLog(Protocol):
    """Where the door appends. Every method may be called concurrently."""

    partitions: int

    async def append(self, record: Record) -> None:
        """Return once every in-sync replica (or the fsynced file) has the record.

        Bounded: raises LogUnavailable within the log's append bound (under 3 s) when the log is away or over its bound
        of waiting bytes. Then the outcome is unknown: the record may still appear, once.
        """

    def begin(self, record: Record) -> "asyncio.Future[str | None]":
        """As `append`, without waiting: None when it is durable; a text, or LogUnavailable, when that is not known.

        Records that share their fate may share the future: it is never to be cancelled. Raises LogUnavailable at once
        when there is no room.
        """

    async def append_all(self, records: Sequence[Record]) -> None:
        """Append records of ONE partition in order; return once all are durable.

        Written in pieces of at most about 900 KB, each awaited: a crash or LogUnavailable leaves a prefix.
        """

    def offer(self, record: Record) -> bool:
        """Append when there is room, best effort, without waiting. False: dropped (counted by the caller)."""

    def unready(self) -> str | None:
        """Why the log cannot take records now, in words for an operator; None when it can."""


class CompactedTopic(Protocol):
    """A compacted topic as a door follows it."""

    def follow(self, topic: str) -> AsyncIterator[list[StoredRecord] | None]:
        """All partitions from the start, committed records only, then for ever as they come.

        Yields None each time everything that was in the topic when following began (or at the last None) has been
        yielded: a door that has not seen its first None is not ready. Raises LogUnavailable only if it gave up.
        """
