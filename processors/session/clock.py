"""How much time an event's `ts` adds to its session. Most `ts` are sane; this is about the others."""

from typing import NamedTuple

from processors.session import flags
from processors.session.rules import LAST_TS, Rules
from processors.session.state import PLAYING, Session

_LEAST_TS = -(2**63)
_MOST_TS = 2**63 - 1


class Step(NamedTuple):
    """`gap_ms` is what the event adds, `last_ts` the newest `ts` after it, `flag_bits` what is to be said of it."""

    gap_ms: int
    last_ts: int
    flag_bits: int


def is_date(ts: int) -> bool:
    """Whether this is a moment of the years 1970 to 9999."""
    return 0 <= ts <= LAST_TS


def held(ts: int) -> int:
    """The `ts`, within 64 bits: a clock beyond them is broken whatever it says."""
    return max(_LEAST_TS, min(ts, _MOST_TS))


def step(last_ts: int, ts: int, rules: Rules) -> Step:
    """Measure from the newest `ts` folded to this one.

    A `ts` that is no date never moves a clock that shows one, so one broken event costs its session nothing; a clock
    that showed none is set by the first date; and a jump beyond `clock_jump_ms` is a clock that was set. All of these
    add no time. Between two that are no dates the difference still counts: such a clock may run well.
    """
    ts = held(ts)
    skew = 0 if is_date(ts) else flags.CLOCK_SKEW
    if is_date(last_ts) != is_date(ts):
        return Step(0, last_ts if skew else ts, flags.CLOCK_SKEW)
    gap = ts - last_ts
    if gap < 0:
        return Step(0, last_ts, flags.CLOCK_SKEW)
    if gap > rules.clock_jump_ms:
        return Step(0, ts, flags.CLOCK_SKEW)
    if rules.gap_cap_ms:
        gap = min(gap, rules.gap_cap_ms)
    return Step(gap, ts, skew)


def fold(session: Session, ts: int, rules: Rules) -> int:
    """Move the session's clock to this `ts` and answer the milliseconds that adds."""
    gap, last_ts, bits = step(session.last_ts, ts, rules)
    if session.phase == PLAYING and last_ts - session.last_ts > rules.long_gap_ms and gap:
        bits |= flags.LONG_GAP
    session.last_ts = last_ts
    session.flags |= bits
    return gap
