"""`events/`: whatever a client says has happened; its text is kept as it came, and read as far as it can be."""

import re
from typing import Any, Final, NamedTuple

from ingest.roundware import listing
from ingest.roundware.desk import Asked, Desk
from ingest.roundware.fields import decimal_of, integer_of
from ingest.roundware.numbers import Series
from ingest.roundware.refusals import NO_SESSION, detail
from schemas import codec
from schemas.roundware import NUMBER_MAX, Event, Quality, event_shown

LONGEST: Final = 50
MAX_TAGS: Final = 500
NO_SESSION_ID: Final = "a session_id is required for this operation"
NO_EVENT_TYPE: Final = "an event_type is required for this operation"

_BAD: Final = "schema_violation"
_LIST: Final = re.compile(r"\s*\[(.*)\]\s*", re.DOTALL).fullmatch


async def post(desk: Desk, asked: Asked) -> Any:
    document = asked.sent.document if type(asked.sent.document) is dict else {}
    if "session_id" not in document:
        raise detail(_BAD, NO_SESSION_ID)
    if "event_type" not in document:
        raise detail(_BAD, NO_EVENT_TYPE)
    session = session_of(document["session_id"], desk)
    event_type = _text(document, "event_type", LONGEST)
    if event_type is None or not event_type.strip():
        raise detail(_BAD, "event_type may not be null or blank")
    return event_shown(await note(desk, asked, session, event_type.strip(), document))


async def get_list(desk: Desk, asked: Asked) -> Any:
    page, session = listing.events(asked.query)
    found = desk.seen(asked.caller, desk.folded.events(asked.caller.listed, session))
    return [event_shown(event) for event in await page.of(found)]


async def get_one(desk: Desk, asked: Asked) -> Any:
    return event_shown(desk.shown(asked.caller, await desk.event(asked.number)))


def session_of(value: Any, desk: Desk) -> int:
    """The number of a session of ours. Refusal in the words of the events."""
    number = integer_of(value)
    if number is None and value is not None:
        raise detail(_BAD, f"Field 'id' expected a number but got {str(value)[:100]!r}.")
    if number is None or not desk.is_session(number):
        raise detail(_BAD, NO_SESSION)
    return number


async def note(
    desk: Desk, asked: Asked, session: int, event_type: str, document: dict[str, Any], *, route: str = "events"
) -> Event:
    """Keep one event of a session. Refusal for text that is too long, LogUnavailable."""
    place, tags = position_of(document), tags_of(document)
    client_time, data = _text(document, "client_time", LONGEST), _text(document, "data", None)
    number = await desk.number(Series.EVENT)
    received_at, shown = desk.stamp()
    event = Event(
        id=number,
        session=session,
        project=desk.project_of(session),
        user=asked.caller.user,
        device=asked.caller.device,
        event_type=event_type,
        server_time=shown,
        client_time=client_time,
        latitude=place.latitude,
        longitude=place.longitude,
        tags=tags.numbers,
        data=data,
        latitude_text=place.latitude_text,
        longitude_text=place.longitude_text,
        tags_text=tags.text,
        route=route,
        quality=place.quality + tags.quality,
    )
    await desk.keep(event, received_at, asked)
    return event


class Place(NamedTuple):
    """Where an event was: numbers, both or neither, and the texts they were read from."""

    latitude: float | None
    longitude: float | None
    latitude_text: str | None
    longitude_text: str | None
    quality: tuple[str, ...] = ()


def position_of(document: dict[str, Any]) -> Place:
    """Where an event says it was; what is no coordinate is none, with a flag. Refusal for text that is too long."""
    texts = [_text(document, name, LONGEST) for name in ("latitude", "longitude")]
    told = [text is not None and bool(text.strip()) for text in texts]
    read = [_coordinate(text, limit) for text, limit in zip(texts, (90, 180), strict=True)]
    is_bad = any(of_told and of_read is None for of_told, of_read in zip(told, read, strict=True))
    is_whole = None not in read
    return Place(
        read[0] if is_whole else None,
        read[1] if is_whole else None,
        texts[0],
        texts[1],
        (Quality.POSITION,) if is_bad else (),
    )


def _coordinate(text: str | None, limit: int) -> float | None:
    number = None if text is None else decimal_of(text)
    return float(number) if number is not None and abs(number) <= limit else None


class Tags(NamedTuple):
    """The tags of an event: numbers, and the text for its answer."""

    numbers: tuple[int, ...]
    text: str | None
    quality: tuple[str, ...] = ()


def tags_of(document: dict[str, Any]) -> Tags:
    """`tags`, else `tag_ids`: an array, the text of one, or numbers between commas; empty pieces are none."""
    value = document.get("tags", document.get("tag_ids"))
    if value is None:
        return Tags((), None)
    if type(value) is list:
        text = ",".join(part if type(part) is str else _shown(part) for part in value)
    else:
        text = value if type(value) is str else _shown(value)
    _refuse_nul("tag_ids", text)
    listed = _LIST(text)
    pieces = [piece.strip() for piece in (listed[1] if listed else text).split(",")]
    found = [integer_of(piece) for piece in pieces if piece]
    numbers = tuple(number for number in found if number is not None and 0 <= number <= NUMBER_MAX)
    is_bad = len(numbers) < len(found) or len(numbers) > MAX_TAGS
    return Tags(numbers[:MAX_TAGS], text, (Quality.TAGS,) if is_bad else ())


def _text(document: dict[str, Any], name: str, longest: int | None) -> str | None:
    """A member as text: what is no string as JSON writes it. Refusal when it is too long."""
    value = document.get(name)
    if value is None:
        return None
    text = value if type(value) is str else _shown(value)
    _refuse_nul(name, text)
    if longest is not None and len(text) > longest:
        raise detail(_BAD, f"{name} may have no more than {longest} characters")
    return text


def _refuse_nul(name: str, text: str) -> None:
    if "\0" in text:
        raise detail(_BAD, f"{name} may not hold null characters")


def _shown(value: Any) -> str:
    return codec.encode(value).decode()
