"""What goes onto a log and what comes back: the values the ports of both rings are written in."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Record(NamedTuple):
    """A record to be appended. The partition is always explicit (`topics.partition_of`); value None is a tombstone."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None


class StoredRecord(NamedTuple):
    """A committed record as read. Offsets increase within a partition, and skip.

    `timestamp` is the log's append time in epoch milliseconds.
    """

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class Fetch(NamedTuple):
    """What one read of one partition answered.

    `records` in offset order, committed ones only. `next_offset` is the position after them (and after whatever was
    skipped). `caught_up_at`: the wall time in ms of a moment, within the second before the read ended, at which nothing
    lay beyond `next_offset`, as the log said then or later; None while the reader lags or the log did not answer.
    """

    records: list[StoredRecord]
    next_offset: int
    caught_up_at: int | None


def by_partition(records: Iterable[Record]) -> dict[tuple[str, int], list[Record]]:
    """The records of each topic's partition, in their order."""
    found: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        found[record[:2]].append(record)
    return found


class LogUnavailable(Exception):
    """The log did not say durable in time. The outcome is unknown: the record may still appear, once per call."""


class LaneFenced(Exception):
    """A successor has opened this lane: nothing more can be committed by this one."""


class OffsetOutOfRange(Exception):
    """Reading below what retention has left, or beyond the end."""
