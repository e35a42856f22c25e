"""The suite sees what it is there to see: workers wired with one mistake each lose or double rows, and it says so."""

from collections import Counter
from pathlib import Path

import pytest

from deploy.broker import Cluster
from tests.chaos import adversity as acts
from tests.chaos.account import Account, take_account
from tests.chaos.adversity import Adversity
from tests.chaos.stage import Scale, stage

pytestmark = pytest.mark.chaos

MANY = Scale(partitions=4, idle=3, grace=2, window=0.5, rate=120, at_once=60, voyage_sessions=30)
FEW_AND_QUICK = Scale(partitions=2, idle=3, grace=2, window=0.5, rate=0, at_once=4, voyage_sessions=60)
"""Each session posts dozens of events within seconds: more than the sixteen by which a lane would know a repeat."""


async def account_of(
    cluster: Cluster, scale: Scale, home: Path, fault: str | None, plan: list[str], *, seed: int = 5
) -> Account:
    async with stage(cluster, scale, home, seed) as theatre:
        theatre.add_door()
        for _ in range(2):
            theatre.add_worker(fault)
        await theatre.all_ready()
        adversity = Adversity(theatre)
        async with theatre.load():
            await theatre.loaded()
            await adversity.act(plan)
        account = await take_account(theatre)
        account.print(f"{fault or 'no fault'}, seed {seed}", {}, adversity.done)
    return account


def problems(account: Account) -> Counter[str]:
    return Counter(problem.what for problem in account.verdict.problems)


async def test_a_transactional_id_of_each_incarnation_doubles_rows(kafka_broker: Cluster, tmp_path: Path) -> None:
    plan = [acts.KILL_WORKER, acts.FREEZE_WORKER, acts.KILL_WORKER]
    account = await account_of(kafka_broker, MANY, tmp_path, "named-by-incarnation", plan)
    assert account.doubled
    assert problems(account)["doubled"]


async def test_offsets_beside_the_transaction_count_events_twice(kafka_broker: Cluster, tmp_path: Path) -> None:
    plan = [acts.KILL_WORKER] * 4
    account = await account_of(kafka_broker, FEW_AND_QUICK, tmp_path, "offsets-apart", plan)
    assert problems(account).keys() & {"wrong", "unexpected", "doubled"}  # each means: folded again


@pytest.mark.parametrize("plan", [[acts.KILL_WORKER] * 4])
async def test_the_same_without_the_fault_is_whole(kafka_broker: Cluster, tmp_path: Path, plan: list[str]) -> None:
    account = await account_of(kafka_broker, FEW_AND_QUICK, tmp_path, None, plan)
    account.assert_whole()


async def test_rows_that_nobody_awaits_are_lost(kafka_broker: Cluster, tmp_path: Path) -> None:
    account = await account_of(kafka_broker, MANY, tmp_path, "unawaited", [acts.SQUEEZE, acts.SQUEEZE])
    assert problems(account)["missing"]
