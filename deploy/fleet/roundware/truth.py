"""The expected rows of a Roundware session, from its accepted requests alone: docs/reports.md read a second time.

Nothing here imports `ingest` or `processors`, and nothing is taken from what the door made of a client's words but what
no client says: numbers, the session's echo, and which call below `streams/` it was.

Where the contract leaves room, the truth accepts more than one value: the length of a way to a thousandth and a metre;
flags in any order. Not modelled, and never sent by the fleet: sessions that come back after seven days, visits past
their limits (`truncated`).
"""

from collections.abc import Sequence

from deploy.fleet.expectation import plain
from deploy.fleet.outcome import Expected, Reject, Timeouts
from deploy.fleet.roundware.rows import Document, Session, close_row, heartbeat_row, start_row
from deploy.fleet.roundware.told import Heard
from deploy.fleet.roundware.visits import Visit, visits_of


class SessionTruth:
    """What must come out of one session. `horizon`: how far the lane's clock is taken to have come, epoch ms."""

    def __init__(self, heard: Sequence[Heard], timeouts: Timeouts, horizon: int) -> None:
        self.session = Session(heard[0], timeouts.window)
        self.visits = visits_of(heard, timeouts.idle, horizon)
        self.rows: list[Expected] = []
        self.rejects: list[Reject] = []
        for visit in self.visits:
            self._add("session-start", visit, 0, start_row(self.session, visit))
            if visit.ending is not None:
                self._close(visit)

    @property
    def is_open(self) -> bool:
        return self.visits[-1].ending is None

    def heartbeat(self, visit: Visit, folded: int, instance: int) -> Document:
        """The heartbeat row after the first `folded` records of a visit. `instance` counts over the session."""
        document = heartbeat_row(self.session, visit, folded)
        document["_id"] = f"{self.session.sid}:heartbeat:{instance}:0"
        document["mediabeat"]["instance"] = instance
        return document

    def _close(self, visit: Visit) -> None:
        """The close, and a revision for each later change that gives it other numbers."""
        known = close_row(self.session, visit, visit.records[-1].received_at, [])
        self._add("session-close", visit, 0, known)
        revision = 0
        for count, change in enumerate(visit.later, 1):
            document = close_row(self.session, visit, change.received_at, visit.later[:count])
            if plain(document["roundware"]) != plain(known["roundware"]):
                revision += 1
                known = document
                self._add("session-close", visit, revision, document)

    def _add(self, kind: str, visit: Visit, revision: int, document: Document) -> None:
        document["_id"] = f"{self.session.sid}:{kind}:{visit.ordinal}:{revision}"
        document["mediabeat"]["revision"] = revision
        self.rows.append(Expected(kind, visit.ordinal, revision, document))
