"""The short form of the chaos suite, run with every test run: a handful of kills, and every row there once."""

from pathlib import Path

from deploy.broker import Cluster
from tests.chaos.account import take_account
from tests.chaos.adversity import FREEZE_WORKER, KILL_DOOR, KILL_WORKER, REMOVE_WORKER, SQUEEZE, STOP_DOOR, Adversity
from tests.chaos.figures import assert_they_took_the_short_way
from tests.chaos.stage import Scale, stage

SMALL = Scale(partitions=4, idle=3, grace=2, window=0.5, rate=120, at_once=40, voyage_sessions=30)
SEED = 7


async def test_every_row_is_there_once_after_a_handful_of_kills(kafka_broker: Cluster, tmp_path: Path) -> None:
    async with stage(kafka_broker, SMALL, tmp_path, SEED) as theatre:
        for _ in range(2):
            theatre.add_door()
            theatre.add_worker()
        await theatre.all_ready()
        adversity = Adversity(theatre, pause=(0.3, 1.0))
        async with theatre.load():
            await theatre.loaded()
            await adversity.act([FREEZE_WORKER, KILL_DOOR, KILL_WORKER, STOP_DOOR, SQUEEZE, KILL_WORKER, REMOVE_WORKER])
        assert_they_took_the_short_way(theatre.doors.values())
        account = await take_account(theatre)
        account.print(f"short form, seed {SEED}", adversity.recoveries(), adversity.done)
    account.assert_whole()
    assert theatre.died == []
    assert theatre.complaints() == []
    assert [status for _, status in adversity.exits] == [0, 0]
