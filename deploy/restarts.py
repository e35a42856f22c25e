"""When a process that has ended is started again: at once, and later and later if it does not last."""

from typing import Final

STEADY_SECONDS: Final = 60.0
"""Who has lived so long may end again without a penalty."""

REPEATED: Final = 3
"""So many ends in a row, none after a steady life, are no accident."""

_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 30.0


class Restarts:
    """The ends in a row of one process, and what they cost it."""

    def __init__(self) -> None:
        self.in_a_row = 0

    def delay_after(self, lived_seconds: float) -> float:
        """Count one more end; the seconds to wait before the next start: 0, 0.5, 1, 2, ... 30."""
        self.in_a_row = 1 if lived_seconds >= STEADY_SECONDS else self.in_a_row + 1
        if self.in_a_row == 1:
            return 0.0
        doublings = min(self.in_a_row - 2, 16)
        return min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2.0**doublings)

    @property
    def are_repeated(self) -> bool:
        return self.in_a_row >= REPEATED
