"""In which order listen starts and stops count, and at which moment: a second reading of docs/reports.md."""

from collections.abc import Iterable
from typing import NamedTuple

WAIT_AT_MOST = 10


class Step(NamedTuple):
    """A listen start or stop. `at`: when it happened; `client_ms`: when its client says so, None if that is unreadable.

    Both in epoch milliseconds.
    """

    at: int
    offset: int
    is_start: bool
    client_ms: int | None


def in_order(steps: Iterable[Step], window_ms: int) -> list[Step]:
    """As they count, each with the moment at which it does: its own, but not before the one that counts before it."""
    counted: list[Step] = []
    waiting: list[Step] = []

    def leave(number: int) -> None:
        for step in waiting[:number]:
            counted.append(step._replace(at=max(step.at, counted[-1].at if counted else 0)))
        del waiting[:number]

    for step in steps:
        if step.client_ms is None:
            leave(len(waiting))
            waiting.append(step)
            leave(1)
            continue
        overdue = [place for place, other in enumerate(waiting, 1) if step.at - other.at > window_ms]
        leave(max(overdue, default=0))
        waiting.append(step)
        waiting.sort(key=lambda one: (one.client_ms, one.offset))
        leave(max(0, len(waiting) - WAIT_AT_MOST))
    leave(len(waiting))
    return counted
