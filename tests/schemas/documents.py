"""Generated events: lawful ones, and such as differ from them in a few places."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from schemas.events import EventType
from schemas.validation import Profile, schema_of

STRICT = {event_type: schema_of(event_type, Profile.STRICT) for event_type in EventType}

_KNOWN = [
    "media.show",
    "media.id",
    "media.length",
    "media.qoe.bitrate",
    "media.qoe.errorID",
    "media.qoe.errorSource",
    "bitrate",
    "media.qoe.media.errorSource",
    "media.errorId",
    "media.errorSource",
    "media.ad.podPosition",
    "media.ad.podFriendlyName",
    "media.state.name",
    "statesStart",
    "visitor.customerIDs",
    "params",
    "qoeData",
    "customMetadata",
    "authState",
    "id",
]
KEYS = st.sampled_from(["a b", "a\n", "", *_KNOWN]) | st.text(max_size=5)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = (
    st.none()
    | st.booleans()
    | INT64
    | FLOATS
    | st.sampled_from([0, 1, 1.0, 2.0, -0.0, 1e16, 1e300, 9.3e18, 1.5])
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5
)


@st.composite
def lawful_events(draw: st.DrawFn, types: tuple[EventType, ...] = tuple(EventType)) -> dict[str, Any]:
    """An event that the published schema accepts."""
    event_type = draw(st.sampled_from(types))
    event: dict[str, Any] = draw(_satisfying(STRICT[event_type]))
    return event


@st.composite
def odd_events(draw: st.DrawFn) -> dict[str, Any]:
    """A lawful event with up to three places changed, cut out or added: accepted by both, one, or neither profile."""
    event = draw(lawful_events())
    for _ in range(draw(st.integers(0, 3))):
        event = draw(_changed(event))
    return event


@st.composite
def _satisfying(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = draw(st.sampled_from(kinds))
    if kind == "object":
        return draw(_object(schema))
    if kind == "array":
        return draw(st.lists(_satisfying(schema["items"]), max_size=3))
    plain = {"string": st.text(max_size=8), "number": INT64 | FLOATS, "integer": INT64, "boolean": st.booleans()}
    return draw(plain.get(kind, st.none()))


@st.composite
def _object(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    properties, required = schema.get("properties", {}), set(schema.get("required", ()))
    for choice in schema.get("anyOf", ())[:1]:
        required |= set(choice["required"])
    optional = sorted(properties.keys() - required)
    chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=4)) if optional else []
    made = {key: draw(_satisfying(properties[key])) for key in sorted(required) + chosen}
    for rule in schema.get("patternProperties", {}).values():
        made |= draw(
            st.dictionaries(st.from_regex(r"[a-zA-Z0-9_.]{1,6}", fullmatch=True), _satisfying(rule), max_size=3)
        )
    if isinstance(schema.get("additionalProperties"), dict):
        made |= draw(st.dictionaries(st.text(max_size=4), _satisfying(schema["additionalProperties"]), max_size=2))
    return made


@st.composite
def _changed(draw: st.DrawFn, event: dict[str, Any]) -> dict[str, Any]:
    event = deepcopy(event)
    places = _containers(event)
    place = draw(st.sampled_from(places))
    action = draw(st.sampled_from(["set", "set", "drop", "add", "respell"]))
    if isinstance(place, list):
        place.append(draw(VALUES))
    elif action == "add" or not place:
        place[draw(KEYS)] = draw(VALUES)
    else:
        key = draw(st.sampled_from(sorted(place)))
        if action == "drop":
            del place[key]
        elif action == "set":
            place[key] = draw(VALUES)
        elif type(place[key]) is int and abs(place[key]) < 2**53:
            place[key] = float(place[key])
    return event


def _containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(inner for item in value.values() for inner in _containers(item))]
    if isinstance(value, list):
        return [value, *(inner for item in value for inner in _containers(item))]
    return []
