"""Numbers that prove themselves: 53 bits with their second, chance to be ours, and a check that only we can make.

    30 bits seconds since 2025 | 6 bits door | 8 bits sequence | 9 bits keyed check

Sessions, events and listen events are numbered apart, each with a check of its own, so that the number of one is
never taken for another's. Nine bits let one guess in 512 pass, and only among the seconds that have been; whoever has
passed so has a number that nobody else has.
"""

from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b
from typing import Final

SECOND_BITS: Final = 30
DOOR_BITS: Final = 6
SEQUENCE_BITS: Final = 8
CHECK_BITS: Final = 9

DOORS: Final = 1 << DOOR_BITS
IN_A_SECOND: Final = 1 << SEQUENCE_BITS
EPOCH: Final = 1_735_689_600
"""2025-01-01T00:00:00Z in epoch seconds: the last number is of the year 2059."""

AHEAD_SECONDS: Final = 30 * 86_400
"""How far a number's second may lie ahead of the clock: doors number ahead when they are busy or just begun."""

_LAST_SECOND: Final = (1 << SECOND_BITS) - 1
_CHECK_MASK: Final = (1 << CHECK_BITS) - 1
_PLAIN_BYTES: Final = 6


class Series(Enum):
    """What is numbered; the value names its check."""

    SESSION = b"mediabeat rw-s"
    EVENT = b"mediabeat rw-e"
    LISTEN = b"mediabeat rw-l"


class NumberKeys:
    """Makes and verifies numbers with the secrets of `session_id.SessionKeys`: the first signs, all verify."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._seals = {
            series: tuple(
                blake2b(digest_size=2, key=blake2b(secret).digest(), person=series.value) for secret in secrets
            )
            for series in Series
        }

    def number(self, series: Series, second: int, door: int, sequence: int) -> int:
        """The number of this place; `second` as `second_of` counts them. ValueError beyond the layout."""
        if not (0 < second <= _LAST_SECOND and 0 <= door < DOORS and 0 <= sequence < IN_A_SECOND):
            raise ValueError(f"second {second}, door {door}, sequence {sequence} have no number")
        plain = (second << DOOR_BITS | door) << SEQUENCE_BITS | sequence
        return plain << CHECK_BITS | self._check(series, plain, 0)

    def verify(self, series: Series, number: int, now_ms: int) -> bool:
        """Whether one of our doors may have given out this number until now. No look-up."""
        plain, check = number >> CHECK_BITS, number & _CHECK_MASK
        second = plain >> (DOOR_BITS + SEQUENCE_BITS)
        if not 0 < second <= min(second_of(now_ms) + AHEAD_SECONDS, _LAST_SECOND):
            return False
        return any(self._check(series, plain, secret) == check for secret in range(len(self._seals[series])))

    def _check(self, series: Series, plain: int, secret: int) -> int:
        seal = self._seals[series][secret].copy()
        seal.update(plain.to_bytes(_PLAIN_BYTES, "big"))
        return int.from_bytes(seal.digest(), "big") & _CHECK_MASK


def second_of(now_ms: int) -> int:
    """Seconds since our epoch; before it the first."""
    return max(now_ms // 1000 - EPOCH, 1)


def made_at(number: int) -> int:
    """About when a number was made, in epoch milliseconds: its second, which may lie ahead of the clock."""
    return ((number >> (CHECK_BITS + SEQUENCE_BITS + DOOR_BITS)) + EPOCH) * 1000
