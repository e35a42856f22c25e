"""`python -m tests.bench.memory`: what an open session holds in a worker, and how long 100,000 of them take to restore.

Without a broker: six partitions folded and restored in this process. Every session has played and one event of it
waits in its window, as the newest one always does.
"""

import argparse
import gc
import time

import psutil

from deploy.process import calm_collector
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import topics
from schemas.records import Record, StoredRecord
from tests.bench.backlog import Shape, envelopes
from tests.bench.figures import figure, write

PARTITIONS = 6
EVENTS = 3
BATCH = 6_000


def fill(table: SessionTable, sessions: int, wall: int) -> list[Record]:
    """Start and play so many sessions; every state record written on the way."""
    shape = Shape("open", sessions, EVENTS + 1)
    state: list[Record] = []
    batch: list[StoredRecord] = []
    for offset, (sid, value) in enumerate(envelopes(shape, wall)):
        if offset >= sessions * EVENTS:
            break
        batch.append(StoredRecord(offset, wall, sid.encode(), value))
        if len(batch) == BATCH:
            state += commit(table, batch, wall)
    return state + commit(table, batch, wall)


def commit(table: SessionTable, batch: list[StoredRecord], wall: int) -> list[Record]:
    folded = 0
    while folded < len(batch):
        folded = table.fold(batch, folded, len(batch), wall)
    state = [record for record in table.finish() if record.topic == topics.STATE.name]
    table.commit()
    batch.clear()
    return state


def memory(sessions: int, wall: int) -> float:
    """Bytes of resident memory a session."""
    tables = [SessionTable(partition, Rules(heartbeat_interval_ms=0)) for partition in range(PARTITIONS)]
    calm_collector()
    before = psutil.Process().memory_info().rss
    for table in tables:
        fill(table, sessions // PARTITIONS, wall)
    gc.collect()
    return (psutil.Process().memory_info().rss - before) / sessions


def restore(sessions: int, wall: int) -> float:
    """CPU seconds for 100,000 sessions: their newest records, read and put to use."""
    newest: dict[bytes, StoredRecord] = {}
    table = SessionTable(0, Rules(heartbeat_interval_ms=0))
    for offset, record in enumerate(fill(table, sessions, wall)):
        newest[record.key] = StoredRecord(offset, wall, record.key, record.value)
    records = list(newest.values())
    fresh = SessionTable(0, Rules(heartbeat_interval_ms=0))
    began = time.process_time()
    fresh.restore(records)
    fresh.restored()
    return (time.process_time() - began) * 100_000 / sessions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200_000)
    given = parser.parse_args()
    wall = int(time.time() * 1000)
    figures = [
        figure("worker.session.memory", memory(given.sessions, wall), "bytes"),
        figure("worker.restore", restore(given.sessions // 10, wall), "cpu-s per 100,000 sessions"),
    ]
    write("worker-memory", figures)
    for line in figures:
        print(line)


if __name__ == "__main__":
    main()
