"""Numbers and instants as rows print them: half up once, whole seconds, UTC with milliseconds."""

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def half_up(value: float | Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def seconds(milliseconds: float | Fraction) -> int:
    return half_up(milliseconds / 1000)


def utc(milliseconds: int) -> str | None:
    """`2026-01-01T00:01:28.000Z`; None outside the years 1970 to 9999."""
    try:
        instant = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    if instant.year < _EPOCH.year:
        return None
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
