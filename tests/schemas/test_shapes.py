import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec, shapes
from schemas.events import EventType
from schemas.shapes import Shapes
from schemas.validation import InvalidDocument, Profile
from tests.schemas.documents import lawful_events, odd_events

PING = b'{"eventType":"ping","playerTime":{"playhead":12.5,"ts":1760000000000},"params":{},"qoeData":{"media.qoe.bitrate":200}}'
DIGIT = re.compile(rb"[0-9]")


def accepted(body: bytes, profile: Profile) -> codec.ParsedEvent | None:
    try:
        return codec.parse_event(body, profile)
    except InvalidDocument:
        return None


def taught(profile: Profile, *bodies: bytes) -> Shapes:
    """What knows the shape of each of these that is accepted."""
    known = Shapes(profile)
    for body in bodies:
        if event := accepted(body, profile):
            known.learn(event)
    return known


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """An event as JSON text: plain, lawful or odd, spelled with or without blanks, and perhaps tampered with."""
    plain = st.fixed_dictionaries(
        {
            "eventType": st.sampled_from([*map(str, EventType), "contentComplete", "play2"]),
            "playerTime": st.fixed_dictionaries(
                {"playhead": st.integers() | st.floats(allow_nan=False), "ts": st.integers() | st.floats(-1e3, 1e3)}
            ),
        },
        optional={
            "params": st.just({}),
            "qoeData": st.dictionaries(
                st.sampled_from(["media.qoe.bitrate", "media.qoe.timeToStart", "a1"]), st.integers()
            ),
        },
    )
    document: Any = draw(plain | plain | lawful_events() | odd_events())
    try:
        text = orjson.dumps(document, option=draw(st.sampled_from([0, orjson.OPT_INDENT_2])))
    except TypeError:
        text = repr(document).replace("'", '"').encode("utf-8", "replace")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        added = draw(
            st.sampled_from([b"0", b"-", b"1e9", b".5", b'"params":{"a":1},', b"\\", b'"', b"\xff", b" ", b"9" * 19])
        )
        text = text[:at] + added + text[at:]
    return text


@given(texts(), st.data(), st.sampled_from(Profile))
@settings(max_examples=400)
def test_what_has_a_known_shape_is_accepted_by_the_schema_as_it_is(
    body: bytes, data: st.DataObject, profile: Profile
) -> None:
    known = taught(profile, body)
    digits = st.sampled_from([b"0", b"0", b"1", b"9"])
    other = DIGIT.sub(lambda _: data.draw(digits), body)
    if known.cover(other):
        event = accepted(other, profile)
        assert event is not None
        assert event.body == other
        assert event.type is not EventType.SESSION_START


@given(st.data(), st.sampled_from(Profile))
def test_other_digits_in_a_plain_event_are_the_same_shape(data: st.DataObject, profile: Profile) -> None:
    known = taught(profile, PING)
    assert known.cover(DIGIT.sub(lambda _: data.draw(st.sampled_from([b"1", b"5", b"9"])), PING))


@pytest.mark.parametrize(
    ("seen", "other"),
    [
        (PING, PING.replace(b"12.5", b"02.5")),
        (PING, PING.replace(b"200", b"020")),
        (PING, PING.replace(b"12.5", b"2.5")),
        (PING, b"\xef\xbb\xbf" + PING),
        (PING.replace(b"12.5", b"1e3"), PING.replace(b"12.5", b"9e3")),
        (PING.replace(b"12.5", b"1E+300"), PING.replace(b"12.5", b"1E+999")),
        (PING.replace(b"200", b"9" * 19), PING.replace(b"200", b"8" * 19)),
        (PING.replace(b"ping", b"\\u0070ing"), PING.replace(b"ping", b"\\u0071ing")),
        (PING.replace(b'"params":{}', b'"params":{"a1":2},"params":{}'), PING),
        (PING.replace(b'"params":{}', b'"customMetadata":{"a":"b"}'),) * 2,
        (PING.replace(b"12.5", b"%d.5" % 10**18),) * 2,
        (PING + b" " * shapes.MAX_SHAPE_BYTES,) * 2,
    ],
)
def test_what_digits_could_make_another_judgement_of_is_read(seen: bytes, other: bytes) -> None:
    assert not taught(Profile.LENIENT, seen).cover(other)


def test_a_zero_alone_and_zeros_behind_the_first_digit_are_the_same_shape() -> None:
    known = taught(Profile.LENIENT, PING)
    assert known.cover(PING.replace(b"12.5", b"10.0").replace(b"200", b"100"))
    assert taught(Profile.LENIENT, PING.replace(b"12.5", b"1.5")).cover(PING.replace(b"12.5", b"0.0"))


def test_profiles_differ_about_whole_numbers_and_each_remembers_its_own_judgement() -> None:
    fraction = PING.replace(b"200", b"200.5")
    assert taught(Profile.LENIENT, fraction).cover(fraction)
    assert not taught(Profile.STRICT, fraction).cover(fraction)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MAX_SHAPES", 4)
    many = [PING.replace(b"200", b"1" * length) for length in range(1, 18)]
    known = taught(Profile.LENIENT, *many)
    assert len(known) <= 4
    assert known.cover(many[-1])
    assert not known.cover(many[0])
