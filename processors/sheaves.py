"""Deadlines of many sessions in little memory: the near ones in a heap, the far ones in sheaves."""

from heapq import heappop, heappush
from typing import Final

from processors.deadlines import Deadline, Deadlines

SHEAF_MS: Final = 15_000
"""Sessions that end within so long of each other lie in one sheaf, at 8 bytes each, until its time comes near."""


class Sheaves(Deadlines):
    """Deadlines whose far entries come due at the beginning of their sheaf: early, and to be put back.

    An entry of a window is never far. What is put back into a sheaf already opened keeps its own moment.
    """

    __slots__ = ("_numbers", "_opened", "_sheaves")

    def __init__(self) -> None:
        super().__init__()
        self._sheaves: dict[int, list[str]] = {}
        """Session ids by their sheaf's number."""
        self._numbers: list[int] = []
        """A heap of these numbers."""
        self._opened = -1
        """The newest one whose time has come."""

    def __len__(self) -> int:
        return super().__len__() + sum(map(len, self._sheaves.values()))

    def load(self, entries: list[Deadline]) -> None:
        super().load(self._near(entries))

    def next_at(self) -> int | None:
        near = super().next_at()
        if not self._numbers:
            return near
        far = self._numbers[0] * SHEAF_MS
        return far if near is None or far < near else near

    def take_due(self, clock: int) -> Deadline | None:
        while self._numbers and self._numbers[0] * SHEAF_MS < clock:
            number = self._opened = heappop(self._numbers)
            super().load([Deadline(number * SHEAF_MS, sid, False) for sid in self._sheaves.pop(number)])
        return super().take_due(clock)

    def commit(self) -> None:
        if self._added:
            self._added = self._near(self._added)
        super().commit()

    def _near(self, entries: list[Deadline]) -> list[Deadline]:
        """Those that are near; the others are put into their sheaves."""
        near: list[Deadline] = []
        for entry in entries:
            at, sid, window = entry
            number = at // SHEAF_MS
            if window or number <= self._opened:
                near.append(entry)
            elif number in self._sheaves:
                self._sheaves[number].append(sid)
            else:
                self._sheaves[number] = [sid]
                heappush(self._numbers, number)
        return near
