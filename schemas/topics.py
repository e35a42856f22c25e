"""Every topic: name, key, retention or compaction; and the one rule that says which partition a key is on."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

DEFAULT_PARTITIONS: Final = 12

STATE_LIMIT_BYTES: Final = 256 * 1024
"""The largest state record a lane may write."""

ROW_LIMIT_BYTES: Final = 512 * 1024
"""The largest report row a lane may write."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's public name and how long it keeps what it holds.

    `retention_ms` None keeps for ever. `compacted` keeps the newest record of each key; a null value is a
    tombstone, itself kept `tombstone_ms`. `log_append_time`: the log stamps records, not the producer.
    """

    name: str
    retention_ms: int | None
    compacted: bool = False
    segment_bytes: int | None = None
    segment_ms: int | None = None
    dirty_ratio: float | None = None
    tombstone_ms: int | None = None
    log_append_time: bool = False


def _report(kind: str, days: int = 30) -> Topic:
    return Topic(f"media.reports.{kind}.v1", days * DAY_MS)


EVENTS: Final = Topic("media.events.v1", 7 * DAY_MS, log_append_time=True)
REJECTS: Final = Topic("media.rejects.v1", 30 * DAY_MS)
SESSION_START: Final = _report("session-start")
AD_START: Final = _report("ad-start")
AD_CLOSE: Final = _report("ad-close")
CHAPTER_CLOSE: Final = _report("chapter-close")
SESSION_CLOSE: Final = _report("session-close")
HEARTBEAT: Final = _report("heartbeat", days=1)
AUDIENCE: Final = _report("audience")
STATE: Final = Topic(
    "media.state.session.v1",
    None,
    compacted=True,
    segment_bytes=16 * 1024 * 1024,
    segment_ms=10 * MINUTE_MS,
    dirty_ratio=0.2,
    tombstone_ms=10 * MINUTE_MS,
)
CLOSED: Final = Topic("media.state.closed.v1", 2 * DAY_MS, compacted=True, segment_ms=HOUR_MS)
MINUTES: Final = Topic("media.minutes.v1", DAY_MS)
ROUNDWARE: Final = Topic(
    "media.roundware.v1",
    None,
    compacted=True,
    segment_bytes=16 * 1024 * 1024,
    segment_ms=HOUR_MS,
    dirty_ratio=0.2,
    tombstone_ms=DAY_MS,
)
"""What Roundware's lists are answered from. Lanes fold sessions, events and listen events into it, and bury what they
forget; doors follow it, and keep there whom they have registered and how far they have numbered."""

REPORTS: Final = (SESSION_START, AD_START, AD_CLOSE, CHAPTER_CLOSE, SESSION_CLOSE, HEARTBEAT, AUDIENCE)
ALL: Final = (EVENTS, REJECTS, *REPORTS, STATE, CLOSED, MINUTES, ROUNDWARE)
BY_NAME: Final = {topic.name: topic for topic in ALL}

_SHORT: Final = {topic.name.removesuffix(".v1").split(".")[-1]: topic for topic in (EVENTS, REJECTS, *REPORTS, CLOSED)}


def find(name: str) -> Topic:
    """The topic of a full or a short name (`session-close`, `events`). KeyError names what is known."""
    topic = BY_NAME.get(name) or _SHORT.get(name)
    if topic is None:
        raise KeyError(f"no topic {name!r}; known: {', '.join(sorted(_SHORT))} or a full name")
    return topic


def partition_of(key: str, partitions: int) -> int:
    """The partition of a record with this key, on every topic: librdkafka's `consistent` partitioner."""
    return crc32(key.encode()) % partitions
