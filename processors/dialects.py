"""One Fold of two: Roundware's records go to a table of their own, all others to the session table."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from processors.fold import Fold, Poisoned
from schemas import topics
from schemas.records import Record, StoredRecord
from schemas.roundware import KEY_PREFIX

_KEY: Final = itemgetter(2)
_COLON: Final = KEY_PREFIX[-1:]


class Dialects:
    """The two tables of a partition, in one transaction. Neither can tell that the other is there.

    Each has a clock of its own: a session is timed out by the records of its dialect, or by the wall once the lane has
    caught up, so what is written for one dialect does not depend on what the other one posts.
    """

    input_topic: str = topics.EVENTS.name
    state_topic: str = topics.STATE.name

    def __init__(self, sessions: Fold, roundware: Fold) -> None:
        self._sessions = sessions
        self._roundware = roundware
        self._both = (sessions, roundware)

    def restore(self, records: Sequence[StoredRecord]) -> None:
        for is_roundware, run in groupby(records, _is_roundware):
            self._both[is_roundware].restore(list(run))

    def restored(self) -> None:
        for table in self._both:
            table.restored()

    def fold(self, records: Sequence[StoredRecord], start: int, stop: int, wall: int) -> int:
        # No other key has a colon: one look at all of them tells that nothing is to be sorted out. For one character it
        # costs 50 ns a record, of the 20,000 that folding takes; for both of the prefix it is three times that.
        if _COLON not in b"".join(map(_KEY, records[start:stop])):
            return self._sessions.fold(records, start, stop, wall)
        while start < stop:
            is_roundware = _is_roundware(records[start])
            end = start + 1
            while end < stop and _is_roundware(records[end]) is is_roundware:
                end += 1
            start = self._both[is_roundware].fold(records, start, end, wall)
            if start < end:
                break
        return start

    def pass_time(self, until: int, wall: int) -> bool:
        done = self._sessions.pass_time(until, wall)
        return self._roundware.pass_time(until, wall) and done

    def full(self) -> bool:
        return self._sessions.full() or self._roundware.full()

    def finish(self) -> list[Record]:
        records = self._sessions.finish()
        return records + more if (more := self._roundware.finish()) else records

    def commit(self) -> None:
        for table in self._both:
            table.commit()

    def rollback(self) -> None:
        for table in self._both:
            table.rollback()

    def exclude(self, poisoned: Poisoned) -> None:
        # An offset or a session that is not its own means nothing to a table.
        for table in self._both:
            table.exclude(poisoned)

    def next_deadline(self) -> int | None:
        return min((at for table in self._both if (at := table.next_deadline()) is not None), default=None)


def _is_roundware(record: StoredRecord) -> bool:
    return record.key.startswith(KEY_PREFIX)
