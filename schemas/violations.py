"""What is wrong with a document, place by place: the slow and wordy half of judging, run only on what was refused.

It reads the few keywords our schemas use. The compiled validators decide; this explains, and the two are held
together by a test over generated documents.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

MAX_VIOLATIONS: Final = 20
"""No answer lists more: a client with one wrong key has it in every element of a batch."""

MAX_KEY_LENGTH: Final = 120

Schema = Mapping[str, Any]


class Violation(NamedTuple):
    """One broken rule. `path` like `params.media.length` or `[3].playerTime.ts`, empty for the whole document."""

    path: str
    rule: str
    detail: str


_IS: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


def explain(schema: Schema, value: Any, path: str = "", *, integral_floats: bool) -> Iterator[Violation]:
    """Every violation of a schema without references, in the order of the schema.

    `integral_floats`: 1.0 is an integer, as from draft-06 on; in draft-04 it is not.
    """
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(kind, value, integral_floats=integral_floats) for kind in kinds):
        yield Violation(path, "type", f"must be {' or '.join(kinds)}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Violation(path, "enum", f"must be one of {', '.join(map(str, schema['enum']))}")
    if _IS["number"](value):
        yield from _explain_range(schema, value, path)
    if isinstance(value, dict):
        yield from _explain_object(schema, value, path, integral_floats=integral_floats)
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from explain(schema.get("items", {}), item, f"{path}[{position}]", integral_floats=integral_floats)


def place(path: str, key: str) -> str:
    """The path of a member."""
    key = key if len(key) <= MAX_KEY_LENGTH else key[:MAX_KEY_LENGTH] + "…"
    return f"{path}.{key}" if path else key


def find(document: Any, wanted: Callable[[Any, int], bool]) -> str | None:
    """The path of the first value for which `wanted(value, level)` holds; the document itself is level 1."""
    waiting = [(document, 1, "")]
    while waiting:
        value, level, path = waiting.pop()
        if wanted(value, level):
            return path
        if isinstance(value, dict):
            waiting.extend((item, level + 1, place(path, key)) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((value[i], level + 1, f"{path}[{i}]") for i in reversed(range(len(value))))
    return None


def _is(kind: str, value: Any, *, integral_floats: bool) -> bool:
    if kind == "integer" and integral_floats and isinstance(value, float):
        return value.is_integer()
    return _IS[kind](value)


def _explain_range(schema: Schema, value: float, path: str) -> Iterator[Violation]:
    if "minimum" in schema and value < schema["minimum"]:
        yield Violation(path, "minimum", f"must be at least {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        yield Violation(path, "maximum", f"must be at most {schema['maximum']}")


def _explain_object(schema: Schema, value: dict[str, Any], path: str, *, integral_floats: bool) -> Iterator[Violation]:
    for key in schema.get("required", ()):
        if key not in value:
            yield Violation(place(path, key), "required", "is required")
    alternatives = schema.get("anyOf", ())
    if alternatives and not any(key in value for choice in alternatives for key in choice["required"]):
        names = " or ".join(key for choice in alternatives for key in choice["required"])
        yield Violation(path, "anyOf", f"must contain {names}")
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = schema.get("additionalProperties", {})
    for key, item in value.items():
        rules = [properties[key]] if key in properties else []
        rules += [rule for pattern, rule in patterns.items() if re.search(pattern, key)]
        if not rules and others is False:
            yield Violation(place(path, key), "additionalProperties", "is not allowed here")
        for rule in rules or [others or {}]:
            yield from explain(rule, item, place(path, key), integral_floats=integral_floats)
