"""What a client's words mean: a second reading of the documented types, places, durations and times."""

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from deploy.fleet.roundware.told import Heard

_TYPES = {
    "play": ("play_stream", "start_listen", "start_stream", "resume", "request_stream"),
    "pause": ("pause_stream", "stop_listen", "stop_stream", "pause"),
    "session.end": ("stop_session", "cleanup_session"),
    "ping": ("heartbeat",),
    "seek": ("skip_ahead", "play_asset_in_stream"),
    "position": ("location_update", "move_listener"),
    "filter": ("filter_stream", "modify_stream"),
    "mode": ("change_listen_mode",),
    "contribution": (
        *("start_record", "stop_record", "end_record", "start_upload", "stop_upload"),
        *("upload_asset", "upload_recording", "vote_asset"),
    ),
    "error": ("client_error", "upload_failed"),
    "note": ("start_session",),
}
_TYPE_OF = {word: name for name, words in _TYPES.items() for word in words}
_TYPE_OF_KIND = {
    "session": "session.start",
    "listen": "item.start",
    "listenChange": "item.end",
    "listenDelete": "item.delete",
}
_SPACED = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\.\+0000")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_ZONE = re.compile(r"([+-]?)(\d\d)(\d\d)")


def type_of(record: Heard) -> str:
    """The documented type of a record."""
    if record.kind != "event":
        return _TYPE_OF_KIND[record.kind]
    word = event_type(record)
    if word == "kill" and record.made.get("route") == "streams":
        return "session.end"
    return _TYPE_OF.get(word, "other")


def event_type(record: Heard) -> str:
    """What the client called it; calls below `streams/` have no document to say so: there the path did."""
    if record.made.get("route", "events") != "events":
        return str(record.made["eventType"])
    return str(record.sent["event_type"]).strip()


def place(sent: dict[str, Any]) -> tuple[float, float] | None:
    """(latitude, longitude) in degrees where both are numbers in range; else None."""
    latitude, longitude = _degrees(sent.get("latitude"), 90), _degrees(sent.get("longitude"), 180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def has_bad_place(sent: dict[str, Any]) -> bool:
    """Whether a coordinate was told that is none."""
    told = ((sent.get("latitude"), 90), (sent.get("longitude"), 180))
    return any(value not in (None, "") and _degrees(value, most) is None for value, most in told)


def has_bad_tags(sent: dict[str, Any]) -> bool:
    """Whether a tag was told that is no integer; empty ones are none. `tags` wins over `tag_ids`."""
    told = sent["tags"] if "tags" in sent else sent.get("tag_ids")
    tags = str(told or "").split(",") if not isinstance(told, list) else told
    return any(_INTEGER.fullmatch(str(tag).strip()) is None for tag in tags if str(tag).strip())


def _degrees(told: Any, most: float) -> float | None:
    try:
        value = float(told)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and abs(value) <= most and not isinstance(told, bool) else None


def metres(start: tuple[float, float], end: tuple[float, float]) -> float:
    """The way over a round earth."""
    from_latitude, to_latitude = math.radians(start[0]), math.radians(end[0])
    turn = math.radians(end[1] - start[1])
    rise = math.sin((to_latitude - from_latitude) / 2) ** 2
    half = rise + math.cos(from_latitude) * math.cos(to_latitude) * math.sin(turn / 2) ** 2
    return 2 * 6_371_000 * math.asin(min(1.0, math.sqrt(half)))


def lasted_ms(sent: dict[str, Any]) -> int | None:
    """Whole milliseconds, half up, a listen event lasted; None where that was not told."""
    seconds = seconds_told(sent)
    return None if seconds is None else int((seconds * 1000).quantize(Decimal(1), ROUND_HALF_UP))


def seconds_told(sent: dict[str, Any]) -> Decimal | None:
    """As told in seconds, or in nanoseconds."""
    if (told := sent.get("duration_in_seconds")) not in (None, ""):
        return Decimal(str(told))
    if (told := sent.get("duration")) not in (None, ""):
        return Decimal(str(told)).scaleb(-9)
    return None


def client_time_ms(sent: dict[str, Any], zone: str) -> int | None:
    """Epoch milliseconds of `client_time`; None where there is none or it cannot be read."""
    told = str(sent.get("client_time") or "")
    spaced = _SPACED.fullmatch(told)
    try:
        at = datetime.fromisoformat(f"{spaced[1]}T{spaced[2]}+00:00" if spaced else told)
    except ValueError:
        return None
    if at.tzinfo is None:
        ahead = zone_minutes(zone)
        if ahead is None:
            return None
        at = at.replace(tzinfo=UTC) - timedelta(minutes=ahead)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def zone_minutes(zone: str) -> int | None:
    """Minutes ahead of UTC; None outside -1200 to +1400."""
    found = _ZONE.fullmatch(zone)
    if found is None:
        return None
    minutes = (-1 if found[1] == "-" else 1) * (int(found[2]) * 60 + int(found[3]))
    return minutes if -720 <= minutes <= 840 and int(found[3]) < 60 else None
