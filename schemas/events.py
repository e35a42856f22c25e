"""What a player tells us: the event types of the Media Collection API and the decoded event."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class EventType(StrEnum):
    """The wire enum: the fifteen of the public overview, then the five that came beside or after them."""

    SESSION_START = "sessionStart"
    PLAY = "play"
    PING = "ping"
    PAUSE_START = "pauseStart"
    BUFFER_START = "bufferStart"
    AD_BREAK_START = "adBreakStart"
    AD_BREAK_COMPLETE = "adBreakComplete"
    AD_START = "adStart"
    AD_COMPLETE = "adComplete"
    AD_SKIP = "adSkip"
    CHAPTER_START = "chapterStart"
    CHAPTER_COMPLETE = "chapterComplete"
    CHAPTER_SKIP = "chapterSkip"
    SESSION_COMPLETE = "sessionComplete"
    SESSION_END = "sessionEnd"
    BITRATE_CHANGE = "bitrateChange"
    ERROR = "error"
    STATE_START = "stateStart"
    STATE_END = "stateEnd"
    STATES_UPDATE = "statesUpdate"


class Event(NamedTuple):
    """One event of a player after the lenient repairs.

    `playhead` in seconds (any finite number), `ts` the player's clock in epoch milliseconds (any 64-bit integer).
    Mappings are never None. `params` holds wire names (`media.ad.id`); `statesUpdate` keeps its two arrays there.
    """

    type: EventType
    playhead: float
    ts: int
    params: Mapping[str, Any]
    qoe: Mapping[str, Any]
    custom_metadata: Mapping[str, str]


class BatchPlace(NamedTuple):
    """Where a record stands in an offline batch: `position` counts from 0, `of` is the number of elements."""

    id: str
    position: int
    of: int


class Envelope(NamedTuple):
    """What the door put around one event.

    `received_at` in epoch milliseconds by the door's clock, never decreasing per door. `source` is
    `collection`, `batch` or `roundware`. `event` is the client's document, byte for byte as it came.
    """

    sid: str
    received_at: int
    source: str
    peer: str | None
    batch: BatchPlace | None
    event: bytes
