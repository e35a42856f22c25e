"""What a Roundware client did, as one JSON document that the door writes, the lane folds and the API shows.

The document is the `event` of an envelope whose source is `roundware` and whose sid is `session_key(number)`; without
`sent` it is also the value of the folded topic, under one of the three keys below:

    {"dialect":"roundware","v":1,"kind":"event","id":…,"session":…,"project":…,"user":…,"device":…,…,"sent":{…}}

`sent` is what the client sent: its JSON byte for byte, or a form as an object of strings. Numbers of sessions, records
and users are integers up to 2^53 - 1. Times that are shown are UTC, ISO, without a zone, with six digits of a second
or none; see `shown_instant`. A reader passes over members it does not know.
"""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from schemas import codec

SOURCE: Final = "roundware"
DIALECT: Final = "roundware"
VERSION: Final = 1
KEY_PREFIX: Final = b"r:"
NUMBER_MAX: Final = 2**53 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CENT: Final = Decimal("0.01")


class Kind(StrEnum):
    """What a document tells."""

    SESSION = "session"
    EVENT = "event"
    LISTEN = "listen"
    LISTEN_CHANGE = "listenChange"
    LISTEN_DELETE = "listenDelete"


class Quality(StrEnum):
    """What a client sent that could be kept only as text."""

    POSITION = "badPosition"
    """A latitude or longitude that is no number, or out of range: both are null."""
    TAGS = "badTags"
    """Tags that are no list of integers: those that are no integer are left out."""


class Session(NamedTuple):
    """POST sessions/. `starttime` is the door's clock, `stoptime` as the client gave it; both as shown."""

    id: int
    session: int
    project: int
    user: int
    device: str | None
    client_type: str | None
    client_system: str
    timezone: str
    language: str
    language_id: int
    geo_listen: bool
    demo_stream: bool
    starttime: str
    stoptime: str | None = None


class Event(NamedTuple):
    """POST events/, or one of the calls below streams/, which `route` then says.

    `latitude` and `longitude` in degrees, both or neither; `tags` are what the text said. The texts are what the client
    sent, for the answer. `project` is the session's, None where the door did not know it.
    """

    id: int
    session: int
    project: int | None
    user: int
    device: str | None
    event_type: str
    server_time: str
    client_time: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    tags: tuple[int, ...] = ()
    data: str | None = None
    latitude_text: str | None = None
    longitude_text: str | None = None
    tags_text: str | None = None
    route: str = "events"
    quality: tuple[str, ...] = ()


class Listen(NamedTuple):
    """POST listenevents/: one asset began to play at `starttime`, the client's clock.

    `duration_seconds` is decimal text without an exponent, at least 0, None while unknown; `updates` counts the changes
    since. `project` as in Event.
    """

    id: int
    session: int
    project: int | None
    user: int
    device: str | None
    asset: int
    starttime: str
    server_time: str
    duration_seconds: str | None = None
    updates: int = 0


class ListenChange(NamedTuple):
    """PATCH listenevents/`listen`/: its duration so far; None changes nothing. `id` is the change's own number."""

    id: int
    session: int
    project: int | None
    user: int
    device: str | None
    listen: int
    server_time: str
    duration_seconds: str | None = None


class ListenDelete(NamedTuple):
    """DELETE listenevents/`listen`/: it is to be as if it had never been. `id` is the deletion's own number."""

    id: int
    session: int
    project: int | None
    user: int
    device: str | None
    listen: int
    server_time: str


Document = Session | Event | Listen | ListenChange | ListenDelete
AnyDocument = TypeVar("AnyDocument", Session, Event, Listen, ListenChange, ListenDelete)

_KINDS: Final[dict[type, Kind]] = {
    Session: Kind.SESSION,
    Event: Kind.EVENT,
    Listen: Kind.LISTEN,
    ListenChange: Kind.LISTEN_CHANGE,
    ListenDelete: Kind.LISTEN_DELETE,
}
_CLASSES: Final[dict[str, Any]] = {str(kind): of for of, kind in _KINDS.items()}


def wire_name(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(word.capitalize() for word in others)


_FIELDS: Final = {of: tuple((field, wire_name(field)) for field in of._fields) for of in _CLASSES.values()}
_NUMBERS: Final = frozenset({"id", "session", "user", "asset", "listen"})
_REQUIRED: Final = {of: frozenset(of._fields) - set(of._field_defaults) for of in _CLASSES.values()}


def session_key(session: int) -> str:
    """The sid and key of everything of this session; its partition is `topics.partition_of` of it."""
    return f"r:{session}"


def event_key(session: int, event: int) -> str:
    """The key of one event on the folded topic, on the partition of its session's key."""
    return f"r:{session}/e:{event}"


def listen_key(session: int, listen: int) -> str:
    """The key of one listen event on the folded topic, on the partition of its session's key."""
    return f"r:{session}/l:{listen}"


def folded_key(document: Session | Event | Listen) -> str:
    """The key of what the folded topic holds of this document."""
    if isinstance(document, Event):
        return event_key(document.session, document.id)
    if isinstance(document, Listen):
        return listen_key(document.session, document.id)
    return session_key(document.session)


def encode(document: Document, sent: bytes | None = None) -> bytes:
    """The document as UTF-8 JSON. `sent` must be one JSON value; without it the member is absent, as when folded.

    TypeError for text that JSON cannot say (lone surrogates).
    """
    of = type(document)
    head: dict[str, Any] = {"dialect": DIALECT, "v": VERSION, "kind": _KINDS[of]}
    head.update((name, getattr(document, field)) for field, name in _FIELDS[of])
    text = codec.encode(head)
    return text if sent is None else b'%b,"sent":%b}' % (text[:-1], sent)


def decode(value: bytes) -> Document:
    """Read what `encode` wrote, of this version or a later one that only added members. `codec.Undecodable`."""
    members = codec.decode(value)
    if type(members) is not dict or members.get("dialect") != DIALECT:
        raise codec.Undecodable("not a document of a Roundware client")
    version, of = members.get("v"), _CLASSES.get(str(members.get("kind")))
    if version != VERSION or of is None:
        raise codec.Undecodable(f"a Roundware document of version {version!r} and kind {members.get('kind')!r}")
    values = {field: members[name] for field, name in _FIELDS[of] if name in members}
    if missing := _REQUIRED[of] - set(values):
        raise codec.Undecodable(f"a Roundware document without {', '.join(sorted(missing))}")
    for field in _NUMBERS & set(values):
        if type(values[field]) is not int:
            raise codec.Undecodable(f"{field} of a Roundware document is no integer")
    for field in ("tags", "quality"):
        if field in values:
            values[field] = tuple(values[field] or ())
    document: Document = of(**values)
    return document


def session_shown(session: Session) -> dict[str, Any]:
    """A session as every answer shows it: the members of both generations of the API."""
    return {
        "id": session.id,
        "session_id": session.id,
        "device_id": session.device,
        "starttime": session.starttime,
        "stoptime": session.stoptime,
        "client_type": session.client_type,
        "client_system": session.client_system,
        "demo_stream_enabled": session.demo_stream,
        "geo_listen_enabled": session.geo_listen,
        "timezone": session.timezone,
        "project_id": session.project,
        "language": session.language,
        "language_id": session.language_id,
    }


def event_shown(event: Event) -> dict[str, Any]:
    """An event as every answer shows it: coordinates and tags as text."""
    return {
        "id": event.id,
        "server_time": event.server_time,
        "client_time": event.client_time,
        "event_type": event.event_type,
        "data": event.data,
        "latitude": event.latitude_text,
        "longitude": event.longitude_text,
        "session_id": event.session,
        "tag_ids": event.tags_text,
    }


def listen_shown(listen: Listen) -> dict[str, Any]:
    """A listen event as every answer shows it: the duration rounded to two decimals, half up."""
    duration = listen.duration_seconds
    return {
        "id": listen.id,
        "duration_in_seconds": None if duration is None else float(Decimal(duration).quantize(_CENT, ROUND_HALF_UP)),
        "start_time": listen.starttime,
        "session_id": listen.session,
        "asset_id": listen.asset,
        "project_id": listen.project,
    }


def changed(listen: Listen, change: ListenChange) -> Listen:
    """The listen event after a change: the last duration counts."""
    duration = listen.duration_seconds if change.duration_seconds is None else change.duration_seconds
    return listen._replace(duration_seconds=duration, updates=listen.updates + 1)


def shown_instant(microseconds: int) -> str:
    """Epoch microseconds as shown: `2026-01-02T03:04:05.678000`, the fraction absent when it is zero."""
    return (_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat()


def instant_of(shown: str) -> int:
    """Epoch microseconds of a time that `shown_instant` wrote. ValueError."""
    return (datetime.fromisoformat(shown).replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
