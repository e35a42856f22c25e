"""The fleet's truth and the session machine are two readings of one page: they must say the same of any session.

MEDIABEAT_TEST_PARTITIONS is how many partitions chance writes for it: 180 in the suite, thousands after a change of rules.
"""

import os
import random
from collections import Counter

import orjson
import pytest

from deploy.fleet.evidence import ROW_TOPICS
from deploy.fleet.judgement import Verdict, judge
from schemas.records import Record, StoredRecord
from tests.deploy.collection_chance import TIMEOUTS, Chance, arrival, folded
from tests.deploy.roundware_chance import evidence_of

SEEDS = 6
EACH = int(os.environ.get("MEDIABEAT_TEST_PARTITIONS", "180")) // SEEDS


def written_by_chance(name: str) -> tuple[list[StoredRecord], list[Record], int]:
    """A log, what a lane made of it, and the moment up to which its clock has gone."""
    rng = random.Random(name)
    log = Chance(rng).write()
    until = max(map(arrival, log)) + rng.choice((0, 4_000, 6_000, 66_000, 10**9))
    return log, folded(rng, log, until), until


def judged(log: list[StoredRecord], written: list[Record], until: int) -> Verdict:
    return judge(evidence_of(log, written), [], TIMEOUTS, since=0, horizon=until)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_truth_and_the_machine_agree_on_sessions_that_chance_wrote(seed: int) -> None:
    for part in range(EACH):
        verdict = judged(*written_by_chance(f"{seed}:{part}"))
        assert not verdict.problems, f"{seed}:{part}\n" + "\n".join(str(problem) for problem in verdict.problems[:20])


def test_chance_writes_what_matters() -> None:
    counts: Counter[str] = Counter()
    for part in range(40):
        counts += judged(*written_by_chance(f"0:{part}")).counts
    rows = {name: number for name, number in counts.items() if name.startswith("rows ")}
    assert rows.keys() == {f"rows {kind}" for kind in ROW_TOPICS}
    assert min(rows.values()) > 20
    assert min(counts["rejects"], counts["revisions"], counts["batches"]) > 5


@pytest.mark.parametrize("kind", sorted(ROW_TOPICS))
def test_one_millisecond_in_one_row_is_found(kind: str) -> None:
    topic = ROW_TOPICS[kind].name
    partitions = (written_by_chance(f"0:{part}") for part in range(40))
    log, written, until = next(one for one in partitions if any(record.topic == topic for record in one[1]))
    at = next(at for at, record in enumerate(written) if record.topic == topic)
    row = orjson.loads(written[at].value or b"")
    row["mediabeat"]["startedAt"] += 1
    written[at] = written[at]._replace(value=orjson.dumps(row))
    [problem] = judged(log, written, until).problems
    assert (problem.what, problem.subject) == ("wrong", row["_id"])
