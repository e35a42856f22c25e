"""How a refused document is told: code, sentence, places."""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.validation import InvalidDocument
from schemas.violations import MAX_KEY_LENGTH, MAX_VIOLATIONS, Violation


def malformed(detail: str) -> InvalidDocument:
    """The body is not JSON at all."""
    return InvalidDocument("malformed_json", f"Not JSON: {detail}", [Violation("", "json", detail)])


def invalid(what: str, violations: list[Violation]) -> InvalidDocument:
    """One event breaks its schema."""
    return InvalidDocument("schema_violation", _sentence(f"Invalid {what}", violations), violations)


def untyped(document: Mapping[str, Any], known: Iterable[str]) -> InvalidDocument:
    """No schema can be chosen: `eventType` is missing, no text, or none of the known ones."""
    if "eventType" not in document:
        return invalid("event", [Violation("eventType", "required", "is required")])
    name = document["eventType"]
    if not isinstance(name, str):
        return invalid("event", [Violation("eventType", "type", "must be string")])
    violation = Violation("eventType", "enum", f"must be one of {', '.join(known)}")
    return InvalidDocument("unknown_event_type", f"Unknown event type {name[:MAX_KEY_LENGTH]!r}", [violation])


def batch_rejected(violations: list[Violation]) -> InvalidDocument:
    """A batch is refused as a whole."""
    violations = violations[:MAX_VIOLATIONS]
    return InvalidDocument("batch_rejected", _sentence("Batch rejected", violations), violations)


def at(position: int, violation: Violation) -> Violation:
    """The same violation, of an element of a batch."""
    path = f"[{position}].{violation.path}" if violation.path else f"[{position}]"
    return violation._replace(path=path)


def _sentence(what: str, violations: list[Violation]) -> str:
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"{what}: {first.path or 'the body'} {first.detail}{more}"
