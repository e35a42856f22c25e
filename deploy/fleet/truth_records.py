"""What the events topic says happened: envelopes read back into told events, session by session.

Read with the JSON parser alone, on purpose: nothing here shares code with the door or with the lanes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.records import StoredRecord

APPEND_TIME_SLACK_MS = 2_000
"""A `receivedAt` counts at most this far beyond the log's append time (topics.md 3, Timeouts)."""

_DECODER = json.JSONDecoder()
_FILLED = {
    "sessionStart": ("media.playerName", "media.channel"),
    "adStart": ("media.ad.playerName",),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One accepted event as it stands in the log.

    `ts` is the player's clock, `received_at` the door's, `arrived_at` = min(received_at, append time + 2 s); all in
    epoch milliseconds. `clock` is the highest `arrived_at` of its dialect on the partition up to this record, itself
    included.
    """

    sid: str
    partition: int
    offset: int
    received_at: int
    arrived_at: int
    clock: int
    source: str
    index: int | None
    of: int | None
    body: str
    type: str
    ts: int
    playhead: float
    params: dict[str, Any]
    qoe: dict[str, Any]
    metadata: dict[str, str]

    @property
    def start_document(self) -> dict[str, Any]:
        """The client's document without its `ts`: what `startHash` is taken of."""
        document: dict[str, Any] = orjson.loads(self.body)
        document["playerTime"].pop("ts")
        return document


def read_partition(partition: int, records: Iterable[StoredRecord]) -> list[Told]:
    """The told events of the Media Collection dialect of one partition of the events topic, in offset order."""
    clock = 0
    told = []
    for record in records:
        if record.value is None:
            continue
        text = record.value.decode()
        envelope = orjson.loads(text)
        arrived_at = min(envelope["receivedAt"], record.timestamp + APPEND_TIME_SLACK_MS)
        if envelope["source"] == "roundware":
            continue  # another dialect, with a clock of its own
        clock = max(clock, arrived_at)
        told.append(_told(envelope, _event_text(text), (partition, record.offset), (arrived_at, clock)))
    return told


def by_session(partitions: Iterable[list[Told]]) -> dict[str, list[Told]]:
    """Each session's events in arrival order. A session is on one partition, so offset order is arrival order."""
    sessions: dict[str, list[Told]] = {}
    for told in partitions:
        for event in told:
            sessions.setdefault(event.sid, []).append(event)
    return sessions


def _event_text(envelope: str) -> str:
    """The event exactly as it stands in the envelope: duplicates are judged byte by byte."""
    start = envelope.index('"event":') + len('"event":')
    while envelope[start] in " \t\r\n":
        start += 1
    _, end = _DECODER.raw_decode(envelope, start)
    return envelope[start:end]


def _told(envelope: dict[str, Any], body: str, place: tuple[int, int], instants: tuple[int, int]) -> Told:
    event = envelope["event"]
    event_type = "sessionComplete" if event["eventType"] == "contentComplete" else event["eventType"]
    params = dict(event.get("params") or {})
    for key in _FILLED.get(event_type, ()):
        params.setdefault(key, "unknown")
    # Newer pages of the manual put quality and error keys among the params; their documented place goes before.
    displaced = {key: value for key, value in params.items() if key.startswith("media.qoe.")}
    batch = envelope.get("batch") or {}
    return Told(
        sid=envelope["sid"],
        partition=place[0],
        offset=place[1],
        received_at=envelope["receivedAt"],
        arrived_at=instants[0],
        clock=instants[1],
        source=envelope["source"],
        index=batch.get("index"),
        of=batch.get("of"),
        body=body,
        type=event_type,
        ts=int(event["playerTime"]["ts"]),
        playhead=event["playerTime"]["playhead"],
        params=params,
        qoe=displaced | (event.get("qoeData") or {}),
        metadata=event.get("customMetadata") or {},
    )
