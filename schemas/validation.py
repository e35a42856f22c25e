"""JSON Schemas compiled once, in two profiles; InvalidDocument names the place and the rule.

`strict` is what we publish at `/api/v1/schemas/{eventType}`. `lenient` takes what real clients send beyond that and
is derived here from the published documents, so that there is one text to keep. Every document `strict` accepts,
`lenient` accepts too. What each leniency means for the event is in `schemas/repairs.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any, Final, NamedTuple

import fastjsonschema
import orjson

from schemas.events import EventType
from schemas.representable import INT64_MAX, INT64_MIN
from schemas.violations import MAX_VIOLATIONS, Violation, explain

__all__ = [
    "InvalidDocument",
    "Judgement",
    "Profile",
    "Violation",
    "judge",
    "prepare",
    "published",
    "schema_of",
    "validator_for",
]

METADATA_KEY: Final = r"^[a-zA-Z0-9_.]+\Z"
"""The published key pattern with an end that a trailing newline does not pass."""

FILLED: Final = {
    EventType.SESSION_START: ("media.playerName", "media.channel"),
    EventType.AD_START: ("media.ad.playerName",),
}
"""Required by the published schema, omitted by real clients that were not told: filled with `unknown`."""

_WIRE_NAMES: Final = frozenset(map(str, EventType))
_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}


class Profile(StrEnum):
    STRICT = "strict"
    LENIENT = "lenient"


class InvalidDocument(Exception):
    """A stranger's document is refused. `code` is the public one of the answer; there is at least one violation."""

    def __init__(self, code: str, message: str, violations: Sequence[Violation]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = tuple(violations)


class Judgement(NamedTuple):
    """`accepts` raises fastjsonschema.JsonSchemaException at the first violation; `schema` is what it was made from."""

    accepts: Callable[[Any], Any]
    schema: dict[str, Any]
    integral_floats: bool

    def violations(self, document: Any) -> Iterator[Violation]:
        return explain(self.schema, document, integral_floats=self.integral_floats)


def published(event_type: str) -> bytes | None:
    """The served schema of a wire event type, byte for byte as in the package; None for a type we do not know."""
    return _text(event_type) if event_type in _WIRE_NAMES else None


def validator_for(event_type: EventType, profile: Profile) -> Judgement:
    """The compiled schema of this type. The first call for a profile compiles all of its types."""
    return prepare(profile)[event_type]


def judge(document: Any, event_type: EventType, profile: Profile) -> list[Violation]:
    """What is wrong with this document, at most MAX_VIOLATIONS of it; empty when nothing is."""
    judgement = prepare(profile)[event_type]
    try:
        judgement.accepts(document)
    except fastjsonschema.JsonSchemaValueException as error:
        return list(islice(judgement.violations(document), MAX_VIOLATIONS)) or [_as_told(error)]
    return []


@cache
def prepare(profile: Profile) -> dict[EventType, Judgement]:
    """Compile all schemas of a profile (some 100 ms). A server calls it before it says that it is ready."""
    return {event_type: _compile(event_type, profile) for event_type in EventType}


def schema_of(event_type: EventType, profile: Profile) -> dict[str, Any]:
    """The schema of a profile as it is compiled: one object without references."""
    document = orjson.loads(_text(event_type))
    schema: dict[str, Any] = _resolve(document["definitions"][event_type], document["definitions"])
    return _lenient(schema, event_type) if profile is Profile.LENIENT else schema


def _compile(event_type: EventType, profile: Profile) -> Judgement:
    schema = schema_of(event_type, profile)
    lenient = profile is Profile.LENIENT
    # From draft-06 on 1.0 is an integer; in draft-04, as published, it is not.
    dialect = "http://json-schema.org/draft-07/schema#" if lenient else "http://json-schema.org/draft-04/schema#"
    accepts = fastjsonschema.compile({"$schema": dialect, **schema}, use_default=False, use_formats=False)
    return Judgement(accepts, schema, integral_floats=lenient)


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    """A copy with every reference replaced by what it names: quicker to run, and plain for `explain` to read."""
    if isinstance(node, list):
        return [_resolve(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].removeprefix("#/definitions/")], definitions)
    resolved = {key: _resolve(value, definitions) for key, value in node.items()}
    if "patternProperties" in resolved:
        (rule,) = resolved["patternProperties"].values()
        resolved["patternProperties"] = {METADATA_KEY: rule}
    return resolved


def _lenient(strict: dict[str, Any], event_type: EventType) -> dict[str, Any]:
    schema: dict[str, Any] = _open(deepcopy(strict))
    properties = schema["properties"]
    if event_type is EventType.SESSION_COMPLETE:
        properties["eventType"]["enum"].append("contentComplete")  # the player of 2017
    properties["customMetadata"] = {"type": "object", "patternProperties": {METADATA_KEY: _SCALAR}}
    quality = properties["qoeData"]["properties"]
    for name, rule in quality.items():
        if rule.get("type") == "integer":
            quality[name] = {"type": "number"}
    quality.pop("media.qoe.errorID", None)  # anything: it is read as text
    for name in FILLED.get(event_type, ()):
        properties["params"]["required"].remove(name)
    return schema


def _open(node: Any) -> Any:
    """Let unknown keys pass and integers be spelled as floats, as long as they are 64-bit integers."""
    if isinstance(node, list):
        return [_open(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened = {key: _open(value) for key, value in node.items() if (key, value) != ("additionalProperties", False)}
    if "integer" in opened.get("type", ()):
        opened |= {"minimum": INT64_MIN, "maximum": INT64_MAX}
    return opened


@cache
def _text(event_type: str) -> bytes:
    return resources.files("schemas").joinpath("json", f"{event_type}.json").read_bytes()


def _as_told(error: fastjsonschema.JsonSchemaValueException) -> Violation:
    path = (error.name or "data").removeprefix("data").removeprefix(".")
    return Violation(path, str(error.rule), error.message)
