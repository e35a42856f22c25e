"""Partitions of the events topic that chance wrote: Roundware sessions with every trap, on a clock without a machine."""

import random
from dataclasses import dataclass, field
from typing import Any

import orjson

from deploy.fleet import truth_records
from deploy.fleet.evidence import ROW_TOPICS, Evidence, Landed
from deploy.fleet.roundware.told import by_session, read_partition
from processors.dialects import Dialects
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import roundware, topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord
from schemas.roundware import Event, Listen, ListenChange, ListenDelete, Session

T0 = 1_767_225_600_000
FAR = T0 + 10**12
PARTITION = 0
RULES = RoundwareRules(idle_timeout_ms=10_000, heartbeat_interval_ms=2_000)

STEPS = (0, 0, 1, 40, 40, 200, 700, 700, 1500, 4999, 5000, 5001)
SILENCES = (9_999, 10_000, 10_001, 25_000)
"""Milliseconds between two records of a partition."""

WORDS = (
    *("play_stream", "start_listen", "resume", "pause_stream", "stop_listen", "pause", "pause"),
    *("heartbeat", "location_update", "filter_stream", "change_listen_mode", "skip_ahead", "stop_record"),
    *("client_error", "start_session", "Play_Stream", "anything"),
)


@dataclass
class Chance:
    """`rng` decides everything. Times in epoch milliseconds; the partition's own clock mostly goes on."""

    rng: random.Random
    now: int = T0
    log: list[StoredRecord] = field(default_factory=list)
    numbers: int = 100
    sessions: list[Session] = field(default_factory=list)
    listens: dict[int, list[int]] = field(default_factory=dict)

    def write(self, records: int) -> list[StoredRecord]:
        for number in range(self.rng.randrange(1, 4)):
            self._open(1_000 + number)
        for _ in range(records):
            near = self.rng.random() < 0.93
            self.now += self.rng.choice(STEPS if near else SILENCES)
            self.rng.choice(
                (self._tell, self._tell, self._tell, self._hear, self._hear, self._heard, self._heard, self._end)
            )()
        return self.log

    def _open(self, number: int) -> None:
        stoptime = self.rng.choice((None, None, None, -5000, 0, 3000, 30_000, 86_400_000, 86_400_001))
        shown = None if stoptime is None else roundware.shown_instant((self.now + stoptime) * 1000)
        zone, device = self.rng.choice(("0000", "-0500", "+1401", "-8000")), self.rng.choice(("a device", "0" * 14))
        start = roundware.shown_instant(self.now * 1000)
        session = Session(number, number, 1, 7, device, "web", "test", zone, "en", 1, True, False, start, shown)
        self.sessions.append(session)
        self._put(session, {"client_system": "test", "timezone": zone, **({"stoptime": shown} if shown else {})})

    def _tell(self) -> None:
        rng, session = self.rng, self._session()
        word, quality, place = rng.choice(WORDS), (), {}
        if rng.random() < 0.2:
            place = rng.choice(
                (
                    {"latitude": 42.5, "longitude": -71.25},
                    {"latitude": "42.6", "longitude": "-71.5"},
                    {"latitude": "91", "longitude": 1},
                )
            )
        good = bool(place) and place["latitude"] != "91"
        quality = ("badPosition",) if place and not good else ()
        where = (float(place["latitude"]), float(place["longitude"])) if good else (None, None)
        told = self._client_time(session.timezone)
        sent = {
            "event_type": word,
            "session_id": session.id,
            **({} if told is None else {"client_time": told}),
            **place,
        }
        event = Event(self._minted(), session.id, 1, 7, session.device, word, session.starttime, told, *where)
        self._put(event._replace(quality=quality), sent)

    def _client_time(self, zone: str) -> str | None:
        at = self.now + self.rng.choice((0, 0, -3000, 3000, -6000, 400_000))
        shown = roundware.shown_instant(at // 1000 * 1_000_000)
        ahead = {"0000": 0, "-0500": -5 * 3_600_000}.get(zone)
        local = None if ahead is None else roundware.shown_instant((at + ahead) // 1000 * 1_000_000)
        spaced = shown.replace("T", " ") + ".+0000"
        return self.rng.choice(
            (shown + "Z", shown + "Z", shown + "+00:00", local or shown, spaced, None, "", "at noon")
        )

    def _hear(self) -> None:
        session = self._session()
        told = self.rng.choice((None, None, "0", "0.0005", "1.0034999", "3", "12.5", "100000"))
        listen = Listen(
            self._minted(),
            session.id,
            1,
            7,
            session.device,
            self.rng.randrange(3),
            session.starttime,
            session.starttime,
            told,
        )
        self.listens.setdefault(session.id, []).append(listen.id)
        self._put(listen, {"asset": listen.asset, **({} if told is None else {"duration_in_seconds": told})})

    def _heard(self) -> None:
        session = self._session()
        known = self.listens.get(session.id)
        if not known:
            return
        listen = known[-1] if self.rng.random() < 0.6 else self.rng.choice(known)
        head = (self._minted(), session.id, 1, 7, session.device, listen, session.starttime)
        if self.rng.random() < 0.15:
            self._put(ListenDelete(*head), {})
        else:
            told = self.rng.choice(("0.5", "2", "7.25", "60", None))
            self._put(ListenChange(*head, told), {} if told is None else {"duration_in_seconds": told})

    def _end(self) -> None:
        if self.rng.random() < 0.4:
            session = self._session()
            word = self.rng.choice(("stop_session", "cleanup_session"))
            event = Event(self._minted(), session.id, 1, 7, session.device, word, session.starttime)
            self._put(event, {"event_type": word})

    def _session(self) -> Session:
        return self.rng.choice(self.sessions)

    def _minted(self) -> int:
        self.numbers += 1
        return self.numbers

    def _put(self, document: roundware.Document, sent: dict[str, Any]) -> None:
        sid = roundware.session_key(document.session)
        received = self.now + self.rng.choice((0, 0, 0, -30, 60_000 if self.rng.random() < 0.05 else 0))
        envelope = Envelope(sid, received, "roundware", None, None, roundware.encode(document, orjson.dumps(sent)))
        self.log.append(StoredRecord(len(self.log), self.now + 5, sid.encode(), encode_envelope(envelope)))


def folded(rng: random.Random, log: list[StoredRecord], until: int) -> list[Record]:
    """What a lane's tables make of a log, in transactions and after restarts as chance cuts them."""
    written: list[Record] = []
    table, position = _table(), 0
    table.restored()
    while position < len(log):
        stop = min(len(log), position + rng.choice((1, 1, 2, 5, 20)))
        while position < stop:
            position = table.fold(log, position, stop, FAR)
        written += table.finish()
        table.commit()
        if rng.random() < 0.1:
            table = _restored(written)
    while not table.pass_time(until, FAR):
        written += table.finish()
        table.commit()
    written += table.finish()
    table.commit()
    return written


def _table() -> Dialects:
    sessions = SessionTable(PARTITION, Rules(heartbeat_interval_ms=0))
    return Dialects(sessions, RoundwareTable(PARTITION, RULES))


def _restored(written: list[Record]) -> Dialects:
    table = _table()
    state = [r for r in written if r.topic == topics.STATE.name]
    table.restore([StoredRecord(offset, 0, r.key, r.value) for offset, r in enumerate(state)])
    table.restored()
    return table


def evidence_of(log: list[StoredRecord], written: list[Record]) -> Evidence:
    """What a check would find of either dialect on the topics."""
    kinds = {topic.name: kind for kind, topic in ROW_TOPICS.items()}
    evidence = Evidence(partitions=1, roundware=by_session([read_partition(PARTITION, log)]))
    evidence.sessions = truth_records.by_session([truth_records.read_partition(PARTITION, log)])
    for offset, record in enumerate(written):
        key = record.key.decode()
        if record.topic in kinds and record.value is not None:
            row = orjson.loads(record.value)
            evidence.rows.setdefault(key, []).append(Landed(kinds[record.topic], PARTITION, offset, key, row))
        elif record.topic == topics.REJECTS.name and record.value is not None:
            reject = orjson.loads(record.value)
            place = (reject["origin"]["partition"], reject["origin"]["offset"])
            evidence.rejects.setdefault(place, []).append(reject["code"])
    return evidence
