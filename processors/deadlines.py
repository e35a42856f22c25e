"""Deadlines of one partition, as data: a heap, and what a transaction has added to it and taken from it."""

from heapq import heapify, heappop, heappush
from typing import NamedTuple


class Deadline(NamedTuple):
    """`at` in epoch ms of receive time. `window`: an event may have to leave; else a session to end."""

    at: int
    sid: str
    window: bool


class Deadlines:
    """Entries may be early, never late: whoever takes one looks at the session and puts it back where it is too early.

    So a session needs one entry for its end, touched only when it comes due, however many events it has.
    """

    __slots__ = ("_added", "_committed", "_taken")

    def __init__(self) -> None:
        self._committed: list[Deadline] = []
        self._added: list[Deadline] = []
        self._taken: list[Deadline] = []

    def __len__(self) -> int:
        return len(self._committed) + len(self._added)

    def add(self, at: int, sid: str, *, window: bool) -> None:
        """Add an entry to this transaction."""
        heappush(self._added, Deadline(at, sid, window))

    def load(self, entries: list[Deadline]) -> None:
        """Add entries that are committed already."""
        self._committed += entries
        heapify(self._committed)

    def next_at(self) -> int | None:
        """The earliest instant an entry names."""
        if self._added and (not self._committed or self._added[0] < self._committed[0]):
            return self._added[0].at
        return self._committed[0].at if self._committed else None

    def take_due(self, clock: int) -> Deadline | None:
        """The earliest entry, if the clock has passed it."""
        added, committed = self._added, self._committed
        if added and (not committed or added[0] < committed[0]):
            return heappop(added) if added[0].at < clock else None
        if committed and committed[0].at < clock:
            taken = heappop(committed)
            self._taken.append(taken)
            return taken
        return None

    def commit(self) -> None:
        if len(self._added) > len(self._committed) // 4:
            self._committed += self._added
            heapify(self._committed)
        else:
            for entry in self._added:
                heappush(self._committed, entry)
        self._added = []
        self._taken.clear()

    def rollback(self) -> None:
        self._added = []
        for entry in self._taken:
            heappush(self._committed, entry)
        self._taken.clear()
