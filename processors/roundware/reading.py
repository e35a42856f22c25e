"""What a Roundware client's words mean: its event types, its clock, its zone, its durations."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import asin, cos, radians, sin, sqrt
from typing import Final

from schemas.roundware import Event

START: Final = "session.start"
PLAY: Final = "play"
PAUSE: Final = "pause"
END: Final = "session.end"
PING: Final = "ping"
ITEM_START: Final = "item.start"
ITEM_END: Final = "item.end"
ITEM_DELETE: Final = "item.delete"
OTHER: Final = "other"

_TYPES: Final = {
    PLAY: ("play_stream", "start_listen", "start_stream", "resume", "request_stream"),
    PAUSE: ("pause_stream", "stop_listen", "stop_stream", "pause"),
    END: ("stop_session", "cleanup_session"),
    PING: ("heartbeat",),
    "seek": ("skip_ahead", "play_asset_in_stream"),
    "position": ("location_update", "move_listener"),
    "filter": ("filter_stream", "modify_stream"),
    "mode": ("change_listen_mode",),
    "contribution": (
        *("start_record", "stop_record", "end_record", "start_upload", "stop_upload", "upload_asset"),
        *("upload_recording", "vote_asset"),
    ),
    "error": ("client_error", "upload_failed"),
    "note": ("start_session",),
}
_KILL: Final = "kill"
"""The end of a stream, by its own route only: as an event it is a word like any other."""
_CANONICAL: Final = {source: canonical for canonical, sources in _TYPES.items() for source in sources}
CANONICAL: Final = (START, *_TYPES, ITEM_START, ITEM_END, ITEM_DELETE, OTHER)
"""Every word that `type_of` can answer, and those of listen events."""

_EARTH_METERS: Final = 6_371_008.8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{0,9}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_ZONE: Final = re.compile(r"([+-]?)(\d\d):?(\d\d)", re.ASCII)
_ZONE_MINUTES: Final = range(-12 * 60, 14 * 60 + 1)
_WHOLE: Final = Decimal(1)
_NONE: Final = Decimal(0)
_LONGEST_MS: Final = Decimal(10 * 365 * 86_400_000)


def type_of(event: Event) -> str:
    """The canonical type of an event; types are told apart letter by letter."""
    if event.event_type == _KILL and event.route != "events":
        return END
    return _CANONICAL.get(event.event_type, OTHER)


def client_ms(text: str, timezone: str | None) -> int | None:
    """A client's time as epoch milliseconds, None if it cannot be read.

    With an offset, or without one in the session's `timezone`; an Android client ends the seconds with a dot.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = 0 if zone == "Z" else zone_minutes(zone or timezone)
    if offset is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // _MILLISECOND + int(((fraction or "") + "000")[:3]) - offset * 60_000


def zone_minutes(text: str | None) -> int | None:
    """Minutes east of UTC of `[sign]dddd`; None for what no zone of the earth has."""
    match = _ZONE.fullmatch(text or "")
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = int(hours) * 60 + int(minutes)
    offset = -offset if sign == "-" else offset
    return offset if int(minutes) < 60 and offset in _ZONE_MINUTES else None


def duration_ms(seconds: str) -> int:
    """Decimal seconds as whole milliseconds, rounded half up; never negative, never more than ten years."""
    exact = min(max(Decimal(seconds) * 1000, _NONE), _LONGEST_MS)
    return int(exact.quantize(_WHOLE, ROUND_HALF_UP))


def meters(here: tuple[float, float], there: tuple[float, float]) -> float:
    """The way between two places in degrees, over a round earth."""
    south, north = radians(here[0]), radians(there[0])
    a = sin((north - south) / 2) ** 2 + cos(south) * cos(north) * sin(radians(there[1] - here[1]) / 2) ** 2
    return 2 * _EARTH_METERS * asin(min(1.0, sqrt(a)))
