"""Fields as the contract reads them; what the vectors do not say already."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.roundware.fields import NO_DATETIME, Fields, decimal_of, integer_of, shown_of
from ingest.roundware.refusals import Refusal
from schemas.roundware import instant_of


def told(fields: Fields) -> dict:
    with pytest.raises(Refusal) as refused:
        fields.complaints.raise_if_any()
    return refused.value.document


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2022-01-02T03:04:05.678Z", "2022-01-02T03:04:05.678000"),
        ("2022-01-02T03:04:05", "2022-01-02T03:04:05"),
        ("2022-01-02 03:04", "2022-01-02T03:04:00"),
        ("2022-01-02T03:04:05-05:00", "2022-01-02T08:04:05"),
        ("2022-01-02T03:04:05+0530", "2022-01-01T21:34:05"),
        ("2022-01-02T03:04:05.123456789z", "2022-01-02T03:04:05.123456"),
        ("2022-13-02T03:04:05", None),
        ("2022-02-30T03:04:05", None),
        ("2022-01-02T03:04:05+05:99", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("2022-01-02", None),
        ("1643000000", None),
        ("", None),
        ("\u0662\u0660\u0662\u0662-01-02T03:04:05", None),
    ],
)
def test_times_are_iso_and_move_to_utc(text: str, shown: str | None) -> None:
    assert shown_of(text) == shown
    fields = Fields({"at": text})
    assert fields.instant("at") == shown
    if shown is None:
        assert told(fields) == {"at": [NO_DATETIME]}


@given(st.datetimes())
def test_a_time_without_a_zone_is_utc(at) -> None:
    assert shown_of(at.isoformat()) == at.isoformat()
    assert instant_of(at.isoformat()) % 1_000_000 == at.microsecond


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.001, "1.001"),
        (12.345, "12.345"),
        ("67", "67"),
        (0.067, "0.067"),
        (0, "0"),
        (100, "100"),
        ("1e3", "1000"),
        ("1e-12", "0"),
        (-0.0, "0"),
        (" 3 ", "3"),
    ],
)
def test_seconds_are_decimal(value: object, text: str) -> None:
    assert Fields({"duration_in_seconds": value}).duration() == text


@given(st.integers(0, 600_000))
def test_no_millisecond_of_a_duration_is_lost(milliseconds: int) -> None:
    seconds = Fields({"duration_in_seconds": milliseconds / 1000}).duration()
    nanoseconds = Fields({"duration": milliseconds * 1_000_000}).duration()

    assert seconds == nanoseconds
    assert Decimal(seconds or "x") * 1000 == milliseconds


@pytest.mark.parametrize("value", [None, True, "x", "", [], {}, "nan", "inf", "-inf", -1, "1e400", 1e300, "9" * 500])
def test_a_duration_that_is_none_is_refused(value: object) -> None:
    fields = Fields({"duration_in_seconds": value})

    assert fields.duration() is None
    assert list(told(fields)) == ["duration_in_seconds"]


def test_nanoseconds_are_whole() -> None:
    fields = Fields({"duration": 1.5})

    assert fields.duration() is None
    assert told(fields) == {"duration": ["A valid integer is required."]}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1),
        ("1", 1),
        (" 7 ", 7),
        (1.0, 1),
        ("1.0", 1),
        ("-3", -3),
        (1.5, None),
        ("1.5", None),
        (True, None),
        ("", None),
        ("\u0661", None),
        (None, None),
        ([], None),
        ("9" * 40, None),
    ],
)
def test_integers(value: object, number: int | None) -> None:
    assert integer_of(value) == number


def test_a_number_no_float_can_hold_is_still_a_decimal_or_none() -> None:
    assert decimal_of("1e399") == Decimal("1e399")
    assert decimal_of("1e999999999") is None


def test_text_is_trimmed_before_it_is_measured() -> None:
    assert Fields({"name": "  " + "x" * 5 + "  "}).text("name", 5) == "xxxxx"
    fields = Fields({"name": "x\0"})
    assert fields.text("name", 5) is None
    assert told(fields) == {"name": ["Null characters are not allowed."]}


def test_the_first_name_that_is_there_counts_and_complaints_go_under_the_documented_one() -> None:
    assert Fields({"session": 1, "session_id": 2}).positive("session", "session_id") == 1
    fields = Fields({"session_id": 0})
    assert fields.positive("session", "session_id") is None
    assert told(fields) == {"session": ['Invalid pk "0" - object does not exist.']}
