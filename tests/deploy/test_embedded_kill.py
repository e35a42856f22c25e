"""An embedded log whose process is killed at any moment has lost nothing it acknowledged, and halved nothing."""

import contextlib
import multiprocessing
import random
import time
from functools import partial
from pathlib import Path

import pytest

from deploy import embedded_file
from deploy.embedded_snapshot import snapshot
from schemas.records import StoredRecord
from tests.deploy.embedded_victim import EVENTS, PARTITIONS, ROWS, STATE, load

KILLS = 32
SEED = 20261121


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[set[bytes]]]:
    """A data directory after KILLS lives, and what each life had acknowledged when it ended."""
    data = tmp_path_factory.mktemp("killed")
    chance = random.Random(SEED)
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["tests.deploy.embedded_victim"])
    lives: list[set[bytes]] = []
    for life in range(KILLS):
        # From the first instants of a start, the making of the file included, to the midst of the load.
        lives.append(_live_and_die(fork, data, life, after_seconds=chance.uniform(0.0, 0.05 if life < 6 else 0.5)))
        _agree_after_each_kill(data)
    return data, lives


def _live_and_die(
    fork: multiprocessing.context.ForkServerContext, data: Path, life: int, after_seconds: float
) -> set[bytes]:
    ours, theirs = fork.Pipe(duplex=False)
    victim = fork.Process(target=load, args=(data, life, theirs), daemon=True)
    victim.start()
    theirs.close()
    dies_at = time.monotonic() + after_seconds
    acknowledged: set[bytes] = set()
    with ours, contextlib.suppress(EOFError, OSError):
        while (left := dies_at - time.monotonic()) > 0:
            if ours.poll(left):
                acknowledged.add(ours.recv_bytes())
        victim.kill()
        while True:  # what it could still say
            acknowledged.add(ours.recv_bytes())
    victim.join()
    assert victim.exitcode == -9
    return acknowledged


def _stored(data: Path, topic: str, partition: int) -> list[StoredRecord]:
    with contextlib.closing(embedded_file.open_for_writing(data / embedded_file.FILE_NAME, PARTITIONS)) as connection:
        records: list[StoredRecord] = []
        take = partial(
            snapshot, connection, topic, partition=partition, end=embedded_file.next_offset(connection, topic)
        )
        while found := take(begin=records[-1].offset + 1 if records else 0):
            records += [record for _, record in found]
        return records


def _agree_after_each_kill(data: Path) -> None:
    """Rows, state and consumed offset of a lane speak of the same transaction: the last one that held."""
    for partition in range(PARTITIONS):
        states = _stored(data, STATE, partition)
        with contextlib.closing(
            embedded_file.open_for_writing(data / embedded_file.FILE_NAME, PARTITIONS)
        ) as connection:
            consumed = embedded_file.consumed(connection, "mediabeat", EVENTS, partition)
            newest_row = connection.execute(
                f'SELECT CAST(value AS TEXT) FROM "{ROWS}" WHERE partition = ? ORDER BY offset DESC LIMIT 1',
                (partition,),
            ).get
        assert (consumed is None) == (newest_row is None) == (not states)
        if consumed is not None:
            assert consumed == int(newest_row) + 1 == int(states[-1].value or b"")


def test_no_acknowledged_event_is_lost(history: tuple[Path, list[set[bytes]]]) -> None:
    data, lives = history
    stored = {record.key for partition in range(PARTITIONS) for record in _stored(data, EVENTS, partition)}

    assert len(lives) >= 30
    assert sum(map(len, lives)) > 1000
    assert set.union(*lives) <= stored


def test_no_event_is_stored_twice_and_each_one_whole(history: tuple[Path, list[set[bytes]]]) -> None:
    data, _ = history
    records = [record for partition in range(PARTITIONS) for record in _stored(data, EVENTS, partition)]

    assert len({record.key for record in records}) == len(records)
    assert all(record.value == record.key + bytes(500) for record in records)


def test_each_client_order_survives(history: tuple[Path, list[set[bytes]]]) -> None:
    data, _ = history
    for partition in range(PARTITIONS):
        counts: dict[bytes, int] = {}
        for record in _stored(data, EVENTS, partition):
            client, _, count = record.key.rpartition(b"-")
            assert int(count) == counts.get(client, -1) + 1
            counts[client] = int(count)


def test_lanes_made_exactly_one_row_of_every_event_they_consumed(history: tuple[Path, list[set[bytes]]]) -> None:
    data, _ = history
    for partition in range(PARTITIONS):
        rows = [int(record.value or b"") for record in _stored(data, ROWS, partition)]
        events = [record.offset for record in _stored(data, EVENTS, partition)]

        assert rows
        assert rows == events[: len(rows)]
