"""Judgements remembered: an event that differs from an accepted one in nothing but digits is accepted unread.

A player's posts are one text with other numbers in it. The shape of a text is the text with every digit made a 9.
Whether a *plain* event (`codec.is_plain`) is accepted depends on its keys, on the types of its values and on the length
of its numbers, never on their digits, so two plain events of one shape are judged alike. What is left to the digits is
whether a number begins with a superfluous 0, which is looked at in each.
"""

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final

from schemas import codec, representable
from schemas.validation import Profile

MAX_SHAPES: Final = 8_192
MAX_SHAPE_BYTES: Final = 512
"""With `MAX_SHAPES` some 6 MB at most; plain events have 60 to 300 bytes."""

_ALIKE: Final = bytes.maketrans(b"012345678", b"9" * 9)
_ZERO: Final = ord("0")
_DIGIT: Final = re.compile(rb"[0-9]").search
_EXPONENT: Final = re.compile(rb"[0-9][eE]").search
_SEVERAL_DIGITS: Final = re.compile(rb"(?<![0-9.])[0-9]{2,}").finditer


class Shapes:
    """The shapes of plain events that one profile accepts, as far as they were seen."""

    __slots__ = ("_known", "_profile")

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._known: dict[bytes, Callable[[bytes], tuple[int, ...]]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def cover(self, body: bytes) -> bool:
        """Whether `codec.parse_event` would accept these bytes as they are, as an event other than a sessionStart.

        False says nothing.
        """
        if len(body) > MAX_SHAPE_BYTES:
            return False
        firsts_of = self._known.get(body.translate(_ALIKE))
        return firsts_of is not None and _ZERO not in firsts_of(body)

    def learn(self, event: codec.ParsedEvent) -> None:
        """Remember the shape of an accepted event, where it tells all. When there are too many, begin anew."""
        body = event.body
        if len(body) > MAX_SHAPE_BYTES or not codec.is_plain(event, self._profile) or not _tells_all(body):
            return
        if len(self._known) >= MAX_SHAPES:
            self._known.clear()
        # Twice the opening brace (or the blank before it), so that there is always a tuple and never a zero of ours.
        firsts = [match.start() for match in _SEVERAL_DIGITS(body)]
        self._known[body.translate(_ALIKE)] = itemgetter(0, 0, *firsts)


def _tells_all(body: bytes) -> bool:
    """Whether digits stand only in numbers, and in those only where they change a value and nothing else.

    An exponent's digits may make a number too large to be one; so may too many before the point. Behind a backslash
    they may make any character.
    """
    if b"\\" in body or representable.is_suspect(body):
        return False
    parts = body.split(b'"')
    return not any(map(_DIGIT, parts[1::2])) and not any(map(_EXPONENT, parts[::2]))
