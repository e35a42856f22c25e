"""Both dialects on one partition: each is folded as if the other were not there, in one transaction."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from processors import session_table
from processors.counts import Counts
from processors.dialects import Dialects
from processors.fold import Fold, Poisoned
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import roundware, topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord
from tests.processors.memory_log import MemoryLog
from tests.processors.partition import FAR, MINUTE, T0, sid_of
from tests.processors.roundware.listening import SID, N, Rounds
from tests.processors.test_lane import held, running
from tests.processors.test_warm_drafts import WALL, stream

A = sid_of(1)
DAY = 86_400_000


def listening(at: int, number: int) -> tuple[bytes, bytes]:
    """Key and value of a record of one of a few Roundware sessions, received at `at`."""
    session = N + number % 5
    shown = roundware.shown_instant(at * 1000)
    word = ("play_stream", "pause_stream", "stop_session", "heartbeat")[number % 4]
    event = roundware.Event(number + 1, session, 1, 2, "device", word, shown)
    sid = roundware.session_key(session)
    body = roundware.encode(event, b'{"n":%d}' % number)
    return sid.encode(), encode_envelope(Envelope(sid, at, roundware.SOURCE, None, None, body))


def mixed(seed: int, every: int) -> list[StoredRecord]:
    """A stream of the one dialect with a record of the other after every so many; offsets count through."""
    records: list[StoredRecord] = []
    for place, record in enumerate(stream(seed)):
        records.append(record._replace(offset=len(records)))
        if place % every == 0:
            at = orjson.loads(record.value or b"")["receivedAt"]
            key, value = listening(at, place // every)
            records.append(StoredRecord(len(records), record.timestamp, key, value))
    return records


def written(table: Fold, records: Sequence[StoredRecord], *, only: bool | None = None) -> list[Record]:
    """All that a table writes over records, in transactions of 17 offsets; `only` those of one dialect."""
    out: list[Record] = []
    last = records[-1].offset
    for begin in range(0, last + 1, 17):
        batch = [
            record
            for record in records
            if begin <= record.offset < begin + 17 and only in {None, record.key.startswith(b"r:")}
        ]
        folded = 0
        while folded < len(batch):
            folded = table.fold(batch, folded, len(batch), WALL)
        out += table.finish()
        table.commit()
    done = False
    while not done:
        done = table.pass_time(WALL + 30 * DAY, WALL + 30 * DAY)
        if done or table.full():
            out += table.finish()
            table.commit()
    return out


def both(counts: Counts | None = None) -> Dialects:
    return Dialects(SessionTable(0, Rules(), counts), RoundwareTable(0, RoundwareRules(), counts))


@pytest.mark.parametrize("seed", range(3))
def test_without_roundware_records_every_byte_is_the_same(seed: int) -> None:
    records = stream(seed)
    counts, alone = Counts(), SessionTable(0, Rules())
    expected = written(alone, records)
    assert len({record.topic for record in expected}) >= 6
    assert written(both(counts), records) == expected
    counts.open_visits.clear()
    assert counts == alone.counts


@pytest.mark.parametrize("every", [1, 3, 40])
def test_among_each_other_every_byte_of_either_is_the_same(every: int) -> None:
    records = mixed(every, every)
    found = written(both(), records)
    for is_roundware, table in ((False, SessionTable(0, Rules())), (True, RoundwareTable(0, RoundwareRules()))):
        own = [record for record in found if record.key.startswith(b"r:") is is_roundware]
        assert own == written(table, records, only=is_roundware)
        assert len(own) > 5


class Untouchable:
    """A table that cannot bear to be given records."""

    input_topic = topics.EVENTS.name
    state_topic = topics.STATE.name

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked of it")


def test_records_of_the_one_dialect_go_straight_through() -> None:
    records = stream(1)
    table = SessionTable(0, Rules())
    dialects = Dialects(table, Untouchable())  # type: ignore[arg-type] # it is no Fold: that is its point
    assert dialects.fold(records, 0, len(records), WALL) == len(records)
    assert table.counts.consumed == 0
    table.commit()
    assert table.counts.consumed == len(records)


def test_a_key_that_only_holds_the_prefix_is_of_the_other_dialect() -> None:
    rounds = Rounds()
    rounds.log.append(StoredRecord(0, T0, b"for:1", b"{}"))
    rounds.fold()
    [reject] = rounds.rejects("undecodable")
    assert reject["sid"] == "for:1"
    assert rounds.table._sessions.counts.rejected == {"undecodable": 1}


@pytest.mark.interpreted  # a compiled constant cannot be replaced
def test_a_table_that_is_full_is_committed_before_the_rest_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_table, "EXPIRIES_A_TRANSACTION", 2)
    rounds = Rounds()
    for number in range(5):
        rounds.start(sid_of(number))
    rounds.open()
    rounds.fold()
    late = sid_of(9, T0 + 20 * MINUTE)
    rounds.tell("play_stream", 1200)
    rounds.start(late, 20 * MINUTE)
    rounds.tell("stop_session", 1201)
    sizes = []
    while rounds.position < len(rounds.log):
        sizes.append(rounds.transaction())
    assert sizes == [1, 0, 2]
    assert len(rounds.rows("session-close")) == 6
    assert rounds.block()["listeningSeconds"] == 1


@pytest.mark.parametrize("first", [True, False])
def test_what_raises_in_one_dialect_is_kept_out_of_it_alone(first: bool) -> None:
    rounds = Rounds()
    rounds.start(A)
    rounds.open()
    rounds.fold()
    poisoned = Poisoned(A if first else SID, 2)
    rounds.post(A, "sessionEnd", 0, 1_000)
    rounds.tell("stop_session", 1)
    if not first:
        poisoned.offset = 3
    rounds.table.exclude(poisoned)
    rounds.fold()
    rounds.pass_time(10_000)
    assert [reject["sid"] for reject in rounds.rejects("poisoned")] == [poisoned.sid]
    assert len(rounds.rows("session-close", SID)) == first
    assert len(rounds.rows("session-close", A)) == (not first)


def test_the_earlier_of_two_deadlines_is_the_lanes() -> None:
    rounds = Rounds()
    assert rounds.table.next_deadline() is None
    rounds.open()
    rounds.fold()
    assert rounds.table.next_deadline() == T0 + 30 * MINUTE
    rounds.start(A)
    rounds.fold()
    assert rounds.table.next_deadline() == T0 + 11 * MINUTE


async def test_a_lane_writes_rows_state_lists_and_offset_in_one_transaction_and_is_restored_from_it() -> None:
    log = held(MemoryLog())
    posted = Rounds()
    posted.open()
    posted.tell("play_stream", 0)
    posted.hear(11, 0, "1.5")
    posted.start(A)
    posted.tell("stop_session", 2)
    for record in posted.log[:4]:
        await log.append(topics.EVENTS.name, record.key, record.value or b"")
    async with running(log, make_fold=lambda _: both()) as lane:
        await lane.until(lambda: log.transactions)
        await lane.stop()
        [(_, records, next_offset)] = log.transactions
        written_to = {(record.topic, record.key.decode()) for record in records}
        assert written_to == {
            (topics.SESSION_START.name, SID),
            (topics.ROUNDWARE.name, SID),
            (topics.ROUNDWARE.name, f"{SID}/e:101"),
            (topics.ROUNDWARE.name, f"{SID}/l:102"),
            (topics.STATE.name, SID),
            (topics.SESSION_START.name, A),
            (topics.STATE.name, A),
            (topics.STATE.name, f"{A}/start"),
        }
        assert next_offset == log.read_to
        held(log, 2_000)
        await log.append(topics.EVENTS.name, posted.log[4].key, posted.log[4].value or b"")
        lane.begin()
        await lane.until(lambda: lane.rows("session-close"))
        assert len(lane.tables) == 2
        [close] = lane.rows("session-close")
    posted.fold(wall=FAR)
    assert close == posted.close()
    assert close["roundware"]["assetSeconds"] == 1.5
