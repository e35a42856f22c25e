"""What became of a transaction that is still open in some partition, as far as the other partitions tell. Pure.

The transaction in question, T, has left batches of the epoch e open. A lane has one transaction after the other, so:

- Whoever ends T for it (a successor, the timeout) raises the epoch: T's abort markers have e + 1. So has its commit
  marker in two steps (KIP-890); a classic commit marker has e itself, as have those of the transactions before it.
- Hence a commit marker of e + 1 is T's; or, after a classic T, that of a successor which came to nothing but a commit
  of its own, and that only got e + 1 because T was committed. An abort marker of e + 1 is T's if T had its epoch to
  itself. Classic transactions share one: it may be that of the last of them, and T one before that was committed.
- Every transaction of a lane has an offset, and the next owner goes on from there. So T's rows must follow its offset.

What this cannot see: T's own commit marker if T was classic, since it looks like that of the transaction before. Then
there is no verdict, unless T's offset is open or was never written.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from aiokafka.structs import TopicPartition

CLOCKS_MS: Final = 10 * 60_000
"""Rows have a worker's time, offsets and markers a broker's: no further apart than this."""

NEVER: Final = -1


class Outcome(Enum):
    COMMIT = "commit"
    ABORT = "abort"


class Standing(NamedTuple):
    """What a partition knows of a producer.

    `epoch`: of its last batch or marker, -1 if it knows none (any more: it forgets them in time). `sequence`: its last
    one of that epoch, -1 if there is none. `last_at`: when its last batch or marker was made, ms. `open_from`: where
    its open transaction begins, or -1.
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


def by_standings(left: Leftover) -> Outcome | None:
    """The verdict that needs no look at the log. None: one of the `witnesses` must tell."""
    epoch, offset = left.epoch, left.offset
    if offset is None:
        return None
    if NEVER < offset.epoch < epoch or offset.tp.partition == NEVER:  # it never got its offset
        return Outcome.ABORT
    return None if any(row.epoch > epoch for row in left.rows) else by_open_offset(left)


def by_open_offset(left: Leftover) -> Outcome | None:
    """The verdict if no witness has one: what has its offset open was not committed, unless here alone."""
    epoch, offset = left.epoch, left.offset
    if offset is None or not offset.is_open or offset.epoch != epoch:
        return None
    # A classic commit may have got its marker elsewhere, and not here. Its marker is younger than its offset.
    seen = (row for row in left.rows if row.epoch == epoch and not row.is_open and row.sequence != NEVER)
    perhaps = not left.whole or any(row.last_at >= offset.last_at for row in seen)
    return None if perhaps else Outcome.ABORT


def witnesses(left: Leftover) -> Iterable[tuple[Standing, int]]:
    """Whose log may tell, the surest first, and from which time on it is to be read (ms)."""
    later = [row for row in left.rows if row.epoch > left.epoch]
    for row in sorted(later, key=lambda row: not _has_marker(row, left.epoch)):
        yield row, row.last_at if _has_marker(row, left.epoch) else left.since
    if left.offset is not None and left.offset not in left.places:
        yield left.offset, offset_since(left)


def offset_since(left: Leftover) -> int:
    """From when on the log of the offsets holds all of this transaction, ms."""
    known = left.offset.last_at if left.offset is not None else NEVER
    return left.since if known == NEVER else min(left.since, known - CLOCKS_MS)


def by_log(left: Leftover, witness: Standing, written: Sequence[Written]) -> Outcome | None:
    """The verdict of one place, None if it has none. `written`: all of the producer's there since, in order.

    One of a row's log is an abort only if the log of the offsets does not show that the epoch `is_shared`.
    """
    epoch = left.epoch
    any_of_it = pending = False
    for batch in written:
        if batch.marker is not None and batch.epoch > epoch:
            # That of a later transaction has closed T with its own, if T was still open: so it happened to the offset.
            told = batch.marker if batch.epoch == epoch + 1 or pending else None
            return None if told is Outcome.ABORT and is_shared(written, epoch) else told
        if batch.epoch == epoch:
            pending = batch.marker is None
            any_of_it = any_of_it or pending
    if witness is not left.offset:
        return None
    if witness.is_open:  # by a later transaction; nothing has ended T here, so its offset is open still, or never was
        return None if any_of_it and not pending else Outcome.ABORT
    return Outcome.ABORT if witness.epoch in {epoch, NEVER} and not any_of_it else None


def is_shared(written: Iterable[Written], epoch: int) -> bool:
    """Whether a commit of this epoch stands behind what has it: classic transactions do that, and share their epoch.

    In two steps it stands before: it is the marker of the transaction before.
    """
    any_of_it = False
    for batch in written:
        if batch.epoch == epoch:
            any_of_it = any_of_it or batch.marker is None
            if any_of_it and batch.marker is Outcome.COMMIT:
                return True
    return False


def _has_marker(place: Standing, epoch: int) -> bool:
    return not place.is_open and place.epoch == epoch + 1
