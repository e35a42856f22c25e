"""What a lane folds records into: the port between the loop and whatever keeps state."""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.records import Record, StoredRecord


class Poisoned(Exception):
    """The fold raised on something. After `rollback`, `exclude` keeps it out when the batch is folded again.

    `sid` names the session, None when it cannot be told. `offset` is the record at fault; None when it was an
    expiry (`expiry` true) or when the session's whole draft cannot be written.
    """

    def __init__(self, sid: str | None, offset: int | None, *, expiry: bool = False) -> None:
        super().__init__(f"session {sid}, offset {offset}{', at an expiry' if expiry else ''}")
        self.sid = sid
        self.offset = offset
        self.expiry = expiry


class Fold(Protocol):
    """State of one partition, and the draft of one transaction over it. Pure: the wall comes in as a value."""

    input_topic: str
    """What the lane reads."""
    state_topic: str
    """The compacted topic that holds the committed state."""

    def restore(self, records: Sequence[StoredRecord]) -> None:
        """Take committed state records, in log order; called until all have been read, before anything else."""

    def restored(self) -> None:
        """All committed state has been given; called once, also when there was none."""

    def fold(self, records: Sequence[StoredRecord], start: int, stop: int, wall: int) -> int:
        """Fold records[start:stop] into the draft; return the index of the first one not folded.

        That is less than `stop` when expiries that are due first have filled the turn or the transaction: call again,
        or finish when `full()`. `wall` is now, in epoch ms. Raises Poisoned.
        """

    def pass_time(self, until: int, wall: int) -> bool:
        """Let the clock reach `until` without a record: what was due expires. False: more is due. Raises Poisoned."""

    def full(self) -> bool:
        """Whether this transaction has taken as many expiries as one may."""

    def finish(self) -> list[Record]:
        """Everything the transaction has to write, in order. Raises Poisoned for a session that cannot be written."""

    def commit(self) -> None:
        """The transaction held: the draft is the state now."""

    def rollback(self) -> None:
        """Drop the draft."""

    def exclude(self, poisoned: Poisoned) -> None:
        """Keep this out of the next draft, until a commit: reject the record, put off the expiry."""

    def next_deadline(self) -> int | None:
        """When something comes due by the clock, in epoch ms; None when nothing waits. May be early, never late."""


MakeFold = Callable[[int], Fold]
"""A fold without state for a partition."""
