"""One partition under a session table, with the lane's duties done by hand: time and transactions are values."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from processors.counts import Counts
from processors.fold import Poisoned
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import BatchPlace, Envelope
from schemas.records import Record, StoredRecord

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
FAR = T0 + 10**12
"""A wall so late that it holds nothing back."""

START_PARAMS = {
    "media.id": "mediaID",
    "media.name": "mediaName",
    "media.length": 30,
    "media.contentType": "vod",
    "media.streamType": "video",
    "media.channel": "channel",
    "media.playerName": "player",
    "analytics.trackingServer": "server",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org",
}
IOS = {"media.libraryVersion": "ios-media-5.0.1"}


def sid_of(number: int, created_at: int = T0) -> str:
    """A session id minted at `created_at`, without a valid MAC: lanes do not look at it."""
    return f"01{0:04x}{created_at:012x}{number:022x}{0:024x}"


def document(event_type: str, playhead: float, ts: int, **members: Any) -> dict[str, Any]:
    return {"eventType": event_type, "playerTime": {"playhead": playhead, "ts": ts}, **members}


@dataclass
class Partition:
    """Records go in with `put` and `post`, are folded and committed with `fold`; what was written is kept."""

    rules: Rules = field(default_factory=lambda: Rules(heartbeat_interval_ms=0))
    counts: Counts = field(default_factory=Counts)
    number: int = 3
    log: list[StoredRecord] = field(default_factory=list)
    written: list[Record] = field(default_factory=list)
    position: int = 0

    def __post_init__(self) -> None:
        self.table = self.new_table()
        self.table.restored()

    def new_table(self) -> SessionTable:
        return SessionTable(self.number, self.rules, self.counts)

    # In.

    def put(self, sid: str, body: bytes, at: int, **how: Any) -> None:
        """A record received at `at`; `appended` when the log says so, else a moment later."""
        batch = how.get("batch")
        source = how.get("source", "batch" if batch else "collection")
        envelope = Envelope(sid, at, source, how.get("peer", "192.0.2.0"), batch, body)
        value = encode_envelope(envelope)
        self.log.append(StoredRecord(len(self.log), how.get("appended", at + 5), sid.encode(), value))

    def post(self, sid: str, event_type: str, playhead: float, ts: int, **how: Any) -> None:
        """An event of the player's clock `ts` after T0, received at the same moment unless `at` (after T0) says else."""
        members = {name: how.pop(name) for name in ("params", "qoeData", "customMetadata") if name in how}
        at = T0 + how.pop("at", ts)
        if "appended" in how:
            how["appended"] += T0
        self.put(sid, orjson.dumps(document(event_type, playhead, T0 + ts, **members)), at, **how)

    def start(self, sid: str, at: int = 0, **params: Any) -> None:
        how = {"at": params.pop("received")} if "received" in params else {}
        self.post(sid, "sessionStart", 0, at, params=START_PARAMS | params, **how)

    def upload(self, sid: str, bodies: list[bytes], at: int = 0, first: int = 0, of: int | None = None) -> None:
        """Elements of an offline batch, from position `first` on."""
        total = of or first + len(bodies)
        for position, body in enumerate(bodies, first):
            self.put(sid, body, T0 + at, batch=BatchPlace(sid, position, total))

    # The lane's duties.

    def fold(self, wall: int = FAR) -> list[Record]:
        """Fold and commit all that waits; again without whatever the machine raises on."""
        while self.position < len(self.log):
            self.transaction(wall)
        return self.written

    def transaction(self, wall: int = FAR) -> int:
        """One transaction over the rest of the log; how many records it took."""
        waiting = self.log[self.position :]
        while True:
            try:
                folded = 0
                while folded < len(waiting) and not self.table.full():
                    folded = self.table.fold(waiting, folded, len(waiting), wall)
                self._commit()
            except Poisoned as poisoned:
                self.table.rollback()
                self.table.exclude(poisoned)
                continue
            self.position += folded
            return folded

    def pass_time(self, until: int, wall: int = FAR) -> None:
        """The caught-up lane's clock reaches `until` after T0."""
        done = False
        while not done:
            try:
                done = self.table.pass_time(T0 + until, wall)
                if done or self.table.full():
                    self._commit()
            except Poisoned as poisoned:
                self.table.rollback()
                self.table.exclude(poisoned)

    def _commit(self) -> None:
        self.written += self.table.finish()
        self.table.commit()

    def restart(self) -> None:
        """Throw the table away, and restore one from what was written."""
        self.table = self.new_table()
        self.table.restore(self.state())
        self.table.restored()

    # Out.

    def state(self) -> list[StoredRecord]:
        """The state topic as a compaction leaves it, tombstones included."""
        newest = {record.key: record.value for record in self.written if record.topic == topics.STATE.name}
        return [StoredRecord(offset, T0, key, value) for offset, (key, value) in enumerate(newest.items())]

    def live_state(self) -> set[str]:
        """Keys of the state topic that are not tombstones."""
        return {record.key.decode() for record in self.state() if record.value is not None}

    def rows(self, kind: str, sid: str | None = None) -> list[dict[str, Any]]:
        return self.values(f"media.reports.{kind}.v1", sid)

    def all_rows(self) -> list[dict[str, Any]]:
        return [orjson.loads(r.value or b"") for r in self.written if r.topic.startswith("media.reports.")]

    def rejects(self, code: str | None = None) -> list[dict[str, Any]]:
        return [value for value in self.values(topics.REJECTS.name) if code in {None, value["code"]}]

    def closed(self) -> dict[str, dict[str, Any]]:
        return {r.key.decode(): orjson.loads(r.value or b"") for r in self.written if r.topic == topics.CLOSED.name}

    def values(self, topic: str, sid: str | None = None) -> list[dict[str, Any]]:
        found = [record for record in self.written if record.topic == topic]
        return [orjson.loads(r.value or b"") for r in found if sid is None or r.key == sid.encode()]


def reports(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what only says when and by which way they came."""
    stripped = []
    for row in rows:
        own = {name: value for name, value in row["mediabeat"].items() if name not in {"receivedAt", "source"}}
        stripped.append(row | {"mediabeat": own})
    return stripped
