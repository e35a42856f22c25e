"""Filters and pages of the lists. A filter that cannot be read is refused, where upstream dropped it in silence."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar

from ingest.roundware.fields import NOT_A_BOOLEAN, NOT_AN_INTEGER, decimal_of, integer_of, shown_of
from ingest.roundware.refusals import Complaints, detail
from schemas.roundware import Event, Listen, Session, instant_of

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000

_SLICE: Final = 200  # documents looked at between two turns of the loop
_NANOSECONDS: Final = 1_000_000_000
_Item = TypeVar("_Item")
Query = dict[str, str]


class Unread(Exception):
    """A filter's value cannot be read; says why."""


class Page(NamedTuple):
    """One page of what passes all tests: `skipped` before it, at most `size` on it."""

    tests: tuple[Callable[[Any], bool], ...]
    skipped: int
    size: int

    async def of(self, found: Iterable[_Item]) -> list[_Item]:
        """This page of a list that is read lazily; other requests have their turn meanwhile."""
        items: list[_Item] = []
        passed = 0
        for at, item in enumerate(found):
            if at % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if all(test(item) for test in self.tests):
                passed += 1
                if passed > self.skipped:
                    items.append(item)
                if len(items) == self.size:
                    break
        return items


def sessions(query: Query) -> Page:
    """Refusal in the shape of fields."""
    tests, complaints = _tests(query, _SESSION_FILTERS)
    page = _page(query, tests, complaints)
    complaints.raise_if_any()
    return page


def listens(query: Query) -> tuple[Page, int | None]:
    """As `sessions`; and the one session that is asked for."""
    complaints = Complaints()
    session = _read(query, ("session", "session_id"), _number, complaints)
    tests, complaints = _tests(query, _LISTEN_FILTERS, complaints)
    page = _page(query, tests, complaints)
    complaints.raise_if_any()
    return page, session


def events(query: Query) -> tuple[Page, int | None]:
    """As `listens`, in the shape of one string."""
    complaints = Complaints()
    session = _read(query, ("session_id",), _number, complaints)
    tests, complaints = _tests(query, _EVENT_FILTERS, complaints)
    page = _page(query, tests, complaints)
    if first := complaints.first():
        raise detail("schema_violation", f"{first[0]}: {first[1]}")
    return page, session


def _tests(
    query: Query, filters: dict[str, Callable[[str], Callable[[Any], bool]]], complaints: Complaints | None = None
) -> tuple[tuple[Callable[[Any], bool], ...], Complaints]:
    complaints = complaints or Complaints()
    found = (_read(query, (name,), make, complaints) for name, make in filters.items())
    return tuple(test for test in found if test is not None), complaints


def _page(query: Query, tests: tuple[Callable[[Any], bool], ...], complaints: Complaints) -> Page:
    page = _read(query, ("page",), _from_one, complaints) or 1
    size = min(_read(query, ("page_size",), _from_one, complaints) or PAGE_SIZE, MAX_PAGE_SIZE)
    return Page(tests, (page - 1) * size, size)


def _read(query: Query, names: tuple[str, ...], read: Callable[[str], _Item], complaints: Complaints) -> _Item | None:
    for name in names:
        if name in query:
            try:
                return read(query[name])
            except Unread as why:
                complaints.add(name, str(why))
    return None


def _number(text: str) -> int:
    number = integer_of(text)
    if number is None:
        raise Unread(NOT_AN_INTEGER)
    return number


def _from_one(text: str) -> int:
    number = _number(text)
    if not 1 <= number <= 10**9:
        raise Unread("Ensure this value is greater than or equal to 1.")
    return number


def _flag(text: str) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(text)
    if found is None:
        raise Unread(NOT_A_BOOLEAN)
    return found


def _instant(text: str) -> int:
    shown = shown_of(text)
    if shown is None:
        raise Unread("Enter a valid date/time.")
    return instant_of(shown)


def _is(read: Callable[[str], Any], of: Callable[[Any], Any]) -> Callable[[str], Callable[[Any], bool]]:
    """The filter of items whose value is the one that is asked for."""

    def make(text: str) -> Callable[[Any], bool]:
        wanted = read(text)
        return lambda item: bool(of(item) == wanted)

    return make


def _since(of: Callable[[Any], str | None], *, beyond: int = 0) -> Callable[[str], Callable[[Any], bool]]:
    """The filter of items from a time on, or beyond it."""

    def make(text: str) -> Callable[[Any], bool]:
        from_ = _instant(text) + beyond
        return lambda item: (shown := of(item)) is not None and instant_of(shown) >= from_

    return make


def _until(of: Callable[[Any], str | None], *, before: int = 0) -> Callable[[str], Callable[[Any], bool]]:
    def make(text: str) -> Callable[[Any], bool]:
        to = _instant(text) - before
        return lambda item: (shown := of(item)) is not None and instant_of(shown) <= to

    return make


def _begins(of: Callable[[Event], str | None]) -> Callable[[str], Callable[[Event], bool]]:
    return lambda text: lambda event: (of(event) or "").startswith(text)


def _with_type(text: str) -> Callable[[Event], bool]:
    wanted = text.lower()
    return lambda event: wanted in event.event_type.lower()


def _with_tags(text: str) -> Callable[[Event], bool]:
    wanted = {_number(piece) for piece in text.split(",") if piece.strip()}
    return lambda event: wanted <= set(event.tags)


def _lasting(text: str, *, is_least: bool) -> Callable[[Listen], bool]:
    """The filter by a duration in nanoseconds; one that is unknown passes neither way."""
    limit = _number(text)

    def test(listen: Listen) -> bool:
        seconds = None if listen.duration_seconds is None else decimal_of(listen.duration_seconds)
        if seconds is None:
            return False
        return seconds * _NANOSECONDS >= limit if is_least else seconds * _NANOSECONDS <= limit

    return test


def _stop(session: Session) -> int | None:
    return None if session.stoptime is None else instant_of(session.stoptime)


def _start(session: Session) -> str:
    return session.starttime


_SESSION_FILTERS: Final = {
    "project_id": _is(_number, lambda session: session.project),
    "language_id": _is(_number, lambda session: session.language_id),
    "language": _is(str, lambda session: session.language),
    "geo_listen_enabled": _is(_flag, lambda session: session.geo_listen),
    "demo_stream_enabled": _is(_flag, lambda session: session.demo_stream),
    "client_system": _is(str, lambda session: session.client_system),
    "client_type": _is(str, lambda session: session.client_type),
    "timezone": _is(str, lambda session: session.timezone),
    "device_id": _is(str, lambda session: session.device),
    "starttime": _is(_instant, lambda session: instant_of(session.starttime)),
    "stoptime": _is(_instant, _stop),
    "starttime__gte": _since(_start),
    "starttime__lte": _until(_start),
    "start_time__gte": _since(_start),
    "start_time__lte": _until(_start),
}
_EVENT_FILTERS: Final = {
    "event_type": _with_type,
    "server_time": _begins(lambda event: event.server_time),
    "server_time__gt": _since(lambda event: event.server_time, beyond=1),
    "server_time__lt": _until(lambda event: event.server_time, before=1),
    "latitude": _begins(lambda event: event.latitude_text),
    "longitude": _begins(lambda event: event.longitude_text),
    "tag_ids": _with_tags,
}
_LISTEN_FILTERS: Final = {
    "asset": _is(_number, lambda listen: listen.asset),
    "asset_id": _is(_number, lambda listen: listen.asset),
    "project_id": _is(_number, lambda listen: listen.project),
    "duration__gte": lambda text: _lasting(text, is_least=True),
    "duration__lte": lambda text: _lasting(text, is_least=False),
    "start_time__gte": _since(lambda listen: listen.starttime),
    "start_time__lte": _until(lambda listen: listen.starttime),
}
