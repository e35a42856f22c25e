"""The fleet's truth and the lanes' fold are two readings of one page: they must say the same of whatever chance writes."""

import random
from collections.abc import AsyncIterator

import orjson
import pytest

from deploy.fleet import check
from deploy.fleet.evidence import ROW_TOPICS
from deploy.fleet.outcome import Timeouts
from deploy.fleet.roundware.judgement import judge
from schemas import topics
from schemas.records import Record, StoredRecord
from tests.deploy.roundware_chance import FAR, PARTITION, RULES, Chance, evidence_of, folded

TIMEOUTS = Timeouts(idle=RULES.idle_timeout_ms, heartbeat=RULES.heartbeat_interval_ms)
AT_ONCE = check.Patience(for_closing=0.0, for_rows=0.0)


@pytest.mark.parametrize("seed", range(6))
def test_the_truth_and_the_fold_agree_on_partitions_that_chance_wrote(seed: int) -> None:
    for part in range(8):
        rng = random.Random(f"{seed}:{part}")
        chance = Chance(rng)
        log = chance.write(rng.randrange(2, 60))
        until = chance.now + rng.choice((0, 9_000, 10_000, 90_000_000))
        verdict = judge(evidence_of(log, folded(rng, log, until)), [], TIMEOUTS, since=0, horizon=until)
        assert not verdict.problems, f"{seed}:{part}\n" + "\n".join(str(problem) for problem in verdict.problems[:20])


class FaultyTopics:
    """Topics as lanes left them, but for one row of a topic: `dropped`, `doubled` or `changed`."""

    def __init__(self, log: list[StoredRecord], written: list[Record], fault: str = "", topic: str = "") -> None:
        self.topics = {topics.EVENTS.name: log}
        for offset, record in enumerate(written):
            stored = StoredRecord(offset, 0, record.key, record.value)
            self.topics.setdefault(record.topic, []).append(stored)
        if fault:
            rows = self.topics[topic]
            at = len(rows) // 2
            self.topics[topic] = [*rows[:at], *FAULTS[fault](rows[at]), *rows[at + 1 :]]

    async def records(
        self, topic: str, *, from_start: bool, follow: bool
    ) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        yield PARTITION, self.topics.get(topic, [])


def changed(record: StoredRecord) -> StoredRecord:
    row = orjson.loads(record.value or b"")
    row["mediabeat"]["startedAt"] += 1
    return record._replace(value=orjson.dumps(row))


FAULTS = {
    "dropped": lambda row: [],
    "doubled": lambda row: [row, row],
    "changed": lambda row: [changed(row)],
}
FOUND = {"dropped": "missing", "doubled": "doubled", "changed": "wrong"}


async def said_of(reader: FaultyTopics) -> tuple[bool, list[str]]:
    said: list[str] = []
    verdict = await check.check(
        reader, 1, [], TIMEOUTS, since=0, patience=AT_ONCE, said=lambda _: None, judged_by=judge
    )
    return check.report(verdict, [], said.append), said


@pytest.mark.parametrize("kind", ["session-start", "session-close", "heartbeat"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_check_finds_one_faulty_row_among_those_of_many_visits(fault: str, kind: str) -> None:
    rng = random.Random(f"faults:{kind}")
    log = Chance(rng).write(80)
    written = folded(rng, log, FAR)
    is_right, said = await said_of(FaultyTopics(log, written))
    assert is_right, said
    is_right, said = await said_of(FaultyTopics(log, written, fault, ROW_TOPICS[kind].name))
    # How many heartbeats there are depends on commits: only their chain tells that one is gone.
    what = "wrong" if (fault, kind) == ("dropped", "heartbeat") else FOUND[fault]
    assert not is_right
    assert any(line.startswith(f"{what}: r:") for line in said), said
