"""What a worker asks of a log. Kafka implements it in `processors/kafka.py`, SQLite in `deploy/embedded.py`.

Shared promise of both: offsets increase but skip; order holds within a partition only; open or aborted records are
never seen; an exception means the outcome is unknown.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from schemas.records import Fetch, Record, StoredRecord

Clock = Callable[[], int]
"""Wall time in epoch milliseconds."""


class LaneLog(Protocol):
    """One input partition, owned and fenced: opening it has aborted and locked out every predecessor."""

    partition: int

    async def committed(self) -> int:
        """The next offset to read, as the last transaction left it; the start of the partition when there is none."""

    def restore(self, topic: str) -> AsyncIterator[list[StoredRecord]]:
        """This partition of a compacted topic, from its start to its committed end at the time of the call.

        Newest record of each key at least; tombstones may appear. A stalled restore raises LogUnavailable: it never
        just ends early.
        """

    async def end(self, topic: str) -> int:
        """The committed end of this partition of a topic. Unchanged means that nothing was committed to it since.

        A changed answer may only mean that a marker was written; an unchanged one is a promise. LogUnavailable.
        """

    async def read(self, offset: int, max_records: int, timeout_seconds: float) -> Fetch:
        """Committed records of the input partition at and after `offset`; an empty Fetch after the timeout.

        Raises OffsetOutOfRange below retention, LogUnavailable when the log is away.
        """

    async def commit(self, records: Sequence[Record], next_offset: int) -> None:
        """Append all records and store the consumed offset in one transaction: all of it, or none.

        Raises LaneFenced when a successor owns the lane, LogUnavailable when the outcome is unknown: then the lane
        must be opened anew, and `committed()` tells which it was.
        """

    async def close(self) -> None:
        """Give everything back; never raises, never waits long."""


class LaneGroup(Protocol):
    """Which partitions this worker owns. A rebalance is data, not a callback."""

    partitions: int

    def assignments(self) -> AsyncIterator[frozenset[int]]:
        """The set of owned partitions, now and after every change. Ends when the group is closed."""

    async def open_lane(self, partition: int) -> LaneLog:
        """Fence every predecessor of this lane, then hand it out. LogUnavailable: try again with back-off."""

    async def close(self) -> None:
        """Stop. A static member does not leave the group: its successor takes the lanes back."""
