"""What a worker cannot use, as it goes to the rejects topic."""

from base64 import b64encode
from enum import StrEnum
from typing import Any, Final

from schemas import codec, topics
from schemas.events import Envelope
from schemas.records import Record

BODY_LIMIT: Final = 64 * 1024
"""Bytes of an event kept in a reject, as at the door."""


class Code(StrEnum):
    UNDECODABLE = "undecodable"
    SESSION_CLOSED = "session_closed"
    EMPTY_CONTENT_ID = "empty_content_id"
    POISONED = "poisoned"


_PATH: Final = {Code.EMPTY_CONTENT_ID: "params.media.id"}


def reject(code: Code, detail: str, *, at: int, partition: int, offset: int, envelope: Envelope) -> Record:
    """The record for one event. `at` is the wall in epoch ms; `offset` is the event's on this partition of events."""
    sid, body = envelope.sid, envelope.event
    document: dict[str, Any] = {
        "rejectedAt": at,
        "stage": "worker",
        "code": code,
        "status": None,
        "sid": sid or None,
        "endpoint": None,
        "errors": [{"path": _PATH.get(code, ""), "rule": code, "detail": detail}],
        "peer": envelope.peer,
        "origin": {"topic": topics.EVENTS.name, "partition": partition, "offset": offset},
    }
    kept = body[:BODY_LIMIT]
    if len(kept) < len(body):
        document["truncated"] = True
    try:
        document["body"] = kept.decode()
    except UnicodeDecodeError:
        document["bodyBase64"] = b64encode(kept).decode()
    return Record(topics.REJECTS.name, partition, sid.encode("utf-8", "replace"), codec.encode(document))
