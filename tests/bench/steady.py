"""`python -m tests.bench.steady`: a worker with twelve lanes on a real broker, idle, then with events coming in.

Idle: its CPU time over wall time. Latency: from the broker's acknowledgement of a sessionStart to its row before a
reader of committed records; a session's first event waits in no window.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.broker.cluster import Cluster
from ingest.session_id import SessionKeys
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import Envelope
from tests.bench.figures import figure, write
from tests.bench.worker import BROKER_CORE, WORKER_CORE, broker, free_ports

PARTITIONS = 12
START = {
    "eventType": "sessionStart",
    "params": {
        "media.id": "episode-1",
        "media.length": 3600,
        "media.contentType": "vod",
        "media.channel": "channel one",
        "media.playerName": "bench player",
        "analytics.trackingServer": "metrics.example",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
    },
}


def ready(admin: str, timeout_seconds: float = 60) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{admin}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the worker is not ready")


def idle(process: psutil.Process, seconds: float) -> float:
    """Per cent of one core."""
    time.sleep(3)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def latencies(cluster: Cluster, rate: int, seconds: float) -> list[float]:
    """Milliseconds from acknowledgement to row, one for each session."""
    keys = SessionKeys([b"a secret of the bench, 32 bytes or more"])
    acknowledged: dict[str, float] = {}
    taken: list[float] = []
    rows = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "steady", "isolation.level": "read_committed"}
        | {"enable.auto.commit": False, "fetch.wait.max.ms": 5}
    )
    rows.assign([TopicPartition(topics.SESSION_START.name, partition, 0) for partition in range(PARTITIONS)])
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 2})

    def told(_: Any, message: Any) -> None:
        acknowledged[message.key().decode()] = time.monotonic()

    began, sent = time.monotonic(), 0
    deadline = began + seconds + 20
    while len(taken) < rate * seconds and time.monotonic() < deadline:
        due = min(int((time.monotonic() - began) * rate), int(rate * seconds))
        for _ in range(due - sent):
            now = int(time.time() * 1000)
            sid = keys.mint(now)
            event = orjson.dumps(START | {"playerTime": {"playhead": 0, "ts": now}})
            value = encode_envelope(Envelope(sid, now, "collection", None, None, event))
            place = topics.partition_of(sid, PARTITIONS)
            producer.produce(topics.EVENTS.name, value, sid, partition=place, on_delivery=told)
        sent = due
        producer.poll(0)
        for message in rows.consume(500, 0.002):
            known = acknowledged.get(message.key().decode())
            taken.append(0.0 if known is None else (time.monotonic() - known) * 1000)
    producer.flush(5)
    rows.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="sessions started a second")
    parser.add_argument("--seconds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as cluster:
        base = [sys.executable, "-m", "deploy"]
        topics_made = [*base, "topics", "create", "--bootstrap", cluster.bootstrap, "--partitions", str(PARTITIONS)]
        subprocess.run(topics_made, check=True, stdout=subprocess.DEVNULL)
        port = free_ports(1)[0]
        command = [*base, "worker", "--bootstrap", cluster.bootstrap, "--admin-port", str(port)]
        worker = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process = psutil.Process(worker.pid)
            process.cpu_affinity(WORKER_CORE)
            psutil.Process().cpu_affinity(BROKER_CORE)
            ready(f"http://127.0.0.1:{port}")
            figures = [figure("worker.idle", idle(process, given.seconds), "% of a core, 12 lanes")]
            print(figures[0], flush=True)
            taken = latencies(cluster, given.rate, given.seconds)
            cuts = quantiles(taken, n=100)
            figures += [
                figure("worker.row.p50", cuts[49], "ms"),
                figure("worker.row.p99", cuts[98], "ms"),
                figure("worker.row.rows", len(taken), f"of {given.rate * given.seconds}"),
            ]
        finally:
            worker.terminate()
            worker.wait(30)
    write("worker-steady", figures)
    for line in figures:
        print(line)


if __name__ == "__main__":
    main()
