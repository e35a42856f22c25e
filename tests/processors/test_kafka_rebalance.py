"""Rebalances on a real broker: a lane that keeps its partition keeps its table, and one that moved finds its sessions."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from deploy import kafka_client
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log, lane_group
from processors.session.rules import Rules
from processors.session_table import SessionTable
from processors.worker import Worker
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from schemas.records import Record
from tests.contracts.kafka_harness import committed_records, fresh_topics
from tests.processors.partition import START_PARAMS, document, sid_of

EVENTS, CLOSE = topics.EVENTS.name, topics.SESSION_CLOSE.name
PARTITIONS = 2
PATIENCE_SECONDS = 90


class Working:
    """A worker and its membership. `made`: the partitions whose tables it began anew."""

    def __init__(self) -> None:
        self.worker: Worker
        self.made: list[int] = []

    def table(self, partition: int) -> SessionTable:
        self.made.append(partition)
        return SessionTable(partition, Rules(reorder_window_ms=0, heartbeat_interval_ms=0), self.worker.counts)

    def has(self, *partitions: int) -> bool:
        return self.worker._lanes.keys() == set(partitions) and not self.worker.unready()


@asynccontextmanager
async def working(clients: KafkaClients, slot: str) -> AsyncIterator[Working]:
    work = Working()
    async with lane_group(clients, "rebalanced", slot) as group:
        work.worker = Worker(group, work.table, wall_clock)
        running = asyncio.create_task(work.worker.run())
        try:
            yield work
        finally:
            await work.worker.stop()
            await running


async def until(settled: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not settled():  # noqa: ASYNC110  counters tell nobody
            await asyncio.sleep(0.02)


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


def record(sid: str, event_type: str, playhead: float, ts: int, **members: object) -> Record:
    body = orjson.dumps(document(event_type, playhead, ts, **members))
    value = encode_envelope(Envelope(sid, wall_clock(), "collection", None, None, body))
    return Record(EVENTS, topics.partition_of(sid, PARTITIONS), sid.encode(), value)


async def test_a_kept_lane_keeps_its_table_and_a_moved_one_its_sessions(
    kafka_broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "SESSION_TIMEOUT_MS", 3_000)
    monkeypatch.setattr(kafka_client, "HEARTBEAT_MS", 500)
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, PARTITIONS)
    began = wall_clock()
    of_partition = {topics.partition_of(sid, PARTITIONS): sid for sid in (sid_of(n, began) for n in range(20))}
    sids = list(of_partition.values())
    async with door_log(clients) as door, working(clients, "a") as a:
        await until(lambda: a.has(0, 1))
        for sid in sids:
            await door.append(record(sid, "sessionStart", 0, began, params=START_PARAMS))
            await door.append(record(sid, "play", 0, began))
        await until(lambda: a.worker.counts.consumed == 4)
        async with working(clients, "b") as b:
            await until(lambda: len(b.worker._lanes) == 1 and not b.worker.unready() and len(a.worker._lanes) == 1)
            [kept], [moved] = a.worker._lanes, b.worker._lanes
            await door.append(record(of_partition[moved], "ping", 10, began + 10_000))
            await until(lambda: b.worker.counts.consumed == 1)
        await until(lambda: a.has(0, 1))
        for sid in sids:
            await door.append(record(sid, "sessionEnd", 20, began + 20_000))
        await until(lambda: a.worker.counts.closed["end"] == 2)
    assert a.made.count(kept) == 1
    assert a.made.count(moved) == 2  # b had written its state
    closes = [
        orjson.loads(r.value or b"") for p in range(PARTITIONS) for r in await committed_records(clients, CLOSE, p)
    ]
    assert [row["mediaReporting"]["sessionDetails"]["timePlayed"] for row in closes] == [20, 20]
