"""The rows of a Roundware session: the shape of the others, with a block `roundware` beside `mediabeat`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from processors.roundware.reading import zone_minutes
from processors.roundware.rules import SHARED_DEVICE
from processors.roundware.session import State
from processors.roundware.visit import UNCLOSED_LISTENING, Asset, Position, Visit, measure
from schemas.reports import Row, RowKind
from schemas.roundware import SOURCE

VERSION: Final = 1

_EVENT_TYPES: Final = {
    RowKind.SESSION_START: "media.sessionStart",
    RowKind.SESSION_CLOSE: "media.sessionComplete",
    RowKind.HEARTBEAT: "media.ping",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def session_start(state: State, visit: Visit) -> Row:
    """The row that tells of a visit's start."""
    own: dict[str, Any] = {"instance": visit.ordinal, "revision": 0, "receivedAt": visit.received_at}
    return _row(state, visit, RowKind.SESSION_START, own, {"visit": visit.ordinal, "session": _session(state)})


def session_close(state: State, visit: Visit) -> Row:
    """The row of a closed visit, in its present revision."""
    own: dict[str, Any] = {
        "instance": visit.ordinal,
        "revision": visit.revision,
        "final": True,
        "closeReason": str(visit.reason),
        "endedAt": visit.ended_at,
        "receivedAt": visit.received_at,
        "extras": {"foldedEvents": visit.records},
    }
    if visit.closed_at is not None:
        own["closedAt"] = visit.closed_at
    return _row(state, visit, RowKind.SESSION_CLOSE, own, numbers(state, visit, visit.ended_at))


def heartbeat(state: State, visit: Visit) -> Row:
    """The numbers so far of an open visit, up to its last record."""
    own: dict[str, Any] = {
        "instance": state.heartbeats,
        "revision": 0,
        "final": False,
        "endedAt": state.at,
        "receivedAt": state.received_at,
        "extras": {"foldedEvents": visit.records},
    }
    block = numbers(state, visit, state.at)
    flags = [flag for flag in block.pop("flags", ()) if flag != UNCLOSED_LISTENING]
    return _row(state, visit, RowKind.HEARTBEAT, own, block | ({"flags": flags} if flags else {}))


def numbers(state: State, visit: Visit, end: int) -> dict[str, Any]:
    """The block `roundware` of a visit measured up to `end`."""
    found = measure(visit, state.plays.values(), end)
    block: dict[str, Any] = {
        "visit": visit.ordinal,
        "sessionSeconds": (end - visit.started_at) / 1000,
        "listeningSeconds": found.listening_ms / 1000,
        "heardSeconds": found.heard_ms / 1000,
        "assetSeconds": found.asset_ms / 1000,
        "assets": [_asset(number, found.assets[number]) for number in sorted(found.assets)],
        "eventsByType": dict(sorted(visit.counts.items())),
        "session": _session(state),
    }
    if visit.first_position is not None and visit.last_position is not None:
        block["firstPosition"] = _position(visit.first_position)
        block["lastPosition"] = _position(visit.last_position)
        block["distanceMeters"] = round(visit.meters)
    if found.flags:
        block["flags"] = found.flags
    return block


def _row(state: State, visit: Visit, kind: RowKind, own: dict[str, Any], block: dict[str, Any]) -> Row:
    """The whole document. What is empty or unknown is absent."""
    told = state.told
    instance, revision = own["instance"], own["revision"]
    details: dict[str, Any] = {"ID": state.sid, "streamType": "audio", "pev3": "audio"}
    if told and told.client_type:
        details["playerName"] = told.client_type
    if kind is RowKind.SESSION_START:
        details["isViewed"] = True
    else:
        details["timePlayed"] = details["totalTimePlayed"] = int(block["listeningSeconds"] + 0.5)
        if block["listeningSeconds"]:
            details["isPlayed"] = True
    known = told and told.device and told.device != SHARED_DEVICE
    heading = {
        "kind": str(kind),
        "v": VERSION,
        "sessionId": state.sid,
        "identity": {"visitorId": told.device} if told and known else {},
        "startedAt": visit.started_at,
        "source": SOURCE,
    }
    document = {
        "_id": f"{state.sid}:{kind}:{instance}:{revision}",
        "timestamp": _utc(own.get("endedAt", visit.started_at)),
        "eventType": _EVENT_TYPES[kind],
        "mediaReporting": {"sessionDetails": details},
        "mediabeat": heading | own,
        "roundware": block,
    }
    return Row(kind, state.sid, instance, revision, document)


def _session(state: State) -> dict[str, Any]:
    told = state.told
    if told is None:
        return {}
    shown = {
        "projectId": told.project,
        "userId": told.user,
        "deviceId": told.device,
        "clientType": told.client_type,
        "clientSystem": told.client_system,
        "timezone": told.timezone,
        "utcOffsetMinutes": zone_minutes(told.timezone),
        "language": told.language,
        "languageId": told.language_id,
        "geoListenEnabled": told.geo_listen,
        "demoStreamEnabled": told.demo_stream,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _asset(number: int, asset: Asset) -> dict[str, Any]:
    return {"asset": number, "plays": asset.plays, "seconds": asset.ms / 1000, "estimated": asset.estimated}


def _position(place: Position) -> dict[str, float]:
    return {"latitude": place[0], "longitude": place[1]}


def _utc(milliseconds: int) -> str:
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
