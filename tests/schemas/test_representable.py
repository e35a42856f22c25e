import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import representable
from tests.schemas.documents import VALUES


@given(VALUES, st.integers(0, 40))
def test_levels_are_counted_from_the_bytes(value: Any, around: int) -> None:
    def levels(part: Any) -> int:
        if isinstance(part, dict | list):
            return 1 + max(map(levels, part.values() if isinstance(part, dict) else part), default=0)
        return 0

    body = b"[" * around + json.dumps(value).encode() + b"]" * around
    assert representable.nesting(body) == around + levels(value)
    assert representable.is_suspect(body) or levels(value) + around <= representable.MAX_NESTING


@pytest.mark.parametrize(
    ("number", "long"),
    [
        ("9223372036854775807", False),
        ("9223372036854775808", True),
        ("-9223372036854775808", False),
        ("-9223372036854775809", True),
        ("1" + "0" * 300, True),
        ("12345678901234567890.5", False),
        ("12345678901234567890e1", False),
        ("0.12345678901234567890", False),
        ("1e-00000000000000000000", False),
        ("1E+00000000000000000001", False),
        ('"12345678901234567890"', False),
        ('"\\"12345678901234567890"', False),
        ('{"12345678901234567890":1}', False),
    ],
)
def test_an_integer_is_long_by_its_value_and_a_fraction_or_a_text_is_none(number: str, long: bool) -> None:
    for body in (number, f"[{number}]", f'{{"a":1,"b" : {number}\n}}', f"[-0.5,{number},1]"):
        assert representable.has_long_integer(body.encode()) is long
        assert representable.is_suspect(body.encode()) or not long


@given(VALUES)
def test_plain_numbers_change_no_value(value: Any) -> None:
    assert representable.with_plain_numbers(value) == value


def test_whole_floats_become_integers_where_a_float_is_exact() -> None:
    plain = representable.with_plain_numbers({"a": [1.0, -0.0, 2.0**53, 1.5, True]})
    assert json.dumps(plain) == '{"a": [1, 0, 9007199254740992.0, 1.5, true]}'
