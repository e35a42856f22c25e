"""`python -m tests.bench.memory`: what an open session holds in a worker, and how long 100,000 of them take to restore.

Without a broker: six partitions folded and restored in a process of their own, in the compiled form where there is a C
compiler. Every session has played. Its newest event waits in its window until the next one comes; an event that means
something by itself (here a chapter's end without its beginning) leaves by the clock, and the window is empty.
"""

import argparse
import gc
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator

import orjson
import psutil

from deploy.process import calm_collector
from processors.counts import Counts
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record, StoredRecord
from tests.bench.backlog import Shape, envelopes
from tests.bench.figures import figure, goal, write
from tests.bench.worker import HOUSE, compiled_form, environment

PARTITIONS = 6
EVENTS = 3
BATCH = 6_000
RULES = Rules(heartbeat_interval_ms=0)
GOALS = {"worker.session.memory": 2_000, "worker.restore": 3}


def fill(table: SessionTable, sessions: int, wall: int, *, empty: bool = False) -> Iterator[Record]:
    """Start and play so many sessions; every state record written on the way. `empty`: no window holds anything."""
    batch: list[StoredRecord] = []
    ids: list[str] = []
    for offset, (sid, value) in enumerate(envelopes(Shape("open", sessions, EVENTS + 1), wall)):
        if offset >= sessions * EVENTS:
            break
        if offset < sessions:
            ids.append(sid)
        batch.append(StoredRecord(offset, wall, sid.encode(), value))
        if len(batch) == BATCH:
            yield from commit(table, batch, wall)
    if empty:
        at = wall - RULES.reorder_window_ms - 1_000
        event = orjson.dumps({"eventType": "chapterComplete", "playerTime": {"playhead": 20, "ts": at}})
        for offset, sid in enumerate(ids):
            value = encode_envelope(Envelope(sid, at, "collection", "203.0.113.0", None, event))
            batch.append(StoredRecord(sessions * EVENTS + offset, wall, sid.encode(), value))
            if len(batch) == BATCH:
                yield from commit(table, batch, wall)
    yield from commit(table, batch, wall)
    while empty:
        done = table.pass_time(wall, wall)
        if done or table.full():
            yield from commit(table, batch, wall)
        if done:
            break


def commit(table: SessionTable, batch: list[StoredRecord], wall: int) -> list[Record]:
    folded = 0
    while folded < len(batch):
        folded = table.fold(batch, folded, len(batch), wall)
    state = [record for record in table.finish() if record.topic == topics.STATE.name]
    table.commit()
    batch.clear()
    return state


def memory(sessions: int, wall: int, *, empty: bool) -> float:
    """Bytes by which the process has grown, a session."""
    counts = Counts()
    tables = [SessionTable(partition, RULES, counts) for partition in range(PARTITIONS)]
    calm_collector()
    before = psutil.Process().memory_info().rss
    for table in tables:
        deque(fill(table, sessions // PARTITIONS, wall, empty=empty), maxlen=0)  # kept, they would be measured too
    gc.collect()
    assert sum(counts.waiting.values()) == (0 if empty else sessions // PARTITIONS * PARTITIONS)
    return (psutil.Process().memory_info().rss - before) / sessions


def restore(sessions: int, wall: int) -> float:
    """CPU seconds for 100,000 sessions: their newest records, read and put to use."""
    newest: dict[bytes, StoredRecord] = {}
    table = SessionTable(0, RULES)
    for offset, record in enumerate(fill(table, sessions, wall)):
        newest[record.key] = StoredRecord(offset, wall, record.key, record.value)
    records = list(newest.values())
    fresh = SessionTable(0, RULES)
    began = time.process_time()
    fresh.restore(records)
    fresh.restored()
    return (time.process_time() - began) * 100_000 / sessions


def measured(what: str, sessions: int) -> float:
    wall = int(time.time() * 1000)
    if what == "restore":
        return restore(sessions // 10, wall)
    return memory(sessions, wall, empty=what == "empty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--only", choices=("empty", "waiting", "restore"), help="measure this one, in this process")
    given = parser.parse_args()
    if given.only:
        print(measured(given.only, given.sessions))
        return
    names = {
        "empty": ("worker.session.memory", "bytes, window empty"),
        "waiting": ("worker.session.memory.waiting", "bytes, one event in its window"),
        "restore": ("worker.restore", "cpu-s per 100,000 sessions"),
    }
    figures = []
    compiled = compiled_form()
    for what, (name, unit) in names.items():
        command = [sys.executable, "-P", "-m", "tests.bench.memory", "--only", what]
        child = subprocess.run(
            [*command, "--sessions", str(given.sessions)],
            env=environment(compiled),
            cwd=HOUSE,
            stdout=subprocess.PIPE,
            check=True,
        )
        figures.append(figure(name, float(child.stdout), unit))
        print(figures[-1], flush=True)
    write("worker-memory", figures)
    for line in figures:
        if line["name"] in GOALS:
            print(goal(f"{line['name']}, {line['unit']}", line["value"], "<=", GOALS[line["name"]]))


if __name__ == "__main__":
    main()
