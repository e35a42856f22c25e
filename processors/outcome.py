"""What one transaction has to write, and what the worker will have done once it holds."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from processors.counts import Counts
from processors.rejects import Code, reject
from schemas import codec, topics
from schemas.events import Envelope
from schemas.records import Record
from schemas.reports import TOPIC, CloseReason, Row

_new: Final = tuple.__new__
"""Makes a named tuple in half the time its own constructor takes."""
_STATE: Final = topics.STATE.name
_TOPIC_NAME: Final = {kind: topic.name for kind, topic in TOPIC.items()}


class TooLarge(Exception):
    """A row or a state record over its limit."""


class Outcome:
    """Grows while records are folded; dropped with the draft if the transaction does not hold."""

    __slots__ = (
        "closed",
        "consumed",
        "duplicates",
        "expiries",
        "folded",
        "muted",
        "opened",
        "partition",
        "records",
        "rejected",
        "rows",
        "wall",
    )

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.records: list[Record] = []
        self.wall = 0
        """Now, in epoch ms, for what is stamped with the moment it was done."""
        self.consumed = 0
        self.folded = 0
        self.duplicates = 0
        self.expiries = 0
        self.opened = 0
        self.muted = 0
        self.rejected: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()

    def add_rows(self, rows: Iterable[Row]) -> None:
        """TooLarge for a row no topic takes."""
        for row in rows:
            value = codec.encode(row.value)
            if len(value) > topics.ROW_LIMIT_BYTES:
                raise TooLarge(f"{row.kind} row of {len(value)} bytes")
            self.records.append(_new(Record, (_TOPIC_NAME[row.kind], self.partition, row.sid.encode(), value)))
            self.rows[row.kind] += 1

    def add_closed(self, sid: str, closed_at: int, reason: CloseReason, *, told: bool) -> None:
        """A session is over. `told`: doors shall answer 410 from now on."""
        self.closed[reason] += 1
        if told:
            value = codec.encode({"closedAt": closed_at, "reason": reason})
            self.records.append(Record(topics.CLOSED.name, self.partition, sid.encode(), value))

    def add_reject(self, code: Code, detail: str, offset: int, envelope: Envelope) -> None:
        """An event goes to the rejects. `offset` is its record's."""
        self.rejected[code] += 1
        self.records.append(
            reject(code, detail, at=self.wall, partition=self.partition, offset=offset, envelope=envelope)
        )

    def add_state(self, key: str, value: bytes | None) -> None:
        """TooLarge for a state record over the topic's limit. None forgets the key."""
        if value is not None and len(value) > topics.STATE_LIMIT_BYTES:
            raise TooLarge(f"state record of {len(value)} bytes")
        self.records.append(_new(Record, (_STATE, self.partition, key.encode(), value)))

    def add_to(self, counts: Counts) -> None:
        """The transaction held."""
        counts.consumed += self.consumed
        counts.folded += self.folded
        counts.duplicates += self.duplicates
        counts.expiries += self.expiries
        counts.opened += self.opened
        counts.muted += self.muted
        counts.rejected.update(self.rejected)
        counts.rows.update(self.rows)
        counts.closed.update(self.closed)
