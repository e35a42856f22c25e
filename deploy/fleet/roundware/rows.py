"""What stands in each row of a Roundware session: a second reading of docs/reports.md and topics.md 3."""

from itertools import pairwise
from typing import Any

from deploy.fleet.expectation import ABSENT, Among, Near
from deploy.fleet.rounding import seconds, utc
from deploy.fleet.roundware import readings, sums
from deploy.fleet.roundware.sums import Frame, Played, Sound
from deploy.fleet.roundware.told import Heard
from deploy.fleet.roundware.visits import Visit, stoptime_ms, told_stoptime_ms

Document = dict[str, Any]

EVENT_TYPES = {
    "session-start": "media.sessionStart",
    "session-close": "media.sessionComplete",
    "heartbeat": "media.ping",
}
FLAGS = frozenset(
    {
        *("stopWithoutStart", "unclosedListening", "estimated", "heardAsListening", "repeated", "clockSkew"),
        *(
            "unreadableTime",
            "badPosition",
            "badTags",
            "badDuration",
            "unknownListen",
            "stoptimeIgnored",
            "sharedDevice",
            "truncated",
        ),
    }
)
_TOLD = {
    "projectId": "project",
    "userId": "user",
    "deviceId": "device",
    "clientType": "clientType",
    "clientSystem": "clientSystem",
    "timezone": "timezone",
    "language": "language",
    "languageId": "languageId",
    "geoListenEnabled": "geoListen",
    "demoStreamEnabled": "demoStream",
}
_SHARED_DEVICE = "0" * 14
_METRE_TOLERANCE = 0.001
"""Of the way between places: the contract says nothing of the earth's shape or radius."""


class Session:
    """What a session is, in all its visits: told once, at its creation."""

    def __init__(self, first: Heard, window_ms: int) -> None:
        self.window_ms = window_ms
        self.sid = first.sid
        self.made = first.made
        self.zone: str = first.made.get("timezone", "0000")
        self.device: str | None = first.made.get("device")

    @property
    def is_shared(self) -> bool:
        return self.device == _SHARED_DEVICE

    def identity(self) -> Document:
        return {} if self.is_shared or self.device is None else {"visitorId": self.device}

    def told(self) -> Document:
        """Of a session without these nothing is said."""
        told = {name: self.made.get(of) for name, of in _TOLD.items()}
        told["utcOffsetMinutes"] = readings.zone_minutes(self.zone)
        return {name: ABSENT if value is None else value for name, value in told.items()}

    def details(self) -> Document:
        return {
            "ID": self.sid,
            "streamType": "audio",
            "pev3": "audio",
            "playerName": self.made.get("clientType") or ABSENT,
        }


def start_row(session: Session, visit: Visit) -> Document:
    document = _row(session, visit, "session-start", visit.began_at, visit.records[0].received_at)
    document["mediaReporting"] = {"sessionDetails": session.details() | {"isViewed": True}}
    document["roundware"] = {"visit": visit.ordinal, "session": session.told()}
    return document


def close_row(session: Session, visit: Visit, received_at: int, changes: list[Heard]) -> Document:
    """The close as known after these changes from the next visit. `received_at`: of the record that made the row."""
    ending = visit.ending
    assert ending is not None
    document = _row(session, visit, "session-close", ending.at, received_at)
    frame = Frame(visit.began_at, ending.at, session.zone, session.window_ms)
    _fill(document, session, visit, [*visit.records, *changes], frame)
    document["mediabeat"] |= {"final": True, "closeReason": ending.reason, "endedAt": ending.at}
    if ending.closed_at is not None:
        document["mediabeat"]["closedAt"] = ending.closed_at
    return document


def heartbeat_row(session: Session, visit: Visit, folded: int) -> Document:
    """The visit as it stood after its first `folded` records."""
    records = visit.records[:folded]
    newest = records[-1]
    document = _row(session, visit, "heartbeat", newest.at, newest.received_at)
    _fill(
        document,
        session,
        visit,
        records,
        Frame(visit.began_at, newest.at, session.zone, session.window_ms, is_over=False),
    )
    document["mediabeat"] |= {"final": False, "endedAt": newest.at}
    return document


def _row(session: Session, visit: Visit, kind: str, at: int, received_at: int) -> Document:
    return {
        "timestamp": utc(at),
        "eventType": EVENT_TYPES[kind],
        "mediabeat": {
            "kind": kind,
            "v": 1,
            "sessionId": session.sid,
            "instance": visit.ordinal,
            "revision": 0,
            "identity": session.identity(),
            "startedAt": visit.began_at,
            "receivedAt": received_at,
            "source": "roundware",
        },
    }


def _fill(document: Document, session: Session, visit: Visit, records: list[Heard], frame: Frame) -> None:
    """The numbers. `records`: those of the visit, and after them the changes that the next visit brought."""
    own = records[: len(visit.records)]
    listening = sums.listening_of(own, frame)
    sounds = list(sums.sounds_of(own).values())
    _change(sounds, records[len(visit.records) :])
    played = sums.played(sounds, listening.stops, frame)
    heard_ms = sums.union_ms(one.interval for one in played)
    listening_ms = sums.union_ms(listening.intervals) if listening.has_steps else heard_ms
    places = [place for record in own if record.kind == "event" and (place := readings.place(record.sent))]
    flags = listening.flags | _flags(session, visit, own, sounds)
    if heard_ms and not listening.has_steps:
        flags.add("heardAsListening")
    document["mediabeat"]["extras"] = {"foldedEvents": len(own)}
    document["roundware"] = {
        "visit": visit.ordinal,
        "session": session.told(),
        "sessionSeconds": (frame.ended_at - frame.began_at) / 1000,
        "listeningSeconds": listening_ms / 1000,
        "assetSeconds": sum(end - start for _, (start, end), _ in played) / 1000,
        "heardSeconds": heard_ms / 1000,
        "assets": _assets(played),
        "eventsByType": dict(sums.types_of(own)),
        "flags": _all_or_none(flags),
    }
    if places:
        document["roundware"] |= {
            "firstPosition": _place(places[0]),
            "lastPosition": _place(places[-1]),
            "distanceMeters": _way(places),
        }
    whole = seconds(listening_ms)
    document["mediaReporting"] = {
        "sessionDetails": session.details()
        | {"timePlayed": whole, "totalTimePlayed": whole, "isPlayed": True if listening_ms else ABSENT}
    }


def _all_or_none(flags: set[str]) -> Among:
    """In any order; absent where there are none."""
    return Among(frozenset(flags), FLAGS - flags)


def _change(sounds: list[Sound], changes: list[Heard]) -> None:
    by_number = {sound.number: sound for sound in sounds}
    for record in changes:
        sums.change(by_number[record.made["listen"]], record)


def _assets(played: list[Played]) -> list[Document]:
    assets = []
    for number in sorted({one.asset for one in played}):
        of_asset = [one for one in played if one.asset == number]
        assets.append(
            {
                "asset": number,
                "plays": len(of_asset),
                "seconds": sum(end - start for _, (start, end), _ in of_asset) / 1000,
                "estimated": sum(one.is_estimated for one in of_asset),
            }
        )
    return assets


def _place(place: tuple[float, float]) -> Document:
    return {"latitude": place[0], "longitude": place[1]}


def _way(places: list[tuple[float, float]]) -> Near:
    metres = sum(readings.metres(start, end) for start, end in pairwise(places))
    return Near(metres, metres * _METRE_TOLERANCE + 1)


def _flags(session: Session, visit: Visit, own: list[Heard], sounds: list[Sound]) -> set[str]:
    told = told_stoptime_ms(visit)
    is_so = {
        "estimated": any(sound.lasted_ms is None and not sound.is_forgotten for sound in sounds),
        "repeated": sums.has_repeats(own),
        "badTags": any(readings.has_bad_tags(record.sent) for record in own if record.kind == "event"),
        "badPosition": any(readings.has_bad_place(record.sent) for record in own if record.kind == "event"),
        "stoptimeIgnored": told is not None and stoptime_ms(visit) is None,
        "sharedDevice": session.is_shared,
        "badDuration": any(sound.lasted_ms is not None and sound.lasted_ms < 0 for sound in sounds),
        "unknownListen": any(record.offset in visit.strays for record in own),
    }
    return {flag for flag, stands in is_so.items() if stands} | sums.odd_times(own, session.zone)
