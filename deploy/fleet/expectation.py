"""Expected values the contract leaves some room for, and the comparison that knows them.

Each use of one of these stands beside its reason; everything else is compared exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

ABSENT = "(absent)"


class Loose:
    """A value with room. `plain` is what the truth file prints."""

    plain: Any

    def accepts(self, got: Any) -> bool:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Maybe(Loose):
    """May be absent; where it stands it is exactly this."""

    plain: Any

    def accepts(self, got: Any) -> bool:
        return got is ABSENT or not list(differences(self.plain, got))


@dataclass(frozen=True, slots=True)
class OneOf(Loose):
    """Two sentences of the contract give different values: either is right."""

    values: tuple[Any, ...]

    @property
    def plain(self) -> Any:
        return self.values[0]

    def accepts(self, got: Any) -> bool:
        return any(not list(differences(value, got)) for value in self.values)


@dataclass(frozen=True, slots=True)
class Near(Loose):
    """A ratio: `tolerance` is half a unit of the last digit the contract asks for."""

    plain: float
    tolerance: float

    def accepts(self, got: Any) -> bool:
        return isinstance(got, int | float) and abs(got - self.plain) <= self.tolerance + 1e-9


@dataclass(frozen=True, slots=True)
class Among(Loose):
    """A list in any order that holds all of `required` and nothing of `forbidden`; other members are the writer's."""

    required: frozenset[str]
    forbidden: frozenset[str]

    @property
    def plain(self) -> list[str]:
        return sorted(self.required)

    def accepts(self, got: Any) -> bool:
        present = set() if got is ABSENT else set(got)
        return self.required <= present and not self.forbidden & present


@dataclass(frozen=True, slots=True)
class Unordered(Loose):
    """A list whose order the contract leaves open."""

    plain: list[Any]

    def accepts(self, got: Any) -> bool:
        return isinstance(got, list) and _sorted(got) == _sorted(self.plain)


@dataclass(frozen=True, slots=True)
class Anything(Loose):
    """A number the contract does not define."""

    plain: Any = ABSENT

    def accepts(self, got: Any) -> bool:
        return got is ABSENT or isinstance(got, int | float)


def _sorted(members: list[Any]) -> list[bytes]:
    return sorted(orjson.dumps(member, option=orjson.OPT_SORT_KEYS) for member in members)


class Difference(NamedTuple):
    path: str
    expected: Any
    got: Any


def differences(expected: Any, got: Any, path: str = "") -> Iterator[Difference]:
    """Every place at which a document is not what was expected; keys that nobody expected included."""
    if isinstance(expected, Loose):
        if not expected.accepts(got):
            yield Difference(path, plain(expected), got)
    elif isinstance(expected, dict) and (isinstance(got, dict) or got is ABSENT):
        got = {} if got is ABSENT else got  # an empty block is absent
        for key in sorted(expected.keys() | got.keys()):
            yield from differences(expected.get(key, ABSENT), got.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif type(expected) is bool or type(got) is bool:
        if expected is not got:
            yield Difference(path, expected, got)
    elif expected != got:
        yield Difference(path, plain(expected), got)


def plain(value: Any) -> Any:
    """The expectation without its room, as it is printed."""
    if isinstance(value, Loose):
        return plain(value.plain)
    if isinstance(value, dict):
        members = {key: plain(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member is not ABSENT}
    if isinstance(value, list):
        return [plain(member) for member in value]
    return value
