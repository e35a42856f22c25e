import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas import codec
from schemas.events import BatchPlace, Envelope
from tests.schemas.documents import VALUES
from tests.schemas.test_examples import own_schema

SCHEMA = Draft202012Validator(own_schema("event-envelope.v1"))
SID = "0f" * 32
EVENT = b'{"eventType":"ping","playerTime":{"playhead":1,"ts":2}}'

TEXTS = st.text(max_size=40) | st.sampled_from(
    ['","event":{"x":1}}', ',"event":', '\\","event":', "event", '"', "\\", '\\"', "\n", "\x00", "é", "☃", '{"event":']
)
PLACES = st.builds(BatchPlace, id=TEXTS, position=st.integers(0, 20_000), of=st.integers(1, 20_000))
EVENTS = st.sampled_from(
    [EVENT, b' {"event":{"event":1},"a":",\\"event\\":"}\n', b'{"a":"}"}', b'{"x":1,"event":2}', b'{"v":1,"event":{}}']
)
ENVELOPES = st.builds(
    Envelope,
    sid=TEXTS,
    received_at=st.integers(-(2**63), 2**63 - 1),
    source=st.sampled_from(sorted(codec.SOURCES)),
    peer=st.none() | TEXTS,
    batch=st.none() | PLACES,
    event=EVENTS | VALUES.map(codec.encode),
)


@given(ENVELOPES)
def test_what_went_into_an_envelope_comes_out_again(envelope: Envelope) -> None:
    assert codec.decode_envelope(codec.encode_envelope(envelope)) == envelope


@given(ENVELOPES)
def test_an_envelope_is_json_for_any_reader_with_the_event_unchanged_in_it(envelope: Envelope) -> None:
    value = codec.encode_envelope(envelope)
    document = json.loads(value)
    assert value.endswith(b',"event":' + envelope.event + b"}")
    assert document["event"] == json.loads(envelope.event)
    assert (document["v"], document["sid"], document["peer"]) == (1, envelope.sid, envelope.peer)
    assert (document["receivedAt"], document["source"]) == (envelope.received_at, envelope.source)
    assert document.get("batch") == (
        envelope.batch and {"id": envelope.batch.id, "index": envelope.batch.position, "of": envelope.batch.of}
    )


@pytest.mark.parametrize(
    ("source", "place"), [("collection", None), ("roundware", None), ("batch", BatchPlace(SID, 0, 3))]
)
def test_an_envelope_obeys_its_schema(source: str, place: BatchPlace | None) -> None:
    envelope = Envelope(SID, 1_767_225_600_000, source, "192.0.2.0", place, EVENT)
    SCHEMA.validate(json.loads(codec.encode_envelope(envelope)))


def test_a_peer_that_is_no_unicode_does_not_stop_an_envelope() -> None:
    value = codec.encode_envelope(Envelope(SID, 1, "collection", "\udcff1", None, EVENT))
    assert codec.decode_envelope(value).peer == "?1"


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_bytes_that_are_no_envelope_are_undecodable_and_nothing_worse(value: bytes) -> None:
    with pytest.raises(codec.Undecodable):
        codec.decode_envelope(value)


@given(ENVELOPES, st.data())
def test_a_damaged_envelope_is_read_or_undecodable_and_nothing_worse(envelope: Envelope, data: st.DataObject) -> None:
    value = bytearray(codec.encode_envelope(envelope))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        read = codec.decode_envelope(bytes(value))
    except codec.Undecodable:
        return
    assert isinstance(read.sid, str)
    assert isinstance(read.received_at, int)
    assert read.source in codec.SOURCES
    assert read.peer is None or isinstance(read.peer, str)


@pytest.mark.parametrize(
    "head",
    [
        b'"v":2,"sid":"a","receivedAt":1,"source":"batch","peer":null',
        b'"v":1,"sid":1,"receivedAt":1,"source":"batch","peer":null',
        b'"v":1,"sid":"a","receivedAt":"1","source":"batch","peer":null',
        b'"v":1,"sid":"a","receivedAt":true,"source":"batch","peer":null',
        b'"v":1,"sid":"a","receivedAt":1,"source":"other","peer":null',
        b'"v":1,"sid":"a","receivedAt":1,"source":[],"peer":null',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":1',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch"',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":null,"batch":null',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":null,"batch":{"id":"b","index":0}',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":null,"batch":{"id":1,"index":0,"of":1}',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":null,"batch":{"id":"b","index":0.0,"of":1}',
        b'"v":1,"sid":"a","receivedAt":1,"source":"batch","peer":null,"batch":[1]',
    ],
)
def test_an_envelope_with_a_wrong_member_is_undecodable(head: bytes) -> None:
    with pytest.raises(codec.Undecodable):
        codec.decode_envelope(b"{" + head + b',"event":{}}')


def test_plain_documents_go_both_ways() -> None:
    assert codec.decode(codec.encode({"a": [1, "é", None]})) == {"a": [1, "é", None]}
    with pytest.raises(codec.Undecodable):
        codec.decode(b"{")
    with pytest.raises(TypeError):
        codec.encode("\ud800")


@pytest.mark.parametrize("digits", [b"+123456789012", b"1_23456789012", b"0123456789012", b"12345678901x2"])
def test_an_instant_is_thirteen_digits_and_nothing_that_passes_for_them(digits: bytes) -> None:
    value = codec.encode_envelope(Envelope(SID, 1_234_567_890_123, "collection", None, None, EVENT))
    with pytest.raises(codec.Undecodable):
        codec.decode_envelope(value.replace(b"1234567890123", digits))


def test_more_peers_than_are_remembered_are_told_apart() -> None:
    for number in range(codec._PEERS_REMEMBERED + 10):
        peer = f"10.{number >> 8}.{number & 255}.0"
        envelope = Envelope(SID, 1_234_567_890_123, "collection", peer, None, EVENT)
        assert codec.decode_envelope(codec.encode_envelope(envelope)) == envelope
    assert len(codec._peers) <= codec._PEERS_REMEMBERED
