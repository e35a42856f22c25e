"""Documents of Roundware clients: written, read, and shown."""

from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import roundware, roundware_doors
from schemas.codec import Undecodable
from schemas.roundware import Event, Listen, ListenChange, ListenDelete, Session
from schemas.roundware_doors import Reservation, User

SESSION = Session(
    9, 9, 1, 77, "phone", "iPhone", "iOS 8.1", "-8000", "en", 1, geo_listen=True, demo_stream=False, starttime="2026"
)
NUMBERS = st.integers(1, roundware.NUMBER_MAX)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OF_A_SESSION = (NUMBERS, NUMBERS, st.none() | NUMBERS, NUMBERS, st.none() | TEXTS)
"""What every document but the session itself begins with."""
OPENED = (NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.none() | TEXTS, st.none() | TEXTS)
DOCUMENTS = st.one_of(
    st.builds(Session, *OPENED, TEXTS, TEXTS, TEXTS, NUMBERS, st.booleans(), st.booleans(), TEXTS),
    st.builds(
        Event,
        *OF_A_SESSION,
        TEXTS,
        TEXTS,
        tags=st.lists(NUMBERS).map(tuple),
        latitude=st.none() | st.floats(-90, 90),
        longitude=st.none() | st.floats(-180, 180),
    ),
    st.builds(Listen, *OF_A_SESSION, NUMBERS, TEXTS, TEXTS, st.none() | st.just("1.001"), st.integers(0, 9)),
    st.builds(ListenChange, *OF_A_SESSION, NUMBERS, TEXTS, st.none() | st.just("2")),
    st.builds(ListenDelete, *OF_A_SESSION, NUMBERS, TEXTS),
)


@given(DOCUMENTS, st.none() | st.just(b'{"a":[1.10,"x"]}'))
def test_what_is_written_is_read_again(document: roundware.Document, sent: bytes | None) -> None:
    assert roundware.decode(roundware.encode(document, sent)) == document


def test_what_the_client_sent_stands_there_byte_for_byte() -> None:
    value = roundware.encode(SESSION, b'{"latitude": 1.10}')

    assert value.endswith(b',"sent":{"latitude": 1.10}}')
    assert orjson.loads(value)["kind"] == "session"


def test_every_document_has_a_kind_of_its_own() -> None:
    written = {
        orjson.loads(roundware.encode(of(*range(len(of._fields)))))["kind"] for of in get_args(roundware.Document)
    }

    assert written == set(roundware.Kind)


def test_members_that_a_later_release_added_are_passed_over() -> None:
    value = orjson.dumps(orjson.loads(roundware.encode(SESSION)) | {"mood": "good"})

    assert roundware.decode(value) == SESSION


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"kind": "dream"}, {"kind": None}, {"dialect": "other"}, {"id": "9"}, {"user": None}, {"session": True}],
    ids=str,
)
def test_what_no_door_wrote_is_undecodable(change: dict) -> None:
    with pytest.raises(Undecodable):
        roundware.decode(orjson.dumps(orjson.loads(roundware.encode(SESSION)) | change))


@pytest.mark.parametrize("value", [b"", b"[]", b"null", b"{", b'{"dialect":"roundware","v":1,"kind":"session"}'])
def test_what_is_no_document_is_undecodable(value: bytes) -> None:
    with pytest.raises(Undecodable):
        roundware.decode(value)


def test_a_session_is_shown_with_the_members_of_both_generations() -> None:
    shown = roundware.session_shown(SESSION)

    assert (shown["id"], shown["session_id"]) == (9, 9)
    assert (shown["language"], shown["language_id"]) == ("en", 1)
    assert shown["stoptime"] is None
    assert len(shown) == 13


@pytest.mark.parametrize(
    ("told", "shown"), [(None, None), ("12.345", 12.35), ("1.001", 1.0), ("0", 0.0), ("0.005", 0.01)]
)
def test_a_duration_is_shown_with_two_decimals_half_up(told: str | None, shown: float | None) -> None:
    listen = Listen(1, 2, None, 3, None, 4, "", "", told)

    assert roundware.listen_shown(listen)["duration_in_seconds"] == shown


def test_the_last_duration_counts_and_a_change_without_one_keeps_it() -> None:
    listen = Listen(1, 2, None, 3, None, 4, "", "")
    change = ListenChange(5, 2, None, 3, None, 1, "", "7.5")

    once = roundware.changed(listen, change)
    twice = roundware.changed(once, change._replace(duration_seconds=None))

    assert (once.duration_seconds, once.updates) == ("7.5", 1)
    assert (twice.duration_seconds, twice.updates) == ("7.5", 2)


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_time_shown_is_read_again(microseconds: int) -> None:
    assert roundware.instant_of(roundware.shown_instant(microseconds)) == microseconds


def test_a_time_has_six_digits_of_a_second_or_none() -> None:
    assert roundware.shown_instant(1_500_000) == "1970-01-01T00:00:01.500000"
    assert roundware.shown_instant(1_000_000) == "1970-01-01T00:00:01"


def test_keys_of_the_folded_topic_name_their_session() -> None:
    event = Event(5, 9, None, 1, None, "", "")
    listen = Listen(6, 9, None, 1, None, 2, "", "")

    assert [roundware.folded_key(of) for of in (SESSION, event, listen)] == ["r:9", "r:9/e:5", "r:9/l:6"]


def test_what_doors_tell_each_other_is_read_again() -> None:
    user, reservation = User(3, "phone", "web", "ab" * 20, first_name="Ada"), Reservation(12, "chance")

    assert roundware_doors.decode_user(roundware_doors.encode_user(user)) == user
    assert roundware_doors.decode_reservation(roundware_doors.encode_reservation(reservation)) == reservation


@pytest.mark.parametrize("value", [b"", b"7", b"[]", b'{"v":1}', b"null", b'{"until":"x","owner":1}'])
def test_what_no_door_told_is_undecodable(value: bytes) -> None:
    with pytest.raises(Undecodable):
        roundware_doors.decode_user(value)
    with pytest.raises(Undecodable):
        roundware_doors.decode_reservation(value)
