"""The lenient repairs: from a document the door accepted, in either profile, to members a machine can rely on.

After the repairs every key we know has the type we publish for it, wherever it stands; what cannot be repaired is
dropped. Unknown keys stay as they came. Nothing here judges: `schemas/validation.py` did.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from schemas.events import EventType
from schemas.validation import FILLED, Profile, schema_of

UNKNOWN: Final = "unknown"
"""What the Android and JavaScript clients send for a name nobody configured."""

ERROR_ID: Final = "media.qoe.errorID"
ERROR_SOURCE: Final = "media.qoe.errorSource"
BITRATE: Final = "media.qoe.bitrate"

_METADATA_KEY: Final = re.compile(r"[a-zA-Z0-9_.]+").fullmatch

_DROP: Final = object()


def event_params(event_type: EventType, params: dict[str, Any]) -> dict[str, Any]:
    """The params, mended in place: known keys typed, names filled in where real clients leave them out."""
    for key in params.keys() & _PARAMS.keys():
        value = _PARAMS[key](params[key])
        if value is _DROP:
            del params[key]
        else:
            params[key] = value
    for key in FILLED.get(event_type, ()):
        params.setdefault(key, UNKNOWN)
    return params


def event_qoe(qoe: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The quality values, mended in place, together with those that stand in `params` or under another name.

    The documented place and name win over the others.
    """
    for source, aliases in ((qoe, _QOE_ALIASES), (params, _PARAMS_ALIASES)):
        for alias, key in aliases.items():
            if alias in source:
                qoe.setdefault(key, source[alias])
    for key in qoe.keys() & _QOE.keys():
        value = _QOE[key](qoe[key])
        if value is _DROP:
            del qoe[key]
        else:
            qoe[key] = value
    return qoe


def is_plain_qoe(qoe: Any, numbers: tuple[type, ...]) -> bool:
    """Numbers of these types under their documented names, and nothing else: nothing to judge, nothing to mend."""
    if type(qoe) is not dict:
        return False
    for key, value in qoe.items():  # noqa: SIM110 - on the hot path, where a generator costs more than the loop
        if key not in _NUMBERS or type(value) not in numbers:
            return False
    return True


def is_plain_params(event_type: EventType, params: Any) -> bool:
    """Published keys of this type with values of the published types, the required ones among them: nothing to mend."""
    plain = _PLAIN_PARAMS[event_type]
    if plain is None or type(params) is not dict:
        return False
    for key, value in params.items():
        if key not in plain:
            return False
        kind = type(value)
        wanted = plain[key]
        if kind is not wanted and not (wanted is float and kind is int):
            return False
    for key in _REQUIRED_PARAMS[event_type]:  # noqa: SIM110 - on the hot path, where a generator costs more
        if key not in params:
            return False
    return True


def event_metadata(metadata: dict[str, Any]) -> dict[str, str]:
    """Custom metadata as text under lawful keys. Null is no value; a number is spelled as in JSON, 1.0 as 1."""
    return {
        key: value if type(value) is str else spelled(value)
        for key, value in metadata.items()
        if value is not None and _METADATA_KEY(key)
    }


def spelled(value: Any) -> str:
    """A value as text, the way a player that stringifies would have sent it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return orjson.dumps(value).decode()


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else _DROP


def _text_of_anything(value: Any) -> Any:
    try:
        return _DROP if value is None else spelled(value)
    except TypeError:  # nested deeper than can be written; the door lets no such document in
        return _DROP


def _number(value: Any) -> Any:
    return value if type(value) is int or type(value) is float else _DROP


def _integer(value: Any) -> Any:
    if type(value) is float and value.is_integer() and abs(value) <= 2**63:
        return int(value)
    return value if type(value) is int else _DROP


def _truth(value: Any) -> Any:
    return value if isinstance(value, bool) else _DROP


def _customer_ids(value: Any) -> Any:
    """Only pairs of an id and an authentication state survive; 1.0 becomes 1."""
    if not isinstance(value, dict):
        return _DROP
    for name, identity in list(value.items()):
        if not isinstance(identity, dict) or not isinstance(identity.get("id", ""), str):
            del value[name]
        elif "authState" in identity and (state := _integer(identity["authState"])) is not _DROP:
            identity["authState"] = state
        else:
            identity.pop("authState", None)
    return value


def _state_list(value: Any) -> Any:
    """A list of `{"media.state.name": text}`."""
    if not isinstance(value, list):
        return _DROP
    return [state for state in value if isinstance(state, dict) and isinstance(state.get("media.state.name"), str)]


_Repair = Callable[[Any], Any]

_BY_TYPE: Final[dict[str, _Repair]] = {"string": _text, "number": _number, "integer": _integer, "boolean": _truth}


def _published_params() -> dict[str, _Repair]:
    repairs: dict[str, _Repair] = {}
    for event_type in EventType:
        params = schema_of(event_type, Profile.STRICT)["properties"]["params"]
        for key, rule in params["properties"].items():
            kind = rule["type"] if isinstance(rule["type"], str) else rule["type"][0]
            if kind in _BY_TYPE:
                repairs[key] = _BY_TYPE[kind]
    return repairs


_PLAIN: Final[dict[str, type]] = {"string": str, "number": float, "boolean": bool}


def _plain_params(event_type: EventType) -> dict[str, type] | None:
    """The published params of a type of which the schema asks a type and nothing else; None if it asks more of all."""
    params = schema_of(event_type, Profile.LENIENT)["properties"]["params"]
    if params.keys() - {"type", "properties", "required"}:
        return None
    return {
        key: _PLAIN[rule["type"]]
        for key, rule in params["properties"].items()
        if list(rule) == ["type"] and isinstance(rule["type"], str) and rule["type"] in _PLAIN
    }


def _required_params(event_type: EventType) -> tuple[str, ...]:
    """Those the schema requires, and those that are filled in where they are missing."""
    required = schema_of(event_type, Profile.STRICT)["properties"]["params"].get("required", ())
    return (*required, *(key for key in FILLED.get(event_type, ()) if key not in required))


_PLAIN_PARAMS: Final = {event_type: _plain_params(event_type) for event_type in EventType}
_REQUIRED_PARAMS: Final = {event_type: _required_params(event_type) for event_type in EventType}

_NUMBERS: Final = {BITRATE, "media.qoe.droppedFrames", "media.qoe.framesPerSecond", "media.qoe.timeToStart"}

_QOE: Final[dict[str, _Repair]] = dict.fromkeys(sorted(_NUMBERS), _number) | {
    ERROR_ID: _text_of_anything,
    ERROR_SOURCE: _text,
}

# An un-prefixed bitrate stands in a documented timeline, the doubled prefix on one page of the manual.
_QOE_ALIASES: Final = {"bitrate": BITRATE, "media.qoe.media.errorSource": ERROR_SOURCE}

# Newer pages of the manual put error and quality keys among the params.
_PARAMS_ALIASES: Final = {key: key for key in _QOE} | {"media.errorId": ERROR_ID, "media.errorSource": ERROR_SOURCE}

_PARAMS: Final = _published_params() | {
    "visitor.customerIDs": _customer_ids,
    "statesStart": _state_list,
    "statesEnd": _state_list,
}
