"""Roundware records and truths in a few words, for the tests of the fleet's truth."""

from collections.abc import Iterable
from typing import Any

import orjson

from deploy.fleet.expectation import plain
from deploy.fleet.outcome import Timeouts
from deploy.fleet.roundware.told import Heard, by_session, read_partition
from deploy.fleet.roundware.truth import SessionTruth
from schemas.records import StoredRecord

BEGAN_AT = 1_767_225_600_000
NUMBER = 4242
SID = f"r:{NUMBER}"
LIMIT_MS = 1_800_000
FOREVER = 1 << 62

Told = tuple[float, str, dict[str, Any]]
"""Seconds after the beginning, the record's kind, and its members: of the door, `sent` among them."""


def session(at: float = 0, *, device: str = "a device", timezone: str = "0000", **sent: Any) -> Told:
    told = {"project_id": 1, "client_system": "iOS 8.1", "timezone": timezone, **sent}
    made = {"project": 1, "user": 7, "device": device, "clientType": "phone", "clientSystem": "iOS 8.1"}
    made |= {"timezone": timezone, "language": "en", "languageId": 1, "geoListen": True, "demoStream": False}
    return at, "session", {"id": NUMBER, "sent": told, **made}


def event(at: float, event_type: str, **sent: Any) -> Told:
    return at, "event", {"sent": {"session_id": NUMBER, "event_type": event_type, **sent}, "route": "events"}


def streams(at: float, event_type: str) -> Told:
    return at, "event", {"sent": {}, "eventType": event_type, "route": "streams"}


def listen(at: float, number: int, asset: int, lasted: Any = None) -> Told:
    duration = {} if lasted is None else {"duration_in_seconds": lasted}
    return at, "listen", {"id": number, "sent": {"starttime": "2022-01-02T03:04:05Z", "asset": asset, **duration}}


def patch(at: float, number: int, lasted: Any) -> Told:
    return at, "listenChange", {"listen": number, "sent": {"duration_in_seconds": lasted}}


def delete(at: float, number: int) -> Told:
    return at, "listenDelete", {"listen": number, "sent": {}}


def records(told: Iterable[Told]) -> list[StoredRecord]:
    found = []
    for offset, (at, kind, members) in enumerate(told):
        received_at = BEGAN_AT + round(at * 1000)
        made = {"dialect": "roundware", "kind": kind, "id": 9_000 + offset, "session": NUMBER} | members
        envelope = {"v": 1, "sid": SID, "receivedAt": received_at, "source": "roundware", "peer": None, "event": made}
        found.append(StoredRecord(offset, received_at, SID.encode(), orjson.dumps(envelope)))
    return found


def heard(told: Iterable[Told]) -> list[Heard]:
    return by_session([read_partition(0, records(told))])[SID]


def truth(*told: Told, horizon: int = FOREVER) -> SessionTruth:
    return SessionTruth(heard(told), Timeouts(idle=LIMIT_MS), horizon)


def closes(session_truth: SessionTruth) -> list[dict[str, Any]]:
    """Each session-close: `mediabeat` and `roundware` in one dictionary, instants from the beginning in seconds."""
    found = []
    for expected in session_truth.rows:
        if expected.kind == "session-close":
            row = plain(expected.document)
            ours = row["mediabeat"]
            instants = {
                name: (ours[name] - BEGAN_AT) / 1000 for name in ("startedAt", "endedAt", "closedAt") if name in ours
            }
            found.append(
                {**row["roundware"], **ours, **instants, "id": row["_id"].removeprefix(SID + ":session-close:")}
            )
    return found


def close(*told: Told) -> dict[str, Any]:
    """The only one."""
    [found] = closes(truth(*told))
    return found
