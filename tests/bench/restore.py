"""`python -m tests.bench.restore`: how long a lane takes from the fence to its table, the broker's part included.

State records of open sessions are on a real broker's state topic as three commits of each session left them, nothing
compacted yet: more than a lane usually has to read. Wall and CPU time of this process, broker on the other core.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from confluent_kafka import Producer

from deploy import topic_admin
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import lane_group
from deploy.process import calm_collector
from processors.kafka import KafkaLaneGroup
from processors.session.rules import Rules
from processors.session_table import SessionTable
from schemas import topics
from tests.bench.figures import figure, write
from tests.bench.memory import fill
from tests.bench.worker import WORKER_CORE, broker

PARTITIONS = 6


def write_state(bootstrap: str, sessions: int, wall: int) -> tuple[int, int]:
    """Records and bytes written, spread over all partitions' share of the sessions."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 20})
    records, size = 0, 0
    for partition in range(PARTITIONS):
        table = SessionTable(partition, Rules(heartbeat_interval_ms=0))
        for record in fill(table, sessions // PARTITIONS, wall):
            producer.produce(topics.STATE.name, record.value, record.key, partition=partition)
            producer.poll(0)
            records, size = records + 1, size + len(record.key) + len(record.value or b"")
        producer.flush()
    return records, size


async def _table(group: KafkaLaneGroup, partition: int) -> int:
    """Open a lane and read its table; how many sessions it holds."""
    table = SessionTable(partition, Rules(heartbeat_interval_ms=0))
    lane = await group.open_lane(partition)
    await lane.committed()
    async for records in lane.restore(topics.STATE.name):
        table.restore(records)
        await asyncio.sleep(0)
    table.restored()
    await lane.close()
    return table.counts.open_sessions[partition]


async def measured(clients: KafkaClients, sessions: int) -> tuple[float, float]:
    """Wall and CPU seconds of all lanes at once, as a worker has them, the group being joined already."""
    process = psutil.Process()
    async with lane_group(clients, "restore", "bench") as group:
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        found = sum(await asyncio.gather(*(_table(group, partition) for partition in range(PARTITIONS))))
        wall, spent = time.monotonic() - began, sum(process.cpu_times()[:2]) - before
    if found != sessions // PARTITIONS * PARTITIONS:
        raise RuntimeError(f"{found} of {sessions} sessions were restored")
    return wall, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    sessions: int = parser.parse_args().sessions
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as cluster:
        clients = KafkaClients(cluster.bootstrap)
        asyncio.run(topic_admin.create(clients, PARTITIONS, 1))
        records, size = write_state(cluster.bootstrap, sessions, int(time.time() * 1000))
        psutil.Process().cpu_affinity(WORKER_CORE)
        calm_collector()
        wall, spent = asyncio.run(measured(clients, sessions))
    each = 100_000 / sessions
    figures = [
        figure("worker.restore.broker", wall * each, "s per 100,000 sessions"),
        figure("worker.restore.broker.cpu", spent * each, "CPU s per 100,000 sessions"),
        figure("worker.restore.broker.records", records / sessions, "records a session"),
        figure("worker.restore.broker.bytes", size / sessions, "B a session"),
    ]
    write("worker-restore", figures)
    for line in figures:
        print(line)


if __name__ == "__main__":
    main()
