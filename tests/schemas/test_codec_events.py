import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Event, EventType
from schemas.repairs import event_metadata
from schemas.validation import InvalidDocument, Profile, judge, schema_of
from tests.schemas.documents import VALUES, lawful_events, odd_events

PING = '{"eventType":"ping","playerTime":{"playhead":%s,"ts":%s}%s}'
NESTED = st.integers(25, 40).map(lambda depth: json.loads("[" * depth + "]" * depth))


def ping(playhead: str = "1", ts: str = "2", more: str = "") -> bytes:
    return (PING % (playhead, ts, more)).encode()


def written(document: Any) -> bytes:
    return json.dumps(document).encode()


def refusal(body: bytes, profile: Profile) -> InvalidDocument | None:
    try:
        codec.parse_event(body, profile)
    except InvalidDocument as error:
        return error
    return None


def decoded(body: bytes) -> Event | None:
    try:
        return codec.decode_event(body)
    except codec.Undecodable:
        return None


@given(st.binary(max_size=200) | VALUES.map(written), st.sampled_from(Profile))
def test_arbitrary_bytes_are_refused_with_a_reason_and_undecodable(body: bytes, profile: Profile) -> None:
    error = refusal(body, profile)
    assert error is not None
    assert error.violations
    assert error.code in {"malformed_json", "schema_violation", "unknown_event_type"}
    assert decoded(body) is None


@given(odd_events(), st.sampled_from(Profile))
@settings(max_examples=120)
def test_the_door_and_the_schema_have_one_judgement(document: Any, profile: Profile) -> None:
    error = refusal(written(document), profile)
    name = document.get("eventType")
    if isinstance(name, str) and name in list(EventType):
        assert (error.violations if error else ()) == tuple(judge(document, EventType(name), profile))
    else:
        assert error is not None


@given(odd_events())
@settings(max_examples=200)
def test_a_record_is_decoded_exactly_if_the_lenient_door_takes_it(document: Any) -> None:
    body = written(document)
    event = decoded(body)
    assert (event is not None) is (refusal(body, Profile.LENIENT) is None)
    if event is not None:
        assert_well_typed(event)


@given(odd_events() | lawful_events())
@settings(max_examples=200)
def test_the_short_way_reads_an_event_as_the_long_one_does(document: dict[str, Any]) -> None:
    body = written(document)
    event = decoded(body)
    try:
        at_length = codec._decode_telling(codec._LENIENT_TYPES[document["eventType"]], orjson.loads(body))
    except (codec.Undecodable, KeyError, TypeError):
        assert event is None
    else:
        assert repr(event) == repr(at_length)  # 1, 1.0 and True are equal, and not the same


@given(lawful_events())
def test_a_lawful_event_is_decoded_to_what_it_says(document: dict[str, Any]) -> None:
    event = codec.decode_event(written(document))
    assert (event.type, event.playhead, event.ts) == (document["eventType"], *document["playerTime"].values())
    told = {key: value for key, value in document.get("params", {}).items() if value is not None}
    assert event.params == told
    assert event.qoe == document.get("qoeData", {})
    assert event.custom_metadata == document.get("customMetadata", {})


@given(lawful_events(), st.dictionaries(st.sampled_from(["x", "y"]), NESTED, max_size=2))
def test_nesting_is_measured_alike_by_brackets_and_by_levels(document: dict[str, Any], more: dict[str, Any]) -> None:
    document = document | more
    error = refusal(written(document), Profile.LENIENT)
    assert (error is None) is (levels(document) <= codec.MAX_NESTING)


@given(
    st.integers(-(2**70), 2**70) | st.integers(2**63 - 3, 2**64 + 3),
    st.sampled_from([",", ' \n,"y":-0.00000000000000000001,']),
)
def test_integers_beyond_64_bits_are_refused_wherever_they_stand(number: int, before: str) -> None:
    error = refusal(ping(more=f'{before}"x":{{"y":[{number}]}}'), Profile.LENIENT)
    if -(2**63) <= number < 2**63:
        assert error is None
    else:
        assert error is not None
        assert error.violations[0][:2] == ("x.y[0]", "int64")


@given(st.integers(-(2**66), 2**66) | st.integers(2**63 - 3, 2**63 + 3))
def test_a_ts_is_taken_exactly_up_to_64_bits(ts: int) -> None:
    for profile in Profile:
        error = refusal(ping(ts=str(ts)), profile)
        assert (error is None) is (-(2**63) <= ts < 2**63)
        if error is None:
            assert codec.decode_event(ping(ts=str(ts))).ts == ts
        else:
            assert ("playerTime.ts", "int64") in [violation[:2] for violation in error.violations]


@pytest.mark.parametrize("ts", [2**63, 2**64 - 1, 2**64, -(2**64)])
def test_a_record_with_a_ts_beyond_64_bits_is_undecodable(ts: int) -> None:
    assert decoded(ping(ts=str(ts))) is None
    assert decoded(ping(ts=str(ts), more=',"params":{"x":1}')) is None


@pytest.mark.parametrize("spelled", ["1.7672256e12", "1767225600000.0", "17672256E5", "1767225600000"])
def test_a_whole_number_is_read_as_one_however_it_is_spelled(spelled: str) -> None:
    event = codec.decode_event(codec.parse_event(ping(ts=spelled), Profile.LENIENT).body)
    assert event.ts == 1_767_225_600_000
    assert type(event.ts) is int


def test_a_byte_order_mark_is_left_out_and_all_other_bytes_stay() -> None:
    body = b' \n{"eventType" :"ping", "playerTime":{"ts":2,"playhead":1,"ts":3}, "a\\/b":"\\u00e9"}\t\n'
    assert codec.parse_event(b"\xef\xbb\xbf" + body, Profile.LENIENT).body == body
    assert codec.parse_event(body, Profile.LENIENT).body == body
    assert codec.decode_event(body).ts == 3


@pytest.mark.parametrize("body", [b"", b" \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf "])
def test_an_empty_body_is_told_so(body: bytes) -> None:
    error = refusal(body, Profile.LENIENT)
    assert error is not None
    assert (error.code, error.violations[0].detail) == ("malformed_json", "the body is empty")


@pytest.mark.parametrize("body", [b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b'"' + b"\\" * 999])
def test_hostile_nesting_and_escapes_are_refused(body: bytes) -> None:
    for profile in Profile:
        assert refusal(body, profile)
    assert decoded(body) is None


def test_a_refusal_speaks_of_the_type_and_the_first_place() -> None:
    body = b'{"eventType":"adBreakStart","playerTime":{"playhead":1,"ts":2},"params":{"media.ad.podIndex":"1"}}'
    error = refusal(body, Profile.LENIENT)
    assert error is not None
    assert error.message == "Invalid adBreakStart: params.media.ad.podSecond is required (and 1 more)"
    assert error.violations[1] == ("params.media.ad.podIndex", "type", "must be integer")


def test_a_type_is_not_echoed_at_length() -> None:
    error = refusal(written({"eventType": "x" * 60_000}), Profile.LENIENT)
    assert error is not None
    assert error.code == "unknown_event_type"
    assert len(error.message) < 200


def test_an_undecodable_record_is_not_echoed_at_length() -> None:
    for document in (
        {"eventType": "x" * 60_000, "playerTime": {}},
        {"eventType": "ping", "playerTime": {"playhead": 1, "ts": 2} | {"x" * 60_000: 1}, "params": []},
    ):
        with pytest.raises(codec.Undecodable) as raised:
            codec.decode_event(written(document))
        assert len(str(raised.value)) < 300


def test_the_types_that_take_the_long_way_are_those_with_required_params() -> None:
    telling = {event_type for event_type in EventType if "params" in schema_of(event_type, Profile.STRICT)["required"]}
    assert telling == codec._TELLING


def levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((levels(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((levels(item) for item in value), default=0)
    return 0


IS = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: type(value) is int or (type(value) is float and math.isfinite(value)),
    "integer": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "boolean": lambda value: isinstance(value, bool),
}
KNOWN = {
    key: rule["type"] if isinstance(rule["type"], str) else "integer"
    for event_type in EventType
    for key, rule in schema_of(event_type, Profile.STRICT)["properties"]["params"]["properties"].items()
}
QOE = dict.fromkeys(("bitrate", "droppedFrames", "framesPerSecond", "timeToStart"), "number") | dict.fromkeys(
    ("errorID", "errorSource"), "string"
)


def assert_well_typed(event: Event) -> None:
    """What a machine relies on."""
    assert type(event.ts) is int
    assert -(2**63) <= event.ts < 2**63
    assert IS["number"](event.playhead)
    for key, value in event.params.items():
        if KNOWN.get(key) in IS:
            assert IS[KNOWN[key]](value), key
    for name, kind in QOE.items():
        if f"media.qoe.{name}" in event.qoe:
            assert IS[kind](event.qoe[f"media.qoe.{name}"]), name
    for identity in event.params.get("visitor.customerIDs", {}).values():
        assert isinstance(identity.get("id", ""), str)
        assert IS["integer"](identity.get("authState", 0))
    for name in ("statesStart", "statesEnd"):
        assert all(isinstance(state["media.state.name"], str) for state in event.params.get(name, []))
    assert event_metadata(dict(event.custom_metadata)) == event.custom_metadata
    required = schema_of(event.type, Profile.STRICT)["properties"]["params"].get("required", ())
    assert set(required) <= event.params.keys()
