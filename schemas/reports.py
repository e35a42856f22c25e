"""The report rows: which kinds exist, where each goes, and what a row is before it is bytes."""

from enum import StrEnum
from typing import Any, Final, NamedTuple

from schemas import topics


class RowKind(StrEnum):
    SESSION_START = "session-start"
    AD_START = "ad-start"
    AD_CLOSE = "ad-close"
    CHAPTER_CLOSE = "chapter-close"
    SESSION_CLOSE = "session-close"
    HEARTBEAT = "heartbeat"


class CloseReason(StrEnum):
    """Why a session, an ad or a chapter stopped accruing; the last three, and `timeout`, why a Roundware visit did."""

    COMPLETE = "complete"
    END = "end"
    TIMEOUT_IDLE = "timeoutIdle"
    TIMEOUT_STILL = "timeoutStill"
    CAP_24H = "cap24h"
    SKIP = "skip"
    IMPLICIT_SKIP = "implicitSkip"
    SESSION_END = "sessionEnd"
    TIMEOUT = "timeout"
    EXPLICIT = "explicit"
    CLIENT = "client"
    NO_ACTIVITY = "no_activity"


TOPIC: Final = {
    RowKind.SESSION_START: topics.SESSION_START,
    RowKind.AD_START: topics.AD_START,
    RowKind.AD_CLOSE: topics.AD_CLOSE,
    RowKind.CHAPTER_CLOSE: topics.CHAPTER_CLOSE,
    RowKind.SESSION_CLOSE: topics.SESSION_CLOSE,
    RowKind.HEARTBEAT: topics.HEARTBEAT,
}


class Row(NamedTuple):
    """One report row. `value` is the public document, complete with `_id` = `<sid>:<kind>:<instance>:<revision>`."""

    kind: RowKind
    sid: str
    instance: int
    revision: int
    value: dict[str, Any]
