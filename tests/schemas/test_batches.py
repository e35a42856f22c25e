import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import batches, codec
from schemas.events import EventType
from schemas.validation import InvalidDocument, Profile
from schemas.violations import MAX_VIOLATIONS
from tests.schemas.documents import lawful_events

LIMITS = batches.BatchLimits(max_events=1000, max_event_bytes=65_536)
OTHERS = tuple(event_type for event_type in EventType if event_type is not EventType.SESSION_START)
BATCHES = st.tuples(lawful_events((EventType.SESSION_START,)), st.lists(lawful_events(OTHERS), max_size=4)).map(
    lambda parts: [parts[0], *parts[1]]
)
SPACES = st.text(" \t\r\n", max_size=3)
TIME = {"playhead": 1, "ts": 2}
START = {
    "eventType": "sessionStart",
    "playerTime": TIME,
    "params": {
        "analytics.trackingServer": "t",
        "analytics.reportSuite": "r",
        "visitor.marketingCloudOrgId": "o",
        "media.id": "i",
        "media.length": 60,
        "media.contentType": "vod",
        "media.playerName": "p",
        "media.channel": "c",
    },
}
PING = {"eventType": "ping", "playerTime": TIME}


def parse(batch: Any, limits: batches.BatchLimits = LIMITS, **how: Any) -> batches.ParsedBatch:
    return batches.parse_batch(json.dumps(batch, **how).encode(), Profile.LENIENT, limits)


def refusal(body: bytes) -> InvalidDocument:
    with pytest.raises(InvalidDocument) as raised:
        batches.parse_batch(body, Profile.LENIENT, LIMITS)
    return raised.value


@given(BATCHES, st.booleans(), st.data())
@settings(max_examples=60)
def test_each_element_keeps_its_own_bytes(batch: list[Any], ascii_only: bool, data: st.DataObject) -> None:
    separators = data.draw(st.tuples(SPACES, SPACES).map(lambda s: (f"{s[0]},{s[1]}", f"{s[1]}:{s[0]}")))
    pieces = [json.dumps(event, ensure_ascii=ascii_only, separators=separators).encode() for event in batch]
    spaces = [data.draw(SPACES).encode() for _ in range(2 * len(pieces) + 2)]
    body = b"".join(
        (b"," if position else b"") + spaces[2 * position] + piece + spaces[2 * position + 1]
        for position, piece in enumerate(pieces)
    )
    body = spaces[-1] + b"[" + body + b"]" + spaces[-2]
    parsed = batches.parse_batch(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body, Profile.LENIENT, LIMITS)
    assert [event.body for event in parsed.events] == pieces
    assert [event.document for event in parsed.events] == batch
    assert [event.type for event in parsed.events] == [event["eventType"] for event in batch]


def test_brackets_quotes_and_commas_in_text_divide_nothing() -> None:
    tricky = {**PING, "x": '},{"eventType":"play"},[\\"]', "y": [[{"z": "}, {"}], '"']}
    parsed = parse([START, tricky, PING])
    assert [json.loads(event.body) for event in parsed.events] == [START, tricky, PING]


def test_a_repeated_key_stays_in_the_bytes_of_its_element() -> None:
    twice = b'{"eventType":"x","eventType":"ping","playerTime":{"playhead":1,"ts":2}}'
    parsed = batches.parse_batch(b"[" + json.dumps(START).encode() + b"," + twice + b"]", Profile.STRICT, LIMITS)
    assert parsed.events[1].body == twice
    assert parsed.events[1].type is EventType.PING


@given(BATCHES)
@settings(max_examples=60)
def test_the_id_is_the_hash_of_the_array_with_sorted_keys(batch: list[Any]) -> None:
    canonical = codec.encode(in_order(batch))
    assert parse(batch).id == hashlib.sha256(canonical).hexdigest()


@given(BATCHES, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_id_knows_neither_key_order_nor_spaces_nor_escapes_nor_whole_floats(batch: list[Any], chance: Any) -> None:
    again = parse(shuffled(batch, chance), indent=2, ensure_ascii=False)
    assert again.id == parse(batch).id


@given(BATCHES, BATCHES)
@settings(max_examples=30)
def test_other_content_has_another_id(one: list[Any], other: list[Any]) -> None:
    assert (parse(one).id == parse(other).id) is (one == other)


def test_the_order_and_the_number_of_elements_are_content() -> None:
    play = {**PING, "eventType": "play"}
    ids = {parse(batch).id for batch in ([START, PING, play], [START, play, PING], [START, PING], [START, PING, PING])}
    assert len(ids) == 4


def test_a_long_whole_float_is_not_taken_for_its_neighbour() -> None:
    def with_length(length: float) -> batches.ParsedBatch:
        return parse([{**START, "params": {**START["params"], "media.length": length}}])

    assert with_length(2**53).id != with_length(2**53 + 1).id
    assert with_length(60.0).id == with_length(60).id != with_length(60.5).id


def test_every_bad_place_is_named_up_to_a_number() -> None:
    error = refusal(json.dumps([START, *({**PING, "playerTime": {"playhead": 1}} for _ in range(50))]).encode())
    assert error.code == "batch_rejected"
    assert len(error.violations) == MAX_VIOLATIONS
    assert error.violations[2] == ("[3].playerTime.ts", "required", "is required")
    assert error.message == "Batch rejected: [1].playerTime.ts is required (and 19 more)"


def test_an_element_with_an_integer_beyond_64_bits_is_named() -> None:
    error = refusal(json.dumps([START, PING, {**PING, "x": 2**70}]).encode())
    assert [violation[:2] for violation in error.violations] == [("[2].x", "int64")]


@pytest.mark.parametrize("depth", [33, 200, 900, 1020])
def test_an_element_nested_too_deep_is_refused(depth: int) -> None:
    nested = b'{"eventType":"ping","playerTime":{"playhead":1,"ts":2},"x":' + b"[" * depth + b"]" * depth + b"}"
    error = refusal(b"[" + json.dumps(START).encode() + b"," + nested + b"]")
    assert error.code == "batch_rejected"
    assert [violation.rule for violation in error.violations] == ["nesting"]
    assert error.violations[0].path.startswith("[1]")


@given(st.binary(max_size=100) | st.binary(max_size=100).map(lambda noise: b"[" + noise + b"]"))
def test_arbitrary_bytes_are_no_batch(body: bytes) -> None:
    assert refusal(body).violations


@pytest.mark.parametrize("body", [b"", b"[", b"[1,]", b'[{"a":1]', b"[]]", b"[NaN]"])
def test_a_batch_that_is_no_json_is_malformed(body: bytes) -> None:
    assert refusal(body).code == "malformed_json"


def test_limits_hold_for_the_number_and_for_each_element_and_count_as_too_large() -> None:
    size = len(json.dumps(START))
    batch = [START, PING, PING]
    assert len(parse(batch, batches.BatchLimits(3, size)).events) == 3
    with pytest.raises(batches.TooLarge) as too_many:
        parse(batch, batches.BatchLimits(2, size))
    assert too_many.value.violation[:2] == ("", "maxItems")
    with pytest.raises(batches.TooLarge) as too_long:
        parse(batch, batches.BatchLimits(3, size - 1))
    assert too_long.value.violation[:2] == ("[0]", "maxBytes")
    with pytest.raises(batches.TooLarge):
        parse([1] * 4, batches.BatchLimits(3, size))


def test_twenty_thousand_events_are_taken_apart_and_none_is_lost() -> None:
    batch = [START, *({**PING, "playerTime": {"playhead": n / 4, "ts": n}} for n in range(19_999))]
    parsed = parse(batch, batches.BatchLimits(20_000, 65_536))
    assert [json.loads(event.body) for event in parsed.events] == batch


def in_order(value: Any) -> Any:
    """The canonical form, made another way."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=str.encode)}
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if isinstance(value, float) and value == int(value) and abs(value) < 2**53:
        return int(value)
    return value


def shuffled(value: Any, chance: Any) -> Any:
    """The same content in other words."""
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if type(value) is int and abs(value) < 2**53 and chance.random() < 0.5:
        return float(value)
    return value
