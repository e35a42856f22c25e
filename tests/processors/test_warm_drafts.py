"""Drafts kept between transactions save unpacking, and change nothing that is written."""

import random

import orjson
import pytest

from processors import session_table
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


def written(records: list[StoredRecord], kept: int, monkeypatch: pytest.MonkeyPatch, *, undone: bool) -> list[Record]:
    """All that a table which keeps so many drafts writes, in transactions of 17 records."""
    monkeypatch.setattr(session_table, "WARM_DRAFTS", kept)
    table = SessionTable(0, Rules())
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
def test_a_table_that_keeps_drafts_writes_what_one_that_unpacks_them_writes(
    kept: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = stream(seed)
    expected = written(records, 0, monkeypatch, undone=False)
    assert len({record.topic for record in expected}) >= 6
    assert written(records, kept, monkeypatch, undone=False) == expected


def test_a_transaction_that_did_not_hold_leaves_nothing_in_the_drafts_that_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = stream(7)
    assert written(records, 12_000, monkeypatch, undone=True) == written(records, 0, monkeypatch, undone=False)


def test_no_more_drafts_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_table, "WARM_DRAFTS", 5)
    table = SessionTable(0, Rules())
    records = stream(1)
    table.fold(records, 0, 40, WALL)
    table.finish()
    table.commit()
    assert len(table._warm) == 5
