"""Partitions of the events topic that chance wrote: media sessions in any order, on a clock without a machine.

`Player` tells what a player may tell, sane or not; `Chance` posts it as doors would stamp it and the log would keep it.
"""

import random
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.fleet.outcome import Timeouts
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import topics
from schemas.codec import decode_envelope, encode_envelope
from schemas.events import BatchPlace, Envelope
from schemas.records import Record, StoredRecord
from tests.deploy.chance_player import T0, Player
from tests.processors.partition import sid_of

FAR = T0 + 10**12
PARTITION = 0
RULES = Rules(
    idle_timeout_ms=60_000,
    still_timeout_ms=120_000,
    session_cap_ms=400_000,
    grace_ms=5_000,
    heartbeat_interval_ms=2_000,
)
TIMEOUTS = Timeouts(idle=60_000, still=120_000, cap=400_000, grace=5_000, window=5_000, heartbeat=2_000)

DELAYS = (0, 0, 0, 0, 40, 40, 900, 3_000, 4_999, 5_000, 5_001, 7_000)
"""How late a post of a parallel client may be, in milliseconds: the reorder window is 5,000."""
AGES = (0,) * 10 + (50, 60_000, 119_999, 120_000, 120_001, -1, -120_000, -120_001)
"""Of a session's id when its start is posted; beyond 120,000 it opens nothing."""
SKEWS = (-3_000, -30, -30, 1_000, 60_000)
"""What the clocks of a few doors are ahead by."""


@dataclass(frozen=True)
class Post:
    """`at`: when it is appended, in epoch ms."""

    at: int
    received_at: int
    sid: str
    body: bytes
    place: BatchPlace | None = None

    def stored(self, offset: int) -> StoredRecord:
        source = "collection" if self.place is None else "batch"
        envelope = Envelope(self.sid, self.received_at, source, None, self.place, self.body)
        return StoredRecord(offset, self.at + 5, self.sid.encode(), encode_envelope(envelope))


class Chance:
    """`rng` decides everything."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def write(self) -> list[StoredRecord]:
        """One partition: a few sessions and batches, with repeats."""
        posts: list[Post] = []
        for number in range(self.rng.choice((1, 1, 2, 2, 3))):
            player = Player(self.rng, T0 + self.rng.choice((0, 0, 0, 3_000, 20_000)))
            told = player.perform(self.rng.choice((3, 6, 12, 25, 45)))
            posts += self._uploaded(number, told) if self.rng.random() < 0.15 else self._posted(number, told)
        posts.sort(key=lambda post: post.at)
        return [post.stored(offset) for offset, post in enumerate(posts)]

    def _posted(self, number: int, told: list[tuple[int, dict[str, Any]]]) -> list[Post]:
        """One after the other, or as they overtake each other; and some again, soon or late."""
        rng = self.rng
        at = told[0][0]
        sid = sid_of(number, at - rng.choice(AGES))
        parallel = rng.random() < 0.6
        posts: list[Post] = []
        for wall, document in told:
            delay = rng.choice(DELAYS) if parallel and posts else rng.choice((0, 0, 20))
            at = wall + delay if parallel else max(at, wall + delay)
            posts.append(self._post(at, sid, orjson.dumps(document)))
        for _ in range(rng.choice((0, 0, 1, 3))):
            post = rng.choice(posts)
            later = rng.choice((0, 1, 500, 4_000, 6_000, 30_000, 90_000, 660_000))
            posts.append(self._post(post.at + later, sid, post.body))
        return posts

    def _post(self, at: int, sid: str, body: bytes) -> Post:
        skew = self.rng.choice(SKEWS) if self.rng.random() < 0.2 else 0
        return Post(at, at + skew, sid, body)

    def _uploaded(self, number: int, told: list[tuple[int, dict[str, Any]]]) -> list[Post]:
        """An offline batch, whole or broken off; perhaps once more, at once or when it was given up."""
        rng = self.rng
        sid = f"{number:064x}"
        at = T0 + rng.choice((0, 10_000, 300_000))
        is_named = bool(told[0][1]["params"]["media.id"])
        posts = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            stop = len(told) if rng.random() < 0.6 else rng.randrange(1, len(told) + 1)
            for position, (_, document) in enumerate(told[:stop]):
                at += rng.choice((0, 0, 1, 5))
                place = BatchPlace(sid, position, len(told))
                posts.append(Post(at, at, sid, orjson.dumps(document), place))
            at += rng.choice((0, 1_000, 100_000, 406_000, 2_000_000) if is_named else (0, 1_000))
        return posts


def folded(rng: random.Random, log: list[StoredRecord], until: int) -> list[Record]:
    """What a lane's table makes of a log, in transactions and after restarts as chance cuts them."""
    written: list[Record] = []
    table, position = _table(), 0
    table.restored()
    while position < len(log):
        stop = min(len(log), position + rng.choice((1, 1, 2, 5, 20)))
        while position < stop:
            position = table.fold(log, position, stop, FAR)
            written += _committed(table)
        if rng.random() < 0.2:
            _let_pass(table, min(map(arrival, log[position:]), default=until), written)
        if rng.random() < 0.1:
            table = _restored(written)
    _let_pass(table, until, written)
    return written


def arrival(record: StoredRecord) -> int:
    """The receive time that deadlines go by."""
    return min(decode_envelope(record.value or b"").received_at, record.timestamp + 2_000)


def _let_pass(table: SessionTable, until: int, written: list[Record]) -> None:
    """The clock of a lane that has caught up reaches `until`."""
    while not table.pass_time(until, FAR):
        written += _committed(table)
    written += _committed(table)


def _committed(table: SessionTable) -> list[Record]:
    records = table.finish()
    table.commit()
    return records


def _table() -> SessionTable:
    return SessionTable(PARTITION, RULES)


def _restored(written: list[Record]) -> SessionTable:
    table = _table()
    state = [record for record in written if record.topic == topics.STATE.name]
    table.restore([StoredRecord(offset, 0, record.key, record.value) for offset, record in enumerate(state)])
    table.restored()
    return table
