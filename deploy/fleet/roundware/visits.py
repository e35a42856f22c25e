"""Where the visits of a session begin and end: a second reading of docs/reports.md, Roundware sessions."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from deploy.fleet.roundware import readings
from deploy.fleet.roundware.told import Heard

BELIEVED_AHEAD_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Ending:
    """`at` and `closed_at` in epoch milliseconds; `closed_at` None where a record said that it is over."""

    reason: str
    at: int
    closed_at: int | None


@dataclass(slots=True)
class Visit:
    """`records` in log order. `later`: changes, in the next visit, of listen events that began in this one.

    `strays`: offsets of changes of listen events that are known neither of this visit nor of the one before.
    """

    ordinal: int
    records: list[Heard] = field(default_factory=list)
    ending: Ending | None = None
    later: list[Heard] = field(default_factory=list)
    strays: set[int] = field(default_factory=set)

    @property
    def began_at(self) -> int:
        return self.records[0].at

    def holds(self, listen: int) -> bool:
        """Whether that listen event began in this visit and was not deleted since."""
        began = any(record.kind == "listen" and record.number == listen for record in self.records)
        changes = (record for record in (*self.records, *self.later) if record.kind == "listenDelete")
        return began and not any(record.made["listen"] == listen for record in changes)


def visits_of(heard: Iterable[Heard], idle_ms: int, horizon: int) -> list[Visit]:
    """The visits of one session. `horizon`: how far the lane's clock is taken to have come, epoch ms."""
    visits: list[Visit] = []
    for told in heard:
        record, before = told, visits[-1] if visits else None
        if before and before.ending is None:
            before.ending = _ended(before, record.clock, idle_ms)
        if before and before.ending is not None:
            # Other sessions of the partition may have moved the clock beyond a stop time: nothing happens before that.
            record = replace(record, at=max(record.at, before.ending.at))
        if not visits or visits[-1].ending is not None:
            visits.append(Visit(len(visits) + 1))
        visit = visits[-1]
        if record.kind in ("listenChange", "listenDelete"):
            _note_change(visits, record)
        visit.records.append(record)
        if readings.type_of(record) == "session.end":
            visit.ending = Ending("explicit", record.at, None)
    if visits and visits[-1].ending is None:
        visits[-1].ending = _ended(visits[-1], horizon, idle_ms)
    return visits


def _note_change(visits: list[Visit], record: Heard) -> None:
    if visits[-1].holds(record.made["listen"]):
        return
    if len(visits) > 1 and visits[-2].holds(record.made["listen"]):
        visits[-2].later.append(record)
    else:
        visits[-1].strays.add(record.offset)


def _ended(visit: Visit, clock: int, idle_ms: int) -> Ending | None:
    """How an open visit ended, if it had when the clock stood there."""
    stoptime = stoptime_ms(visit)
    if stoptime is not None:
        deadline = max(stoptime, visit.began_at)
        return Ending("client", deadline, deadline) if clock > deadline else None
    last = visit.records[-1].at
    if clock <= last + idle_ms:
        return None
    is_quiet = len(visit.records) == 1 and visit.records[0].kind == "session"
    return Ending("no_activity" if is_quiet else "timeout", last, last + idle_ms)


def stoptime_ms(visit: Visit) -> int | None:
    """Epoch milliseconds of the `stoptime` that ends this visit; None where there is none that is believed."""
    told = told_stoptime_ms(visit)
    return None if told is None or told - visit.began_at > BELIEVED_AHEAD_MS else told


def told_stoptime_ms(visit: Visit) -> int | None:
    first = visit.records[0]
    told = first.sent.get("stoptime") if first.kind == "session" else None
    if not told:
        return None
    at = datetime.fromisoformat(told)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
