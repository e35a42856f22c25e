"""Bytes <-> contract types: the only file that parses JSON."""

import json
from typing import Any, Final, NamedTuple

import fastjsonschema
import orjson

from schemas import refusals, repairs, representable
from schemas.events import BatchPlace, Envelope, Event, EventType
from schemas.representable import MAX_NESTING
from schemas.validation import Profile, judge, prepare
from schemas.violations import Violation, find

SOURCES: Final = frozenset({"collection", "batch", "roundware"})

BOM: Final = b"\xef\xbb\xbf"
_EVENT_MEMBER: Final = b',"event":'
_MEMBER_BYTES: Final = 9
_BEFORE_SID: Final = b'{"v":1,"sid":"'
_BEFORE_RECEIVED: Final = b'","receivedAt":'
_BEFORE_PEER: Final = b',"source":"collection","peer":'
_SID_AT: Final = 14
_SID_END: Final = 78
_RECEIVED_AT: Final = 93
_RECEIVED_END: Final = 106
"""Until the year 2286 an instant has 13 digits."""
_LEAST_OF_13_DIGITS: Final = 10**12
_PEERS_REMEMBERED: Final = 4096
_peers: Final[dict[bytes, str | None]] = {b"null": None}
"""Addresses by their bytes: players come in crowds from the networks that doors name."""
_FAR: Final = 2**60
"""A `ts` further from 1970 takes the long way; up to here a compiler compares it as a machine's word."""
_PEER_AT: Final = 136
_WHOLE: Final = (int,)
_NUMBERS: Final = (int, float)
_NOTHING: Final[dict[str, Any]] = {}
TOO_DEEP: Final = f"is nested deeper than {MAX_NESTING} levels"


_new: Final = tuple.__new__
"""Makes a named tuple in half the time its own constructor takes: the decoders run for every record there is."""

_TYPES: Final = {str(event_type): event_type for event_type in EventType}
_LENIENT_TYPES: Final = _TYPES | {"contentComplete": EventType.SESSION_COMPLETE}
_TELLING: Final = frozenset(
    {
        EventType.SESSION_START,
        EventType.AD_BREAK_START,
        EventType.AD_START,
        EventType.CHAPTER_START,
        EventType.STATE_START,
        EventType.STATE_END,
        EventType.STATES_UPDATE,
    }
)
"""The types with required params."""


class Undecodable(Exception):
    """A value on one of our topics that none of our writers can have written. Says what is wrong with it."""


class ParsedEvent(NamedTuple):
    """A stranger's event, accepted. `document` as sent, not repaired; `body` is what goes into the envelope."""

    type: EventType
    document: dict[str, Any]
    body: bytes


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


def envelope_around(sid: str, source: str, peer: str | None) -> tuple[bytes, bytes]:
    """What stands before `receivedAt`, and between it and the event, in the envelopes of one sender.

    With the event and a closing brace behind it, it is what `encode_envelope` makes.
    """
    shown = b"null" if peer is None else _string(peer)
    between = b',"source":%b,"peer":%b,"event":' % (_string(source), shown)
    return b'{"v":1,"sid":%b,"receivedAt":' % _string(sid), between


def decode_envelope(value: bytes) -> Envelope:
    """Read what `encode_envelope` wrote; the event's bytes are cut out, not parsed. Undecodable.

    The first `,"event":` is ours: every string before it is escaped, so none can hold an unescaped quote.
    """
    at = value.find(_EVENT_MEMBER)
    if at < 0 or value[-1] != 0x7D:
        raise Undecodable("not an event envelope")
    return _plain_envelope(value, at) or _any_envelope(value, at)


def _plain_envelope(value: bytes, at: int) -> Envelope | None:
    """Nearly all there is: a collection envelope whose members stand where they always do, nothing escaped in it."""
    if (
        value[:_SID_AT] != _BEFORE_SID
        or value[_SID_END:_RECEIVED_AT] != _BEFORE_RECEIVED
        or value[_RECEIVED_END:_PEER_AT] != _BEFORE_PEER
    ):
        return None
    hexes, told = value[_SID_AT:_SID_END], value[_PEER_AT:at]
    if not hexes.isalnum() or (told not in _peers and not _learn_peer(told)):
        return None
    try:
        received_at = int(value[_RECEIVED_AT:_RECEIVED_END])
    except ValueError:
        return None
    if received_at < _LEAST_OF_13_DIGITS:  # a sign, a space or an underscore among them
        return None
    body = value[at + _MEMBER_BYTES : -1]
    return _new(Envelope, (hexes.decode(), received_at, "collection", _peers[told], None, body))


def _learn_peer(told: bytes) -> bool:
    """Whether this is an address with nothing escaped in it: then remember it, and all who name it share one text."""
    if not (told[:1] == told[-1:] == b'"' and told[1:-1].replace(b".", b"").replace(b":", b"").isalnum()):
        return False
    if len(_peers) >= _PEERS_REMEMBERED:
        _peers.clear()
        _peers[b"null"] = None
    _peers[told] = told[1:-1].decode()
    return True


def _any_envelope(value: bytes, at: int) -> Envelope:
    try:
        members = orjson.loads(value[:at] + b"}").values()
        if len(members) == 5:
            version, sid, received_at, source, peer = members
            batch = None
        else:
            version, sid, received_at, source, peer, batch = members
            batch = BatchPlace(batch["id"], batch["index"], batch["of"])
        known = version == 1 and source in SOURCES
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Undecodable(f"not an event envelope: {_short(error)}") from error
    if not (known and type(sid) is str and type(received_at) is int and (peer is None or type(peer) is str)):
        raise Undecodable("not an event envelope of version 1")
    if batch and not (type(batch.id) is str and type(batch.position) is int and type(batch.of) is int):
        raise Undecodable("batch of an event envelope is not {id, index, of}")
    return Envelope(sid, received_at, source, peer, batch, value[at + _MEMBER_BYTES : -1])


def decode_event(event: bytes) -> Event:
    """Read an event the door accepted, in either profile, and make the lenient repairs. Undecodable, and no other.

    Known keys then have the types we publish for them, or are absent; see `schemas/repairs.py`.
    """
    try:
        document = orjson.loads(event)
        event_type = _LENIENT_TYPES[document["eventType"]]
        time = document["playerTime"]
        playhead, ts = time["playhead"], time["ts"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Undecodable(f"not an event: {_short(error)}") from error
    # Most events: the schema asks for nothing that is not seen here, and there is nothing to mend.
    if type(ts) is int and (type(playhead) is float or type(playhead) is int) and -_FAR <= ts <= _FAR:
        get = document.get
        params: Any = _NOTHING  # Any: a compiler would hold what a stranger sent to be a mapping
        qoe: Any = _NOTHING
        members = len(document)
        if members > 2:
            params, qoe = get("params", _NOTHING), get("qoeData", _NOTHING)
        if (
            (members == 2 or get("customMetadata", _NOTHING) == _NOTHING)
            and (repairs.is_plain_params(event_type, params) if event_type in _TELLING else params == _NOTHING)
            and (qoe == _NOTHING or repairs.is_plain_qoe(qoe, _NUMBERS))
        ):
            return _new(Event, (event_type, playhead, ts, params, qoe, _NOTHING))
    return _decode_telling(event_type, document)


def _decode_telling(event_type: EventType, document: dict[str, Any]) -> Event:
    try:
        prepare(Profile.LENIENT)[event_type].accepts(document)
    except fastjsonschema.JsonSchemaException as error:
        raise Undecodable(f"not a valid {event_type}: {_short(error)}") from error
    time, params = document["playerTime"], document.get("params", {})
    return Event(
        event_type,
        time["playhead"],
        int(time["ts"]),
        repairs.event_params(event_type, params),
        repairs.event_qoe(document.get("qoeData", {}), params),
        repairs.event_metadata(document.get("customMetadata", {})),
    )


def parse_event(body: bytes, profile: Profile) -> ParsedEvent:
    """Judge one event of a stranger, alone: order, ranges and freshness are no matter of the door. InvalidDocument."""
    body = body.removeprefix(BOM)
    return judge_event(parse(body), body, profile)


def parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = str(error) if body.strip() else "the body is empty"
        raise refusals.malformed(detail) from error


def judge_event(document: Any, body: bytes, profile: Profile) -> ParsedEvent:
    """`body` are the bytes `document` was read from."""
    if type(document) is not dict:
        raise refusals.invalid("event", [Violation("", "type", "must be object")])
    types = _LENIENT_TYPES if profile is Profile.LENIENT else _TYPES
    name = document.get("eventType")
    event_type = types.get(name) if type(name) is str else None
    if event_type is None:
        raise refusals.untyped(document, _TYPES)
    plain = event_type not in _TELLING and _has_plain_members(document, profile)
    violations = [] if plain else judge(document, event_type, profile)
    if representable.is_suspect(body):
        violations += _not_representable(document, body)
    if violations:
        raise refusals.invalid(event_type, violations)
    return ParsedEvent(event_type, document, body)


def is_plain(event: ParsedEvent, profile: Profile) -> bool:
    """Whether this event has the commonest form: nothing but the types of its few members decided about it."""
    return event.type not in _TELLING and _has_plain_members(event.document, profile)


def _has_plain_members(document: dict[str, Any], profile: Profile) -> bool:
    """A type, a time and perhaps quality: told quicker than by a schema, and to the same end."""
    time, members = document.get("playerTime"), len(document)
    if type(time) is not dict or len(time) != 2 or type(time.get("ts")) is not int:
        return False
    playhead = type(time.get("playhead"))
    if playhead is not float and playhead is not int:
        return False
    if members > 2 and "params" in document:
        members -= 1
        if document["params"] != _NOTHING:
            return False
    if members > 2 and "qoeData" in document:
        members -= 1
        if not repairs.is_plain_qoe(document["qoeData"], _WHOLE if profile is Profile.STRICT else _NUMBERS):
            return False
    return members == 2


def _not_representable(document: Any, body: bytes) -> list[Violation]:
    if representable.nesting(body) > MAX_NESTING:
        path = find(document, lambda value, level: level > MAX_NESTING and isinstance(value, dict | list))
        return [Violation(path or "", "nesting", TOO_DEEP)]
    if not representable.has_long_integer(body):
        return []
    # orjson makes a float of a long integer: read once more, with every long one marked.
    exact = json.loads(body, parse_int=lambda digits: 0 if representable.is_int64(digits) else _NOTHING)
    path = find(exact, lambda value, _: value is _NOTHING)
    return [Violation(path or "", "int64", "must be an integer of 64 bits")]


def _short(error: Exception) -> str:
    """An error in words without the whole of a hostile document in them."""
    return f"{type(error).__name__}: {error}"[:200]


def _string(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except TypeError:  # a lone surrogate, as a header read with surrogateescape can hold
        return orjson.dumps(text.encode("utf-8", "replace").decode())
