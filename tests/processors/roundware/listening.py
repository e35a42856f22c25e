"""A partition that takes both dialects, and the documents of Roundware clients as the door writes them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastjsonschema
import orjson

import schemas
from processors.dialects import Dialects
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session_table import SessionTable
from schemas import roundware, topics
from schemas.records import StoredRecord
from schemas.roundware import Document, Event, Listen, ListenChange, ListenDelete, Session
from tests.processors.partition import SECOND, T0, Partition

N = 4_503_599_627_370_497
"""A session's number."""
SID = f"r:{N}"
USER, DEVICE = 7_000_001, "4f1c-device"

SCHEMA = json.loads((Path(schemas.__file__).parent / "json" / "reports" / "roundware.v1.json").read_text())
VALID = fastjsonschema.compile({**SCHEMA, "$schema": ""})
QUIET = RoundwareRules(heartbeat_interval_ms=0)


def seconds(value: float) -> int:
    return T0 + round(value * SECOND)


@dataclass
class Rounds(Partition):
    """Records of Roundware clients go in by `open`, `tell`, `hear`, `heard` and `forget`, at seconds after T0."""

    listening: RoundwareRules = field(default_factory=lambda: QUIET)
    numbers: int = 100

    def new_table(self) -> Any:
        sessions = SessionTable(self.number, self.rules, self.counts)
        return Dialects(sessions, RoundwareTable(self.number, self.listening, self.counts))

    def send(self, document: Document, at: float, sent: Any = None, **how: Any) -> None:
        sid = roundware.session_key(document.session)
        value = roundware.encode(document, orjson.dumps({} if sent is None else sent))
        self.put(sid, value, seconds(at), source="roundware", **how)

    def minted(self) -> int:
        self.numbers += 1
        return self.numbers

    def open(self, at: float = 0, number: int = N, **told: Any) -> None:
        known: dict[str, Any] = {"device": DEVICE, "client_type": "web", "client_system": "Firefox", "timezone": "0000"}
        known |= {"language": "en", "language_id": 1, "geo_listen": True, "demo_stream": False}
        starttime = roundware.shown_instant(seconds(at) * 1000)
        self.send(Session(number, number, 1, USER, **{**known, "starttime": starttime, **told}), at)

    def tell(self, event_type: str, at: float, number: int = N, **members: Any) -> int:
        how = {name: members.pop(name) for name in ("appended",) if name in members}
        event = Event(self.minted(), number, 1, USER, DEVICE, event_type, roundware.shown_instant(seconds(at) * 1000))
        event = event._replace(**members)
        sent = {"event_type": event_type, "client_time": event.client_time, "data": event.data}
        self.send(event, at, sent, **how)
        return event.id

    def hear(self, asset: int, at: float, duration: str | None = None, number: int = N) -> int:
        shown = roundware.shown_instant(seconds(at) * 1000)
        listen = Listen(self.minted(), number, 1, USER, DEVICE, asset, "2022-01-02T03:04:05.678000", shown, duration)
        self.send(listen, at)
        return listen.id

    def heard(self, listen: int, duration: str | None, at: float, number: int = N) -> None:
        shown = roundware.shown_instant(seconds(at) * 1000)
        self.send(ListenChange(self.minted(), number, 1, USER, DEVICE, listen, shown, duration), at)

    def forget(self, listen: int, at: float, number: int = N) -> None:
        shown = roundware.shown_instant(seconds(at) * 1000)
        self.send(ListenDelete(self.minted(), number, 1, USER, DEVICE, listen, shown), at)

    def wait(self, until: float) -> None:
        """The caught-up lane's clock reaches `until` seconds after T0."""
        self.pass_time(round(until * SECOND))

    # Out.

    def closes(self, sid: str = SID) -> list[dict[str, Any]]:
        assert not self.rejects()
        found = self.rows("session-close", sid)
        for row in found:
            VALID(row)
        return found

    def close(self, sid: str = SID) -> dict[str, Any]:
        """The only close row there is."""
        [row] = self.closes(sid)
        return row

    def block(self, sid: str = SID) -> dict[str, Any]:
        """The numbers of the only close row there is."""
        block: dict[str, Any] = self.close(sid)["roundware"]
        return block

    def shown(self) -> dict[str, Document]:
        """What lists are answered from, as a compaction leaves it."""
        newest = {r.key.decode(): r.value for r in self.written if r.topic == topics.ROUNDWARE.name}
        return {key: roundware.decode(value) for key, value in newest.items() if value is not None}


def of_roundware(records: list[StoredRecord]) -> list[StoredRecord]:
    return [record for record in records if record.key.startswith(b"r:")]
