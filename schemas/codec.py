"""Bytes <-> contract types: the only file that parses JSON."""

from typing import Any, Final

import orjson

from schemas.events import BatchPlace, Envelope

SOURCES: Final = frozenset({"collection", "batch", "roundware"})
INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

_EVENT_MEMBER: Final = b',"event":'


class Undecodable(Exception):
    """A value on one of our topics that none of our writers can have written. Says what is wrong with it."""


def encode(document: Any) -> bytes:
    """A document as UTF-8 JSON. TypeError if it holds what JSON cannot say (lone surrogates, integers over 64 bits)."""
    return orjson.dumps(document)


def decode(value: bytes) -> Any:
    """A document that one of our writers made with `encode`. Undecodable."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Undecodable(str(error)) from error


def encode_envelope(envelope: Envelope) -> bytes:
    """The record value around one event. `envelope.event` must be one JSON value; its bytes are embedded unchanged."""
    sid, received_at, source, peer, batch, event = envelope
    place = b""
    if batch is not None:
        place = b',"batch":{"id":%b,"index":%d,"of":%d}' % (_string(batch.id), batch.position, batch.of)
    return b'{"v":1,"sid":%b,"receivedAt":%d,"source":%b,"peer":%b%b,"event":%b}' % (
        _string(sid),
        received_at,
        _string(source),
        b"null" if peer is None else _string(peer),
        place,
        event,
    )


def decode_envelope(value: bytes) -> Envelope:
    """Read what `encode_envelope` wrote; the event's bytes are cut out, not parsed. Undecodable.

    The first `,"event":` is ours: every string before it is escaped, so none can hold an unescaped quote.
    """
    at = value.find(_EVENT_MEMBER)
    if at < 0 or value[-1] != 0x7D:
        raise Undecodable("not an event envelope")
    try:
        head = orjson.loads(value[:at] + b"}")
        version, sid, received_at, source = head["v"], head["sid"], head["receivedAt"], head["source"]
        peer, batch = head["peer"], head.get("batch")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Undecodable(f"not an event envelope: {error}") from error
    if version != 1:
        raise Undecodable(f"event envelope of version {version!r}")
    if type(sid) is not str or type(received_at) is not int or type(source) is not str or source not in SOURCES:
        raise Undecodable("sid, receivedAt or source of an event envelope is not what it must be")
    if not (INT64_MIN <= received_at <= INT64_MAX) or not (peer is None or type(peer) is str):
        raise Undecodable("receivedAt or peer of an event envelope is not what it must be")
    place = None if batch is None else _decode_place(batch)
    return Envelope(sid, received_at, source, peer, place, value[at + len(_EVENT_MEMBER) : -1])


def _decode_place(batch: Any) -> BatchPlace:
    try:
        place = BatchPlace(batch["id"], batch["index"], batch["of"])
    except (KeyError, TypeError) as error:
        raise Undecodable(f"batch of an event envelope: {error!r}") from error
    if type(place.id) is not str or type(place.position) is not int or type(place.of) is not int:
        raise Undecodable("batch of an event envelope is not {id, index, of}")
    return place


def _string(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except TypeError:  # a lone surrogate, as a header read with surrogateescape can hold
        return orjson.dumps(text.encode("utf-8", "replace").decode())
