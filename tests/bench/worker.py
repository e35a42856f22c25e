"""`python -m tests.bench.worker`: events per CPU-second of one worker process beside quixstreams, on a real broker.

Both read the same backlog, one process pinned to one core, exactly once, the broker on the other core. Process CPU is
sampled beside the group's committed offsets; the figure is the slope between the first commit past a tenth of the
backlog and the end, so neither start-up nor an idle tail counts.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.broker.cluster import Cluster
from schemas import topics
from tests.bench.backlog import DEEP, WIDE, Shape, envelopes
from tests.bench.figures import figure, write

PARTITIONS = 6
WORKER_CORE, BROKER_CORE = [0], [1] if (os.cpu_count() or 1) > 1 else [0]


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [place.getsockname()[1] for place in sockets]
    for place in sockets:
        place.close()
    return ports


def clear(bootstrap: str) -> None:
    """Everything but the backlog as on the first day: else a second run finds its sessions closed already."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [topic.name for topic in topics.ALL if topic is not topics.EVENTS]
    known = admin.list_topics(timeout=10).topics
    for future in (
        admin.delete_topics([name for name in names if name in known]).values() if known.keys() & set(names) else ()
    ):
        future.result()
    while admin.list_topics(timeout=10).topics.keys() & set(names):
        time.sleep(0.1)
    command = [
        sys.executable,
        "-m",
        "deploy",
        "topics",
        "create",
        "--bootstrap",
        bootstrap,
        "--partitions",
        str(PARTITIONS),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def broker(home: Path) -> Iterator[Cluster]:
    cluster = Cluster(home, ((free_ports(2)[0], free_ports(2)[1]),), {})
    cluster.start()
    pid = cluster.pid(1)
    assert pid is not None
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, BROKER_CORE)
    psutil.Process(pid).cpu_affinity(BROKER_CORE)
    try:
        yield cluster
    finally:
        cluster.stop()


def fill(bootstrap: str, shape: Shape) -> None:
    """Write the backlog, each session on its partition."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 20, "queue.buffering.max.messages": 500_000}
    )
    for sid, value in envelopes(shape, int(time.time() * 1000)):
        while True:
            try:
                producer.produce(topics.EVENTS.name, value, sid, partition=topics.partition_of(sid, PARTITIONS))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


class Run:
    """One job over the whole backlog: samples of (committed events, CPU seconds), and its memory at the end."""

    def __init__(self, bootstrap: str, group: str, total: int) -> None:
        self.total = total
        self.samples: list[tuple[int, float]] = []
        self.rss_bytes = 0
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
        self._places = [TopicPartition(topics.EVENTS.name, partition) for partition in range(PARTITIONS)]

    def committed(self) -> int:
        try:
            return sum(max(0, place.offset) for place in self._consumer.committed(self._places, timeout=10))
        except KafkaException:  # the group's coordinator is being made
            return self.samples[-1][0] if self.samples else 0

    def watch(self, command: list[str], env: dict[str, str], log: Path, timeout_seconds: float = 300) -> None:
        with log.open("wb") as out:
            child = subprocess.Popen(command, env=env, stdout=out, stderr=out)
        deadline = time.monotonic() + timeout_seconds
        process = psutil.Process(child.pid)
        process.cpu_affinity(WORKER_CORE)
        try:
            while not self.samples or self.samples[-1][0] < self.total:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{command[:4]} stopped or is late at {self.samples[-1:]}; see its end:\n{log.read_text()[-2000:]}"
                    )
                done = self.committed()
                if not self.samples or done > self.samples[-1][0]:
                    times = process.cpu_times()
                    self.samples.append((done, times.user + times.system))
                    self.rss_bytes = process.memory_info().rss
                time.sleep(0.02)
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
            self._consumer.close()

    def per_cpu_second(self) -> float:
        first = next(sample for sample in self.samples if sample[0] >= self.total / 10)
        last = self.samples[-1]
        return (last[0] - first[0]) / (last[1] - first[1])


def mediabeat(cluster: Cluster, shape: Shape, place: Path, heartbeat_seconds: int) -> Run:
    clear(cluster.bootstrap)
    group = f"mediabeat-{shape.name}-{heartbeat_seconds}-{time.time_ns()}"
    run = Run(cluster.bootstrap, group, shape.total)
    command = [sys.executable, "-m", "deploy", "worker", "--bootstrap", cluster.bootstrap, "--group", group]
    command += ["--heartbeat-interval", str(heartbeat_seconds), "--admin-port", str(free_ports(1)[0])]
    run.watch(command, dict(os.environ), place / "worker.log")
    return run


def quixstreams(cluster: Cluster, shape: Shape, place: Path) -> Run:
    # quixstreams prefixes nothing, but its changelog topic is named after the group: a new group is a new state.
    group = f"quix-{shape.name}-{time.time_ns()}"
    run = Run(cluster.bootstrap, group, shape.total)
    script = str(Path(__file__).with_name("quix_job.py"))
    state = place / group
    run.watch(
        [sys.executable, script, cluster.bootstrap, group, topics.EVENTS.name, "bench.sums", str(state)],
        dict(os.environ),
        place / "quix.log",
    )
    shutil.rmtree(state, ignore_errors=True)
    return run


def measure(shape: Shape, rounds: int) -> list[dict[str, object]]:
    off, on, peer, rss = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as cluster:
        clear(cluster.bootstrap)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([NewTopic("bench.sums", PARTITIONS, 1)])["bench.sums"].result()
        fill(cluster.bootstrap, shape)
        for _ in range(rounds):
            peer.append(quixstreams(cluster, shape, Path(name)).per_cpu_second())
            run = mediabeat(cluster, shape, Path(name), 86_400)
            off.append(run.per_cpu_second())
            rss.append(run.rss_bytes / 1e6)
            on.append(mediabeat(cluster, shape, Path(name), 30).per_cpu_second())
            print(
                f"{shape.name}: quixstreams {peer[-1]:,.0f}  mediabeat {off[-1]:,.0f}  with heartbeats {on[-1]:,.0f} events/cpu-s",
                flush=True,
            )
    ratio = median(ours / theirs for ours, theirs in zip(off, peer, strict=True))
    ratio_on = median(ours / theirs for ours, theirs in zip(on, peer, strict=True))
    return [
        figure(f"worker.{shape.name}", median(off), "events/cpu-s", "quixstreams", ratio),
        figure(f"worker.{shape.name}.heartbeats", median(on), "events/cpu-s", "quixstreams", ratio_on),
        figure(f"worker.{shape.name}.quixstreams", median(peer), "events/cpu-s"),
        figure(f"worker.{shape.name}.rss", median(rss), "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=("deep", "wide", "both"), default="both")
    given = parser.parse_args()
    shapes = {"deep": [DEEP], "wide": [WIDE], "both": [DEEP, WIDE]}[given.shape]
    figures = [line for shape in shapes for line in measure(shape, given.rounds)]
    write("worker", figures)
    for line in figures:
        print(line)


if __name__ == "__main__":
    main()
