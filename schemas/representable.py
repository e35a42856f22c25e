"""What JSON may say and our readers could not hold: integers beyond 64 bits, nesting without end.

All questions here are asked of the bytes, so that a repeated key hides nothing.
"""

import re
from typing import Any, Final

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

MAX_NESTING: Final = 32
"""Levels of objects and arrays in one event, the event itself counted."""

_LONG_RUN: Final = b"9" * 19
_DIGITS_ALIKE: Final = bytes.maketrans(b"012345678", b"9" * 9)
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LONG_INTEGER: Final = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def is_suspect(body: bytes) -> bool:
    """Whether the two exact questions below need to be asked; nearly never, and quick to tell."""
    return _LONG_RUN in body.translate(_DIGITS_ALIKE) or body.count(b"{") + body.count(b"[") > MAX_NESTING


def nesting(body: bytes) -> int:
    """How many levels of objects and arrays valid JSON has."""
    level = deepest = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", body)):
        level += 1 if bracket in b"{[" else -1
        deepest = max(deepest, level)
    return deepest


def has_long_integer(body: bytes) -> bool:
    """Whether any integer of valid JSON is beyond 64 bits."""
    return not all(is_int64(digits) for digits in _LONG_INTEGER.findall(_TEXT.sub(b'""', body)))


def is_int64(digits: str | bytes) -> bool:
    return len(digits) <= 20 and INT64_MIN <= int(digits) <= INT64_MAX


def with_plain_numbers(value: Any) -> Any:
    """A copy in which whole floats are integers, as far as a float tells neighbours apart."""
    if type(value) is dict:
        return {key: with_plain_numbers(item) for key, item in value.items()}
    if type(value) is list:
        return [with_plain_numbers(item) for item in value]
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**53 else value
