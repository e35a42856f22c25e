"""Offline batches: an array of events judged together, each with the bytes it came in."""

import json
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from schemas import refusals, representable
from schemas.codec import BOM, TOO_DEEP, ParsedEvent, judge_event, parse
from schemas.events import EventType
from schemas.validation import InvalidDocument, Profile
from schemas.violations import MAX_VIOLATIONS, Violation


class TooLarge(Exception):
    """A batch over one of its limits: `violation` says where, and which."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.detail)
        self.violation = violation


class BatchLimits(NamedTuple):
    max_events: int
    max_event_bytes: int


class ParsedBatch(NamedTuple):
    """An accepted offline batch: `id` is the SHA-256 of its canonical content in hex; at least one event."""

    id: str
    events: list[ParsedEvent]


def parse_batch(body: bytes, profile: Profile, limits: BatchLimits) -> ParsedBatch:
    """Judge an array of events, all or nothing. InvalidDocument, TooLarge. Takes long: call it in a thread."""
    body = body.removeprefix(BOM)
    documents = parse(body)
    if type(documents) is not list:
        raise refusals.batch_rejected([Violation("", "type", "must be array")])
    if len(documents) > limits.max_events:
        detail = f"a batch holds at most {limits.max_events} events, this one {len(documents)}"
        raise TooLarge(Violation("", "maxItems", detail))
    pieces = _elements(body, len(documents))
    for position, piece in enumerate(pieces):
        if len(piece) > limits.max_event_bytes:
            detail = f"event [{position}] has {len(piece)} bytes; at most {limits.max_event_bytes} are taken"
            raise TooLarge(Violation(f"[{position}]", "maxBytes", detail))
    events, violations = _judge_each(documents, pieces, profile)
    if violations:
        raise refusals.batch_rejected(violations)
    return ParsedBatch(_content_id(documents), events)


def _judge_each(
    documents: list[Any], pieces: list[bytes], profile: Profile
) -> tuple[list[ParsedEvent], list[Violation]]:
    """Judge the elements until enough is known to be wrong."""
    events: list[ParsedEvent] = []
    violations: list[Violation] = [] if documents else [Violation("", "minItems", "must contain a sessionStart")]
    for position, (document, piece) in enumerate(zip(documents, pieces, strict=True)):
        try:
            event = judge_event(document, piece, profile)
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
            raise refusals.batch_rejected([Violation(f"[{position}]", "nesting", TOO_DEEP)]) from error
        pieces.append(body[start:end] if ascii_only else text[start:end].encode())
    return pieces


def _content_id(documents: list[Any]) -> str:
    """SHA-256 over the array with sorted keys: key order, spaces, escapes, and 1.0 for 1 make no other batch."""
    canonical = orjson.dumps(documents, option=orjson.OPT_SORT_KEYS)
    if any(canonical.find(b".0" + end) >= 0 for end in (b",", b"}", b"]")):
        canonical = orjson.dumps(representable.with_plain_numbers(documents), option=orjson.OPT_SORT_KEYS)
    return sha256(canonical).hexdigest()
