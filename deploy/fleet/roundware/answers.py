"""What the door answered, held against the log and against what was asked: each 2xx answers for one record."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from deploy.fleet.expectation import ABSENT, differences
from deploy.fleet.judgement import Problem
from deploy.fleet.roundware import readings
from deploy.fleet.roundware.calls import NAMELESS
from deploy.fleet.roundware.posting import Answered, Journal
from deploy.fleet.roundware.told import Heard

Document = dict[str, Any]
_SAFE = 2**53 - 1
_FIRST_OF_CLIENTS = 3
"""Upstream keeps the numbers 1 and 2 for itself."""


def unanswered_for(sessions: dict[str, list[Heard]], journals: Iterable[Journal]) -> Iterator[Problem]:
    """Acknowledged requests that the log does not hold as they were sent; answers that say something else."""
    seen: Counter[tuple[str, int]] = Counter()
    for journal in journals:
        nameless: Counter[tuple[int, str]] = Counter()
        heard = [record for sid in journal.sids for record in sessions.get(sid, [])]
        by_number = {(record.kind, record.number): record for record in heard}
        for answered in journal.acknowledged:
            place = f"{', '.join(journal.sids)} {answered.kind} {answered.number}"
            if answered.kind in NAMELESS:
                nameless[answered.number, answered.kind] += 1
                yield from _of_nameless(place, answered, heard, nameless[answered.number, answered.kind])
                continue
            seen[answered.kind, answered.number] += 1
            record = by_number.get((answered.kind, answered.number))
            if record is None:
                yield Problem("unlogged", place, f"answered 2xx and not in the log: {answered.sent}")
                continue
            yield from _compared(place, answered, record)
    for (kind, number), times in seen.items():
        if times > 1:
            yield Problem("doubled", f"number of a {kind}: {number}", f"given to {times} requests")


def _of_nameless(place: str, answered: Answered, heard: list[Heard], times: int) -> Iterator[Problem]:
    """Of these the client hears no number: as many as were answered stand in the log, and say the same."""
    if answered.kind == "beat":
        logged = [record for record in heard if record.made.get("route") == "streams"]
    else:
        logged = [one for one in heard if one.kind == answered.kind and one.made["listen"] == answered.number]
    if len(logged) < times:
        yield Problem("unlogged", place, f"answered 2xx {times} times, {len(logged)} in the log")
    elif answered.kind == "listenChange" and answered.sent not in [record.sent for record in logged]:
        yield Problem("unlogged", place, f"not in the log as it was sent: {answered.sent}")
    if answered.kind == "listenChange" and answered.answer is not None:
        told = readings.seconds_told(answered.sent)
        duration = {} if told is None else {"duration_in_seconds": _cents(told)}
        yield from _differences(place, {"id": answered.number} | duration, answered.answer)


def _compared(place: str, answered: Answered, record: Heard) -> Iterator[Problem]:
    if record.sent != answered.sent:
        yield Problem("unlogged", place, f"sent {answered.sent}, in the log {record.sent}")
    if not _FIRST_OF_CLIENTS <= answered.number <= _SAFE:
        yield Problem("answer", place, f"number {answered.number} is out of range")
    answer = answered.answer or {}
    yield from _differences(place, _expected(answered, record), answer)


def _differences(place: str, expected: Document, answer: Document) -> Iterator[Problem]:
    """Of the members expected; others are the door's."""
    got = {key: answer.get(key, ABSENT) for key in expected}
    for path, wanted, found in differences(expected, got):
        yield Problem("answer", place, f"{path}: expected {wanted!r}, got {found!r}")


def _expected(answered: Answered, record: Heard) -> Document:
    sent = answered.sent
    session = int(record.sid.removeprefix("r:"))
    if answered.kind == "session":
        return {
            "id": session,
            "session_id": session,
            "client_system": sent["client_system"],
            "timezone": sent["timezone"],
            "project_id": int(sent["project_id"]),
        }
    if answered.kind == "listen":
        told = readings.seconds_told(sent)
        return {
            "id": answered.number,
            "session_id": session,
            "asset_id": int(sent["asset"] if "asset" in sent else sent["asset_id"]),
            "duration_in_seconds": None if told is None else _cents(told),
        }
    return {
        "id": answered.number,
        "session_id": session,
        "event_type": sent["event_type"],
        "client_time": sent.get("client_time"),
        "latitude": _text(sent.get("latitude")),
        "longitude": _text(sent.get("longitude")),
        "data": sent.get("data"),
    }


def _text(told: Any) -> str | None:
    return None if told is None else str(told)


def _cents(seconds: Decimal) -> float:
    return float(seconds.quantize(Decimal("0.01"), ROUND_HALF_UP))
