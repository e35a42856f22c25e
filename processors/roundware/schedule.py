"""When each session comes due, as data: one live entry for each, moved forward where a visit begins."""

from collections.abc import Iterable

from processors.deadlines import Deadline, Deadlines


class Schedule:
    """Entries may be early, never late. A session that rests is due in days, one with a visit in minutes, so an entry
    may be overtaken by an earlier one: what is taken and is not the session's newest is stale, and passed over.
    """

    __slots__ = ("_before", "_deadlines", "_due")

    def __init__(self) -> None:
        self._deadlines = Deadlines()
        self._due: dict[str, int] = {}
        self._before: dict[str, int | None] = {}
        """What this transaction has changed in `_due`, as it was."""

    def load(self, entries: Iterable[tuple[str, int]]) -> None:
        """Take entries that are committed already."""
        self._due.update(entries)
        self._deadlines.load([Deadline(at, sid, window=False) for sid, at in self._due.items()])

    def next_at(self) -> int | None:
        return self._deadlines.next_at()

    def at_latest(self, sid: str, at: int) -> None:
        """Have the session come due at `at` or before."""
        due = self._due.get(sid)
        if due is None or at < due:
            self._before.setdefault(sid, due)
            self._due[sid] = at
            self._deadlines.add(at, sid, window=False)

    def take_due(self, clock: int) -> str | None:
        """The earliest session whose entry the clock has passed. It has no entry any more."""
        while (entry := self._deadlines.take_due(clock)) is not None:
            if self._due.get(entry.sid) == entry.at:
                self._before.setdefault(entry.sid, entry.at)
                del self._due[entry.sid]
                return entry.sid
        return None

    def commit(self) -> None:
        self._deadlines.commit()
        self._before.clear()

    def rollback(self) -> None:
        self._deadlines.rollback()
        for sid, due in self._before.items():
            if due is None:
                self._due.pop(sid, None)
            else:
                self._due[sid] = due
        self._before.clear()
