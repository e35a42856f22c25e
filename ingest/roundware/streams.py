"""`streams/`: we stream nothing; its calls are signs of life, kept as the events upstream made of them."""

from typing import Any, Final

from ingest.roundware.desk import Asked, Desk
from ingest.roundware.events import NO_SESSION_ID, note, session_of
from ingest.roundware.refusals import detail, not_found
from schemas.roundware import instant_of

ACTIVE_SECONDS: Final = 200
"""Upstream's stream went on so long after the last sign of a listener."""

_ROUTE: Final = "streams"
_PLACE: Final = ("latitude", "longitude")
_TAGS: Final = ("tag_ids", "tags")


async def post(desk: Desk, asked: Asked) -> Any:
    """A stream where one is configured: the same for all."""
    if desk.configuration.stream_url is None:
        raise not_found()
    document = _document(asked)
    if "session_id" not in document:
        raise detail("schema_violation", NO_SESSION_ID)
    session = session_of(document["session_id"], desk)
    await note(desk, asked, session, "request_stream", _only(document, *_PLACE, *_TAGS), route=_ROUTE)
    return {"stream_id": session, "stream_url": desk.configuration.stream_url}


async def patch(desk: Desk, asked: Asked) -> Any:
    """The listener has moved, or wants other tags."""
    session, document = session_of(asked.number, desk), _document(asked)
    if all(name in document for name in _PLACE):
        await note(desk, asked, session, "move_listener", _only(document, *_PLACE), route=_ROUTE)
    elif any(name in document for name in _TAGS):
        await note(desk, asked, session, "modify_stream", _only(document, *_TAGS), route=_ROUTE)
    else:
        raise detail("schema_violation", "latitude and longitude, or tag_ids, are required for this operation")
    return {}


async def heartbeat(desk: Desk, asked: Asked) -> Any:
    await _sign(desk, asked, "heartbeat")
    return {}


async def pause(desk: Desk, asked: Asked) -> Any:
    await _sign(desk, asked, "pause")
    return {"success": True}


async def resume(desk: Desk, asked: Asked) -> Any:
    await _sign(desk, asked, "resume")
    return {"success": True}


async def kill(desk: Desk, asked: Asked) -> Any:
    """The end of the session's visit: upstream noted it so when it had stopped the stream."""
    await _sign(desk, asked, "cleanup_session")
    return {"stream_id": asked.number, "success": True}


async def is_active(desk: Desk, asked: Asked) -> Any:
    """Whether anything of the session was heard of lately."""
    session = session_of(asked.number, desk)
    since, _ = desk.stamp()
    newest = next(desk.folded.events(None, session), None)
    is_recent = newest is not None and instant_of(newest.server_time) // 1000 > since - ACTIVE_SECONDS * 1000
    return {"stream_id": session, "active": is_recent}


async def _sign(desk: Desk, asked: Asked, event_type: str) -> None:
    """Nothing in the body matters."""
    await note(desk, asked, session_of(asked.number, desk), event_type, {}, route=_ROUTE)


def _document(asked: Asked) -> dict[str, Any]:
    document = asked.sent.document
    return document if type(document) is dict else {}


def _only(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}
