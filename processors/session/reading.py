"""What a player sent, as values a row may hold: of the right type, within the limits, or None."""

from collections.abc import Mapping
from math import floor, isfinite
from typing import Any

import orjson

from processors.session import flags
from processors.session.rules import (
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    MAX_TEXT_BYTES,
    NUMBER_LIMIT,
    PLAYHEAD_LIMIT,
)
from processors.session.state import Session

_WORST_ESCAPE = 6  # JSON bytes one character can need: \u0001


def text(session: Session, value: Any, limit: int = MAX_TEXT_BYTES) -> str | None:
    """A text of at most `limit` bytes as JSON; what is longer is cut, and the session flagged."""
    if not isinstance(value, str):  # a number where a text should be is still an answer
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (int, float)) else None
    kept: str = value
    while len(kept) * _WORST_ESCAPE > limit:
        size = len(orjson.dumps(kept)) - 2
        if size <= limit:
            break
        session.flags |= flags.TRUNCATED
        kept = kept[: len(kept) * limit // size]
    return kept


def number(value: Any) -> float | int | None:
    """A finite number, held within what every JSON reader can read."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return max(-NUMBER_LIMIT, min(value, NUMBER_LIMIT))


def whole(value: Any) -> int | None:
    """A number, rounded half up."""
    value = number(value)
    return None if value is None else half_up(value)


def half_up(value: float) -> int:
    return value if isinstance(value, int) else floor(value + 0.5)


def seconds(milliseconds: int) -> int:
    """Whole seconds, rounded half up: once, when a row is made."""
    return (milliseconds + 500) // 1000


def playhead(value: float) -> float:
    if -PLAYHEAD_LIMIT <= value <= PLAYHEAD_LIMIT:
        return float(value)
    return PLAYHEAD_LIMIT if value > 0 else -PLAYHEAD_LIMIT


def metadata(session: Session, sent: Mapping[str, str]) -> dict[str, str]:
    """Custom metadata within its limits, first come, first kept."""
    if not sent:
        return {}
    kept: dict[str, str] = {}
    room = MAX_METADATA_BYTES
    for key, value in sent.items():
        word = text(session, value, MAX_METADATA_BYTES)
        if word is None:
            continue
        room -= len(orjson.dumps((key, word)))
        if room < 0 or len(kept) == MAX_METADATA_KEYS:
            session.flags |= flags.TRUNCATED
            break
        kept[key] = word
    return kept
