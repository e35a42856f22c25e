"""Drafts kept between transactions save unpacking, and change nothing that is written."""

import random

import orjson
import pytest

from processors.committed import COLD_MS
from processors.counts import Counts
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord
from tests.bench.backlog import Shape, envelopes

WALL = 1_800_000_000_000


def stream(seed: int) -> list[StoredRecord]:
    """Plain viewings with ads, states, errors and repeats thrown in."""
    draw = random.Random(seed)
    records: list[StoredRecord] = []
    for sid, value in envelopes(Shape("mixed", 12, 60), WALL):
        records.append(StoredRecord(len(records), WALL, sid.encode(), value))
        if draw.random() < 0.1:
            records.append(StoredRecord(len(records), WALL, sid.encode(), value))
        if draw.random() < 0.3:
            at = orjson.loads(value)["receivedAt"] + draw.randrange(-3000, 3000)
            kind, params = draw.choice(ODDITIES)
            event = {"eventType": kind, "params": params, "playerTime": {"playhead": draw.randrange(600), "ts": at}}
            odd = encode_envelope(Envelope(sid, at, "collection", None, None, orjson.dumps(event)))
            records.append(StoredRecord(len(records), WALL, sid.encode(), odd))
    return records


POD = {"media.ad.podIndex": 1, "media.ad.podSecond": 0, "media.ad.podFriendlyName": "pod"}
AD = {"media.ad.id": "a", "media.ad.length": 30, "media.ad.podPosition": 1, "media.ad.playerName": "p"}
CHAPTER = {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 60}
STATE = {"media.state.name": "mute"}
ODDITIES = [
    ("adBreakStart", POD),
    ("adStart", AD),
    ("adComplete", {}),
    ("adBreakComplete", {}),
    ("chapterStart", CHAPTER),
    ("chapterComplete", {}),
    ("stateStart", STATE),
    ("stateEnd", STATE),
    ("pauseStart", {}),
    ("bufferStart", {}),
    ("play", {}),
    ("error", {}),
]


def written(records: list[StoredRecord], kept: int, *, undone: bool) -> list[Record]:
    """All that a table which keeps so many drafts writes, in transactions of 17 records."""
    table = SessionTable(0, Rules(), None, kept)
    out: list[Record] = []
    for begin in range(0, len(records), 17):
        batch = records[begin : begin + 17]
        for attempt in range(2 if undone and begin % 3 == 0 else 1):
            if attempt:
                table.rollback()
            folded = 0
            while folded < len(batch):
                folded = table.fold(batch, folded, len(batch), WALL)
            made = list(table.finish())
        out += made
        table.commit()
    while not table.pass_time(WALL + 86_400_000, WALL + 86_400_000):
        pass
    return out + list(table.finish())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kept", [5, 12_000])
def test_a_table_that_keeps_drafts_writes_what_one_that_unpacks_them_writes(kept: int, seed: int) -> None:
    records = stream(seed)
    expected = written(records, 0, undone=False)
    assert len({record.topic for record in expected}) >= 6
    assert written(records, kept, undone=False) == expected


def test_a_transaction_that_did_not_hold_leaves_nothing_in_the_drafts_that_are_kept() -> None:
    records = stream(7)
    assert written(records, 12_000, undone=True) == written(records, 0, undone=False)


def starts(sessions: int, at: int) -> list[StoredRecord]:
    """Sessions that have just begun."""
    shape = Shape("starts", sessions, 2)
    values = list(envelopes(shape, at))[:sessions]
    return [StoredRecord(at + offset, WALL, sid.encode(), value) for offset, (sid, value) in enumerate(values)]


def commit(table: SessionTable, records: list[StoredRecord]) -> None:
    assert table.fold(records, 0, len(records), WALL) == len(records)
    table.finish()
    table.commit()


def test_the_lanes_of_a_worker_keep_no_more_drafts_together_than_the_limit() -> None:
    counts = Counts()
    tables = [SessionTable(partition, Rules(), counts, 10) for partition in range(3)]
    for table in (tables[0], tables[1], tables[2], tables[1]):
        commit(table, starts(6, WALL - 100_000))
    assert counts.warm_drafts == {0: 6, 1: 4, 2: 0}


def test_a_lane_that_is_given_up_frees_its_place() -> None:
    counts = Counts()
    tables = [SessionTable(partition, Rules(), counts, 10) for partition in range(2)]
    for table in tables:
        commit(table, starts(10, WALL - 100_000))
    assert counts.warm_drafts == {0: 10, 1: 0}
    tables[0].rollback()
    commit(tables[1], starts(10, WALL - 100_000))
    assert counts.warm_drafts == {0: 0, 1: 10}


def test_a_draft_keeps_its_place_until_its_session_has_been_silent_for_long() -> None:
    """Where more sessions take turns than there is room for, the newest would push out the one that is due next."""
    table = SessionTable(0, Rules(), None, 4)
    first, second = starts(4, WALL - 200_000), starts(4, WALL - 200_000 + COLD_MS // 2)
    commit(table, first)
    commit(table, second)
    assert kept(table) == sids(first)
    third = starts(3, WALL - 200_000 + 2 * COLD_MS)
    commit(table, third)
    assert kept(table) >= sids(third)
    assert len(kept(table) & sids(first)) == 1


def kept(table: SessionTable) -> set[str]:
    return set(table._committed._warm)


def sids(records: list[StoredRecord]) -> set[str]:
    return {record.key.decode() for record in records}
