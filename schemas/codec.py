"""Bytes <-> contract types: the only file that parses JSON."""

import json
from hashlib import sha256
from typing import Any, Final, NamedTuple

import fastjsonschema
import orjson

from schemas import refusals, repairs, representable
from schemas.events import BatchPlace, Envelope, Event, EventType
from schemas.representable import INT64_MAX, INT64_MIN, MAX_NESTING
from schemas.validation import InvalidDocument, Profile, judge, prepare
from schemas.violations import MAX_VIOLATIONS, Violation, find

SOURCES: Final = frozenset({"collection", "batch", "roundware"})

_BOM: Final = b"\xef\xbb\xbf"
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
_PEER_AT: Final = 136
_WHOLE: Final = (int,)
_NUMBERS: Final = (int, float)
_NOTHING: Final[dict[str, Any]] = {}
_TOO_DEEP: Final = f"is nested deeper than {MAX_NESTING} levels"


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


class TooLarge(Exception):
    """A batch over one of its limits. Says which."""


class ParsedEvent(NamedTuple):
    """A stranger's event, accepted. `document` as sent, not repaired; `body` is what goes into the envelope."""

    type: EventType
    document: dict[str, Any]
    body: bytes


class BatchLimits(NamedTuple):
    max_events: int
    max_event_bytes: int


class ParsedBatch(NamedTuple):
    """An accepted offline batch: `id` is the SHA-256 of its canonical content in hex; at least one event."""

    id: str
    events: list[ParsedEvent]


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
    hexes, digits = value[_SID_AT:_SID_END], value[_RECEIVED_AT:_RECEIVED_END]
    if (
        # Nearly all there is: a collection envelope whose members stand where they always do, nothing escaped in it.
        value[:_SID_AT] == _BEFORE_SID
        and value[_SID_END:_RECEIVED_AT] == _BEFORE_RECEIVED
        and value[_RECEIVED_END:_PEER_AT] == _BEFORE_PEER
        and hexes.isalnum()
        and digits.isdigit()
        and digits[0] != 0x30
    ):
        told = value[_PEER_AT:at]
        if told == b"null":
            return _new(
                Envelope, (hexes.decode(), int(digits), "collection", None, None, value[at + _MEMBER_BYTES : -1])
            )
        if told[:1] == told[-1:] == b'"' and told[1:-1].replace(b".", b"").replace(b":", b"").isalnum():
            address = told[1:-1].decode()
            return _new(
                Envelope, (hexes.decode(), int(digits), "collection", address, None, value[at + _MEMBER_BYTES : -1])
            )
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
    timed = type(ts) is int and (type(playhead) is float or type(playhead) is int) and INT64_MIN <= ts <= INT64_MAX
    if timed and event_type not in _TELLING:
        # Most events: the schema asks for nothing that is not seen here.
        if len(document) == 2:
            return _new(Event, (event_type, playhead, ts, {}, {}, {}))
        get = document.get
        if get("params", _NOTHING) == _NOTHING and get("customMetadata", _NOTHING) == _NOTHING:
            qoe = get("qoeData", _NOTHING)
            if qoe == _NOTHING:
                return _new(Event, (event_type, playhead, ts, {}, {}, {}))
            if repairs.is_plain_qoe(qoe, _NUMBERS):
                return _new(Event, (event_type, playhead, ts, {}, qoe, {}))
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
    body = body.removeprefix(_BOM)
    return _judge(_parse(body), body, profile)


def parse_batch(body: bytes, profile: Profile, limits: BatchLimits) -> ParsedBatch:
    """Judge an array of events, all or nothing. InvalidDocument, TooLarge. Takes long: call it in a thread."""
    body = body.removeprefix(_BOM)
    documents = _parse(body)
    if type(documents) is not list:
        raise refusals.batch_rejected([Violation("", "type", "must be array")])
    if len(documents) > limits.max_events:
        raise TooLarge(f"a batch holds at most {limits.max_events} events, this one {len(documents)}")
    pieces = _elements(body, len(documents))
    for position, piece in enumerate(pieces):
        if len(piece) > limits.max_event_bytes:
            raise TooLarge(f"event [{position}] has {len(piece)} bytes; at most {limits.max_event_bytes} are taken")
    events, violations = _judge_each(documents, pieces, profile)
    if violations:
        raise refusals.batch_rejected(violations)
    return ParsedBatch(_content_id(documents), events)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        detail = str(error) if body.strip() else "the body is empty"
        raise refusals.malformed(detail) from error


def _judge(document: Any, body: bytes, profile: Profile) -> ParsedEvent:
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


def _judge_each(
    documents: list[Any], pieces: list[bytes], profile: Profile
) -> tuple[list[ParsedEvent], list[Violation]]:
    """Judge the elements until enough is known to be wrong."""
    events: list[ParsedEvent] = []
    violations: list[Violation] = [] if documents else [Violation("", "minItems", "must contain a sessionStart")]
    for position, (document, piece) in enumerate(zip(documents, pieces, strict=True)):
        try:
            event = _judge(document, piece, profile)
        except InvalidDocument as refusal:
            violations += (refusals.at(position, violation) for violation in refusal.violations)
        else:
            events.append(event)
            if position == 0 and event.type is not EventType.SESSION_START:
                violations.append(Violation("[0].eventType", "first", "must be sessionStart"))
            if position > 0 and event.type is EventType.SESSION_START:
                violations.append(Violation(f"[{position}].eventType", "once", "is a second sessionStart"))
        if len(violations) >= MAX_VIOLATIONS:
            break
    return events, violations


def _elements(body: bytes, count: int) -> list[bytes]:
    """The bytes of each of the `count` elements of an array known to be valid."""
    text, ascii_only = body.decode(), body.isascii()
    scan = json.JSONDecoder().raw_decode
    pieces = []
    end = text.index("[") + 1
    for position in range(count):
        while text[end] in " \t\n\r,":
            end += 1
        start = end
        try:
            _, end = scan(text, start)
        except RecursionError as error:
            raise refusals.batch_rejected([Violation(f"[{position}]", "nesting", _TOO_DEEP)]) from error
        pieces.append(body[start:end] if ascii_only else text[start:end].encode())
    return pieces


def _content_id(documents: list[Any]) -> str:
    """SHA-256 over the array with sorted keys: key order, spaces, escapes, and 1.0 for 1 make no other batch."""
    canonical = orjson.dumps(documents, option=orjson.OPT_SORT_KEYS)
    if any(canonical.find(b".0" + end) >= 0 for end in (b",", b"}", b"]")):
        canonical = orjson.dumps(representable.with_plain_numbers(documents), option=orjson.OPT_SORT_KEYS)
    return sha256(canonical).hexdigest()


def _not_representable(document: Any, body: bytes) -> list[Violation]:
    if representable.nesting(body) > MAX_NESTING:
        path = find(document, lambda value, level: level > MAX_NESTING and isinstance(value, dict | list))
        return [Violation(path or "", "nesting", _TOO_DEEP)]
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
