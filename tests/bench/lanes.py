"""Figures of the lanes: what an event costs to fold, alone and with its transaction, and what an open session holds."""

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import orjson
import psutil

from deploy.embedded import EmbeddedLog, wall_clock
from ingest.session_id import SessionKeys
from processors.counts import Counts
from processors.session.rules import Rules
from processors.session_table import SessionTable
from processors.turns import LaneSettings
from processors.worker import Worker
from schemas import codec, topics
from schemas.events import Envelope
from schemas.records import Record, StoredRecord
from tests.bench.load import START

SESSIONS = 2_000
EVENTS_EACH = 30
BATCH = 1_500
KEYS = SessionKeys([b"b" * 32])


class Results(Protocol):
    def add(self, name: str, value: float, unit: str, baseline: float | None = None) -> None: ...


def envelopes(sessions: int, events_each: int, began_at: int) -> Iterator[tuple[str, bytes]]:
    """(sid, value) of a start, a play and pings of every session, 10 s apart: each event touches another session."""
    sids = [KEYS.mint(began_at) for _ in range(sessions)]
    for number in range(events_each):
        at = began_at + 10_000 * max(0, number - 1)
        for index, sid in enumerate(sids):
            place = {"playhead": 10 * max(0, number - 1), "ts": at}
            event = {"eventType": ("sessionStart", "play")[number] if number < 2 else "ping", "playerTime": place}
            if number == 0:
                event["params"] = START
            received_at = at + 5 * index // sessions
            yield (
                sid,
                codec.encode_envelope(Envelope(sid, received_at, "collection", "192.0.2.0", None, orjson.dumps(event))),
            )


def stored(sessions: int, events_each: int) -> list[StoredRecord]:
    began_at = wall_clock() - 10_000 * events_each
    return [
        StoredRecord(offset, orjson.loads(value)["receivedAt"], sid.encode(), value)
        for offset, (sid, value) in enumerate(envelopes(sessions, events_each, began_at))
    ]


def fold_all(table: SessionTable, records: list[StoredRecord]) -> None:
    """As a lane does it, without its log: in batches, each finished and committed."""
    wall = wall_clock()
    for at in range(0, len(records), BATCH):
        batch, done = records[at : at + BATCH], 0
        while done < len(batch):
            done = table.fold(batch, done, len(batch), wall)
            if table.full():
                break
        table.finish()
        table.commit()


def plain_count(records: list[StoredRecord]) -> dict[str, int]:
    """The ordinary thing to compare with: parse each record and count events by session."""
    found: dict[str, int] = {}
    for record in records:
        document = orjson.loads(record.value or b"")
        found[document["sid"]] = found.get(document["sid"], 0) + (document["event"]["playerTime"]["ts"] > 0)
    return found


def bench_fold(results: Results) -> None:
    records = stored(SESSIONS, EVENTS_EACH)
    table = SessionTable(0, Rules())
    gc.collect()
    began_at = time.process_time()
    plain_count(records)
    between = time.process_time()
    fold_all(table, records)
    ended_at = time.process_time()
    folded = table.counts.folded + sum(table.counts.waiting.values())
    assert folded == len(records), (folded, len(records), table.counts)
    results.add(
        "events folded, without a log",
        len(records) / (ended_at - between),
        "events/CPU-s",
        round(len(records) / (between - began_at), 1),
    )


def bench_lanes(results: Results, folder: Path) -> None:
    """A backlog on the embedded log, worked off by all lanes with their transactions; CPU of all threads."""
    spent, counts = asyncio.run(_work_off(folder / "lanes"))
    results.add("events through the lanes, embedded log", counts.consumed / spent, "events/CPU-s")


async def _work_off(folder: Path) -> tuple[float, Counts]:
    log = await EmbeddedLog.open(folder, 4)
    by_partition: dict[int, list[Record]] = {}
    began_at = wall_clock() - 10_000 * EVENTS_EACH
    total = 0
    for sid, value in envelopes(SESSIONS, EVENTS_EACH, began_at):
        partition = topics.partition_of(sid, log.partitions)
        by_partition.setdefault(partition, []).append(Record(topics.EVENTS.name, partition, sid.encode(), value))
        total += 1
    for records in by_partition.values():
        await log.append_all(records)
    counts, rules = Counts(), Rules()
    group = log.lane_group()
    worker = Worker(group, lambda partition: SessionTable(partition, rules, counts), wall_clock, LaneSettings(), counts)
    before = time.process_time()
    working = asyncio.create_task(worker.run())
    while counts.consumed < total:  # noqa: ASYNC110 - plain counters wake nobody
        await asyncio.sleep(0.01)
    spent = time.process_time() - before
    await worker.stop()
    await working
    await group.close()
    await log.close()
    return spent, counts


def bench_sessions(results: Results, sessions: int = 20_000) -> None:
    """What the process grows by, for each session that is open and plays."""
    process = psutil.Process()
    records = stored(sessions, 3)
    table = SessionTable(0, Rules())
    gc.collect()
    before = process.memory_info().rss
    fold_all(table, records)
    gc.collect()
    grown = process.memory_info().rss - before
    kept = sum(map(len, table._committed._starts.values())) + sum(map(len, table._committed._currents.values()))
    results.add("an open session, as committed", kept / sessions, "bytes")
    results.add("an open session, in memory", grown / sessions, "bytes", round(kept / sessions, 1))
