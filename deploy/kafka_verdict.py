"""What became of a transaction that is still open in some partition, as far as the other partitions tell. Pure.

The transaction in question, T, has left batches of the epoch e open. A lane has one transaction after the other, so:

- Whoever ends T for it (a successor, the timeout) raises the epoch: T's abort markers have e + 1. So has its commit
  marker in two steps (KIP-890); a classic commit marker has e itself, as have those of the transactions before it.
- Hence a marker of e + 1 is T's; or, after a classic T, that of a successor which came to nothing but a commit of its
  own, and that only got e + 1 because T was committed. Either way the marker's kind is T's.
- Every transaction of a lane has an offset, and the next owner goes on from there. So T's rows must follow its offset.

What this cannot see: T's own commit marker if T was classic, since it looks like that of the transaction before. Then
there is no verdict, unless T's offset is open or was never written.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from aiokafka.structs import TopicPartition

EXPIRED_MS: Final = 12 * 3_600_000
"""A partition forgets a producer that has not written for a day (`producer.id.expiration.ms`)."""

CLOCKS_MS: Final = 60_000
"""Rows have a worker's time, offsets and markers a broker's: no further apart than this."""

NEVER: Final = -1


class Outcome(Enum):
    COMMIT = "commit"
    ABORT = "abort"


class Standing(NamedTuple):
    """What a partition knows of a producer.

    `epoch`: of its last batch or marker, -1 if it knows none. `sequence`: its last one of that epoch, -1 if there is
    none. `last_at`: when its last batch or marker was made, ms. `open_from`: where its open transaction begins, or -1.
    """

    tp: TopicPartition
    epoch: int = NEVER
    sequence: int = NEVER
    last_at: int = NEVER
    open_from: int = NEVER

    @property
    def is_open(self) -> bool:
        return self.open_from != NEVER


class Written(NamedTuple):
    """A batch of a producer; `marker`: it is a control batch that ended a transaction so."""

    epoch: int
    marker: Outcome | None = None


class Leftover(NamedTuple):
    """The transaction of `epoch` that is open somewhere, and how the lane's places stand.

    `rows`: of the lane's topics. `offset`: of the group's offsets, None if we may not know. `whole`: there are no
    other rows that we may not know of.
    """

    epoch: int
    rows: Sequence[Standing]
    offset: Standing | None
    whole: bool = True

    @property
    def places(self) -> list[Standing]:
        """Where it is open."""
        known = [*self.rows, *([self.offset] if self.offset else [])]
        return [place for place in known if place.is_open and place.epoch == self.epoch]

    @property
    def since(self) -> int:
        """No later than its first offset or marker, ms."""
        return min(place.last_at for place in self.places) - CLOCKS_MS


def leftover(rows: Sequence[Standing], offset: Standing | None, *, whole: bool = True) -> Leftover | None:
    """The oldest transaction that is still open; None: there is none."""
    known = [*rows, *([offset] if offset else [])]
    epochs = [place.epoch for place in known if place.is_open]
    return Leftover(min(epochs), rows, offset, whole) if epochs else None


def by_standings(left: Leftover, now: int) -> Outcome | None:
    """The verdict that needs no look at the log. `now`: ms. None: one of the `witnesses` must tell."""
    epoch, offset = left.epoch, left.offset
    if any(_has_marker(place, epoch) for place in left.rows) or offset is None:
        return None
    if offset.is_open and offset.epoch == epoch:
        # A classic commit may have got its marker elsewhere, and not here. Its marker is younger than its offset.
        seen = (row for row in left.rows if row.epoch == epoch and not row.is_open and row.sequence != NEVER)
        perhaps = not left.whole or any(row.last_at >= offset.last_at for row in seen)
        return None if perhaps else Outcome.ABORT
    if offset.epoch < epoch:  # it never got its offset; or it was so long ago that the partition has forgotten it
        old = offset.epoch == NEVER and min(place.last_at for place in left.places) < now - EXPIRED_MS
        return None if old else Outcome.ABORT
    return None


def witnesses(left: Leftover) -> Iterable[tuple[Standing, int]]:
    """Whose log may tell, the surest first, and from which time on it is to be read (ms)."""
    for row in left.rows:
        if _has_marker(row, left.epoch):
            yield row, row.last_at
    offset = left.offset
    if offset is not None and offset.epoch >= left.epoch and offset not in left.places:
        yield offset, offset.last_at if _has_marker(offset, left.epoch) else left.since


def by_log(left: Leftover, witness: Standing, written: Iterable[Written]) -> Outcome | None:
    """The verdict of one place, None if it has none. `written`: all of the producer's there since, in order."""
    epoch = left.epoch
    any_of_it = pending = False
    for batch in written:
        if batch.marker is not None and batch.epoch > epoch:
            # That of a later transaction has closed T with its own, if T was still open: so it happened to the offset.
            return batch.marker if batch.epoch == epoch + 1 or pending else None
        if batch.epoch == epoch:
            pending = batch.marker is None
            any_of_it = any_of_it or pending
    if witness is not left.offset:
        return None
    if witness.is_open:  # by a later transaction; nothing has ended T here, so its offset is open still, or never was
        return None if any_of_it and not pending else Outcome.ABORT
    return Outcome.ABORT if witness.epoch == epoch and not any_of_it else None


def _has_marker(place: Standing, epoch: int) -> bool:
    return not place.is_open and place.epoch == epoch + 1
