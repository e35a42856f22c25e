"""Drives the machine in tests: folds events, keeps the rows, and holds each row against its published schema."""

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import orjson

import schemas
from processors.session import machine, packed
from processors.session.rules import Rules
from processors.session.state import Session
from schemas.events import Envelope, Event, EventType
from schemas.reports import CloseReason, Row, RowKind
from schemas.topics import ROW_LIMIT_BYTES, STATE_LIMIT_BYTES

BASE = 1_767_225_600_000
"""2026-01-01T00:00:00Z: a whole UTC minute."""
SID = f"010000{BASE:012x}" + "ab" * 23
LATENCY = 7
"""Milliseconds from the player's clock to the door's, in these tests."""

SCHEMA_FILES = Path(schemas.__file__).parent / "json" / "reports"
SCHEMAS: dict[str, Any] = {kind: json.loads((SCHEMA_FILES / f"{kind}.v1.json").read_text()) for kind in RowKind}
# The rows' schemas use nothing that came after draft-07 but the name: compiled once, they cost microseconds a row.
VALID = {kind: fastjsonschema.compile({**document, "$schema": ""}) for kind, document in SCHEMAS.items()}


def at(
    seconds: float,
    event_type: str,
    playhead: float = 0,
    params: dict[str, Any] | None = None,
    *,
    qoe: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Event:
    """An event so many seconds after the base."""
    return Event(EventType(event_type), playhead, BASE + round(seconds * 1000), params or {}, qoe or {}, metadata or {})


def start(seconds: float = 0, playhead: float = 0, length: float | None = 100, **params: Any) -> Event:
    """A sessionStart of content "content"; keywords are params without `media.` (`contentType="live"`)."""
    told = {"media.id": "content", "media.contentType": "vod", "media.playerName": "player", "media.channel": "channel"}
    if length is not None:
        told["media.length"] = length
    return at(seconds, "sessionStart", playhead, told | {f"media.{key}": value for key, value in params.items()})


def document(event: Event) -> bytes:
    """The client's bytes this event could have come as."""
    return orjson.dumps(
        {
            "eventType": event.type,
            "playerTime": {"playhead": event.playhead, "ts": event.ts},
            "params": event.params,
            "qoeData": event.qoe,
            "customMetadata": event.custom_metadata,
        }
    )


def checked(row: Row) -> Row:
    """A row that its published schema accepts, that fits onto its topic, and whose id says what it is."""
    value = orjson.dumps(row.value)
    assert len(value) < ROW_LIMIT_BYTES
    VALID[row.kind](orjson.loads(value))
    assert row.value["_id"] == f"{row.sid}:{row.kind}:{row.instance}:{row.revision}"
    return row


class Drive:
    """One session from its sessionStart on. Packs and unpacks after every event unless told otherwise."""

    def __init__(self, rules: Rules | None = None, source: str = "collection", *, packing: bool = True) -> None:
        self.rules = rules or Rules()
        self.source = source
        self.packing = packing
        self.rows: list[Row] = []
        self.session: Session | None = None

    def fold(self, *events: Event) -> "Drive":
        for event in events:
            received_at = BASE + LATENCY + max(0, min(event.ts - BASE, 10**11))
            if self.session is None:
                envelope = Envelope(SID, received_at, self.source, None, None, document(event))
                self.session, rows = machine.begin(envelope, event, self.rules)
            else:
                rows = machine.advance(self.session, event, received_at, self.rules)
            self.keep(rows)
        return self

    def keep(self, rows: list[Row]) -> None:
        self.rows += [checked(row) for row in rows]
        if self.packing:
            self.repack()

    def repack(self) -> None:
        current = packed.pack(self.open)
        assert len(current) < STATE_LIMIT_BYTES
        assert len(packed.pack_start(self.open)) < STATE_LIMIT_BYTES
        self.session = packed.unpack(SID, packed.pack_start(self.open), current)

    @property
    def open(self) -> Session:
        assert self.session is not None
        return self.session

    def expire(self, reason: CloseReason = CloseReason.TIMEOUT_IDLE, closed_at: int | None = None) -> "Drive":
        deadline = self.open.last_received_at + self.rules.idle_timeout_ms if closed_at is None else closed_at
        self.keep(machine.expire(self.open, reason, deadline, self.rules))
        return self

    def heartbeat(self) -> Row:
        row = checked(machine.heartbeat(self.open, self.rules))
        self.repack()
        return row

    def of(self, kind: RowKind) -> list[dict[str, Any]]:
        return [row.value for row in self.rows if row.kind == kind]

    @property
    def close(self) -> "Numbers":
        """The latest close row."""
        return Numbers(self.of(RowKind.SESSION_CLOSE)[-1])

    @property
    def ads(self) -> list["Numbers"]:
        return [Numbers(value) for value in self.of(RowKind.AD_CLOSE)]

    @property
    def chapters(self) -> list["Numbers"]:
        return [Numbers(value) for value in self.of(RowKind.CHAPTER_CLOSE)]


class Numbers:
    """A row's values by name, whichever block they stand in. What is absent is None."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.own = value["mediabeat"]
        self.extras = self.own.get("extras", {})
        self.flags = self.own.get("flags", [])
        blocks = value["mediaReporting"]
        self.states = {state["name"]: state for state in blocks.get("states", [])}
        self._values = {**blocks["sessionDetails"]}
        for name in ("qoeDataDetails", "advertisingDetails", "chapterDetails"):
            self._values |= blocks.get(name, {})

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def of(self, *names: str) -> tuple[Any, ...]:
        return tuple(self._values.get(name) for name in names)

    @property
    def markers(self) -> list[int]:
        return [threshold for threshold in (10, 25, 50, 75, 95) if self._values.get(f"hasProgress{threshold}")]

    @property
    def reason(self) -> str:
        return str(self.own["closeReason"])


def drive(*events: Event, rules: Rules | None = None, source: str = "collection") -> Drive:
    return Drive(rules, source).fold(*events)
