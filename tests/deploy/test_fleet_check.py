"""The check as a whole: reading the topics, waiting for rows that are late, and what it says."""

import asyncio
from collections.abc import AsyncIterator

import orjson

from deploy.fleet import check
from deploy.fleet.evidence import ROW_TOPICS
from deploy.fleet.expectation import plain
from deploy.fleet.outcome import Timeouts
from deploy.fleet.posting import Journal
from deploy.fleet.truth import SessionTruth
from deploy.fleet.truth_records import read_partition
from schemas import topics
from schemas.records import StoredRecord
from tests.deploy.fleet_streams import BEGAN_AT, SID, record, spoken, start

HOME = topics.partition_of(SID, 12)
QUICK = check.Patience(for_closing=0.0, for_rows=0.3, look_every=0.01)


class LaggingReader:
    """A log whose workers are behind: the close row appears at the third look."""

    def __init__(self, appears_at_look: int) -> None:
        documents = [start(), spoken(0, "play", 0), spoken(10, "sessionEnd", 10)]
        self.topics = {topics.EVENTS.name: [record(n, BEGAN_AT + n, document) for n, document in enumerate(documents)]}
        truth = SessionTruth(read_partition(HOME, self.topics[topics.EVENTS.name]), Timeouts())
        for offset, expected in enumerate(truth.rows):
            value = orjson.dumps(plain(expected.document))
            self.topics[ROW_TOPICS[expected.kind].name] = [StoredRecord(offset, 0, SID.encode(), value)]
        self.looks = 0
        self.appears_at_look = appears_at_look

    async def records(
        self, topic: str, *, from_start: bool, follow: bool
    ) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        self.looks += topic == topics.EVENTS.name
        if topic == topics.SESSION_CLOSE.name and self.looks < self.appears_at_look:
            return
        if topic in self.topics:
            yield HOME, self.topics[topic]


async def judged(reader: LaggingReader, *journals: Journal) -> tuple[bool, list[str]]:
    said: list[str] = []
    verdict = await check.check(reader, 12, list(journals), Timeouts(), since=0, patience=QUICK, said=lambda _: None)
    return check.report(verdict, journals, said.append), said


async def test_rows_that_come_late_are_waited_for() -> None:
    reader = LaggingReader(appears_at_look=3)
    is_right, said = await judged(reader, Journal(0, "watched", [SID], statuses={201: 1, 503: 2, 0: 1}))
    assert is_right
    assert reader.looks == 3
    assert said[0] == "answers: 1 x 201, 2 x 503, 1 x no answer"
    assert said[-1] == "every row of 1 sessions is there once and equal to the truth"


async def test_patience_that_ends_while_the_rows_are_judged_is_good_for_one_more_look() -> None:
    reader = LaggingReader(appears_at_look=2)
    read = reader.records

    async def slowly(topic: str, **how: bool) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        if topic == topics.SESSION_CLOSE.name and reader.looks == 1:
            await asyncio.sleep(2 * QUICK.for_rows)
        async for batch in read(topic, **how):  # type: ignore[arg-type]
            yield batch

    reader.records = slowly  # type: ignore[assignment]
    is_right, _ = await judged(reader)
    assert is_right
    assert reader.looks == 2


async def test_rows_that_never_come_are_missing_when_patience_ends() -> None:
    is_right, said = await judged(LaggingReader(appears_at_look=10**9))
    assert not is_right
    assert f"missing: {SID}:session-close:1:0" in said
    assert said[-1] == "1 differences: 1 missing"


async def test_an_acknowledged_event_that_is_gone_makes_the_check_fail() -> None:
    lost = Journal(0, "watched", [SID], acknowledged=[(SID, b'{"eventType":"ping"}')])
    is_right, said = await judged(LaggingReader(1), lost)
    assert not is_right
    assert any(line.startswith(f"unlogged: {SID}") for line in said)


async def test_the_truth_is_written_as_one_row_a_line() -> None:
    verdict = await check.check(LaggingReader(1), 12, [], Timeouts(), since=0, patience=QUICK, said=lambda _: None)
    rows = [orjson.loads(line) for line in check.truth_lines(verdict)]
    assert [row["_id"].removeprefix(SID + ":") for row in rows] == ["session-start:1:0", "session-close:1:0"]
    assert rows[1]["mediaReporting"]["sessionDetails"]["timePlayed"] == 10
