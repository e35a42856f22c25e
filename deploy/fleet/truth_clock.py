"""How a session's own clock goes by the `ts` its player tells: a second reading of reports.md 4.3 and DECISIONS 27."""

from typing import NamedTuple

LAST_DATE = 253_402_300_799_999
"""The last millisecond of the year 9999."""
SET_ANEW_MS = 7 * 86_400_000
"""A leap beyond this is a clock that was set: no time passed."""


class Tick(NamedTuple):
    """`elapsed`: the milliseconds an event adds. `newest`: what the player's clock shows after it."""

    elapsed: int
    newest: int
    is_skewed: bool


def is_date(ts: int) -> bool:
    return 0 <= ts <= LAST_DATE


def tick(newest: int, ts: int) -> Tick:
    """From the newest `ts` so far to that of the next event."""
    if not is_date(ts) and is_date(newest):
        return Tick(0, newest, is_skewed=True)
    if is_date(ts) and not is_date(newest):
        return Tick(0, ts, is_skewed=True)
    if ts < newest:
        return Tick(0, newest, is_skewed=True)
    if ts - newest > SET_ANEW_MS:
        return Tick(0, ts, is_skewed=True)
    return Tick(ts - newest, ts, is_skewed=not is_date(ts))
