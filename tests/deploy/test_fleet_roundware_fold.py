"""The fleet's truth and the lanes' fold are two readings of one page: they must say the same of whatever chance writes."""

import random

import pytest

from deploy.fleet.outcome import Timeouts
from deploy.fleet.roundware.judgement import judge
from tests.deploy.roundware_chance import RULES, Chance, evidence_of, folded


@pytest.mark.parametrize("seed", range(6))
def test_the_truth_and_the_fold_agree_on_partitions_that_chance_wrote(seed: int) -> None:
    for part in range(8):
        rng = random.Random(f"{seed}:{part}")
        chance = Chance(rng)
        log = chance.write(rng.randrange(2, 60))
        until = chance.now + rng.choice((0, 9_000, 10_000, 90_000_000))
        evidence = evidence_of(log, folded(rng, log, until))
        timeouts = Timeouts(idle=RULES.idle_timeout_ms, heartbeat=RULES.heartbeat_interval_ms)
        verdict = judge(evidence, [], timeouts, since=0, horizon=until)
        assert not verdict.problems, f"{seed}:{part}\n" + "\n".join(str(problem) for problem in verdict.problems[:20])
