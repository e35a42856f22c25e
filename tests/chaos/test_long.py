"""Minutes of kill -9 and SIGSTOP on real brokers under fleet load: `make chaos`."""

from pathlib import Path

import pytest

from tests.chaos import adversity as acts
from tests.chaos.account import take_account
from tests.chaos.adversity import Adversity
from tests.chaos.figures import assert_they_took_the_short_way
from tests.chaos.stage import Scale, stage
from tests.kafka_broker import private_cluster

pytestmark = pytest.mark.chaos

ONE_NODE = Scale(partitions=6, idle=8, grace=6, window=10, rate=200, at_once=150, voyage_sessions=100, heartbeat=2)
THREE_NODES = Scale(partitions=6, idle=8, grace=12, window=12, rate=150, at_once=150, voyage_sessions=100, heartbeat=3)
"""A broker that dies takes its partitions with it for seconds, a door that is frozen its requests, and what was under way
may land when it is over, long after its door stamped it: sessions and their reorder windows must outlast that. Of an
event that lands later the log does not tell what the lane had folded by then, and neither can the truth."""


async def test_one_node_and_thirty_kills_of_workers_and_doors(tmp_path: Path) -> None:
    seed = 41
    with private_cluster() as cluster:
        async with stage(cluster, ONE_NODE, tmp_path, seed) as theatre:
            for _ in range(2):
                theatre.add_door()
            for _ in range(4):
                theatre.add_worker()
            await theatre.all_ready()
            adversity = Adversity(theatre)
            plan = {
                acts.KILL_WORKER: 26,
                acts.KILL_DOOR: 8,
                acts.FREEZE_WORKER: 4,
                acts.FREEZE_DOOR: 2,
                acts.ADD_WORKER: 3,
                acts.REMOVE_WORKER: 3,
                acts.STOP_DOOR: 2,
                acts.SQUEEZE: 2,
            }
            async with theatre.load():
                await theatre.loaded()
                await adversity.act(adversity.shuffled(plan))
            assert_they_took_the_short_way(theatre.doors.values())
            account = await take_account(theatre)
            account.print(f"one node, seed {seed}", adversity.recoveries(), adversity.done)
    account.assert_whole()
    assert adversity.done[acts.KILL_WORKER] + adversity.done[acts.KILL_DOOR] >= 30
    assert adversity.done[acts.FREEZE_WORKER] >= 3
    assert {status for _, status in adversity.exits} == {0}
    assert theatre.died == []
    assert theatre.complaints() == []


async def test_three_nodes_and_ten_kills_of_brokers_among_those_of_workers_and_doors(tmp_path: Path) -> None:
    seed = 43
    with private_cluster(nodes=3) as cluster:
        async with stage(cluster, THREE_NODES, tmp_path, seed) as theatre:
            for _ in range(2):
                theatre.add_door()
            for _ in range(3):
                theatre.add_worker()
            await theatre.all_ready()
            adversity = Adversity(theatre)
            plan = {
                acts.LEADER: 4,
                acts.GROUP_COORDINATOR: 3,
                acts.TRANSACTION_COORDINATOR: 3,
                acts.KILL_WORKER: 8,
                acts.KILL_DOOR: 3,
                acts.FREEZE_WORKER: 2,
                acts.ADD_WORKER: 1,
                acts.REMOVE_WORKER: 1,
            }
            async with theatre.load():
                await theatre.loaded()
                await adversity.act(adversity.shuffled(plan))
            assert_they_took_the_short_way(theatre.doors.values())
            account = await take_account(theatre)
            account.print(f"three nodes, seed {seed}", adversity.recoveries(), adversity.done)
    account.assert_whole()
    assert sum(adversity.done[what] for what in acts.BROKERS) >= 10
    assert all(adversity.done[what] for what in acts.BROKERS)
    assert {status for _, status in adversity.exits} == {0}
    assert theatre.died == []
    assert theatre.complaints() == []
