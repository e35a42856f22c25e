"""How the text of a setting is read, and what is said of text that is not allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

SECRET_BYTES: Final = 32


class Reading(NamedTuple):
    """How the text of a setting becomes its value: `parse` raises ValueError on what `allowed` leaves out."""

    parse: Callable[[str], Any]
    allowed: str


def _between(low: int, high: int) -> Callable[[int], int]:
    def judge(number: int) -> int:
        if not low <= number <= high:
            raise ValueError(number)
        return number

    return judge


def whole(low: int, high: int) -> Reading:
    judge = _between(low, high)
    return Reading(lambda text: judge(int(text)), f"a whole number from {low} to {high}")


def seconds(low: float, high: float) -> Reading:
    judge = _between(round(low * 1000), round(high * 1000))
    return Reading(lambda text: judge(round(float(text) * 1000)), f"seconds, from {low:.15g} to {high:.15g}")


def choice(*allowed: str, fold: Callable[[str], str] = str.lower) -> Reading:
    known = frozenset(allowed)

    def parse(text: str) -> str:
        if fold(text) not in known:
            raise ValueError(text)
        return fold(text)

    return Reading(parse, "one of " + ", ".join(allowed))


def parse_text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text.strip()


def _parse_name(text: str) -> str:
    # Topic groups, transactional ids and lock files are made of it.
    if not text or len(text) > 100 or not all(c.isalnum() or c in "._-" for c in text):
        raise ValueError(text)
    return text


def parse_secrets(text: str) -> tuple[bytes, ...]:
    secrets = tuple(part.strip().encode() for part in text.split(","))
    if any(len(secret) < SECRET_BYTES for secret in secrets):
        raise ValueError("short")
    return secrets


def parse_bootstrap(text: str) -> str:
    for address in text.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon) or not 0 < int(port) < 65536:
            raise ValueError(text)
    return text


def _parse_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(text)
    return path


TEXT: Final = Reading(parse_text, "any text")
NAME: Final = Reading(_parse_name, "at most 100 letters, digits, '.', '_' or '-'")
FILE: Final = Reading(_parse_file, "the path of a file that exists")
YES_NO: Final = Reading(lambda text: {"true": True, "false": False}[text.lower()], "true or false")


def number(low: float, high: float) -> Reading:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Reading(parse, f"a number from {low:.15g} to {high:.15g}")
