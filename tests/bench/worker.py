"""`python -m tests.bench.worker`: events per CPU-second of one worker process beside quixstreams, on a real broker.

Both read the same backlog, one process pinned to one core, exactly once, the broker on the other core. Process CPU is
sampled beside the group's committed offsets; the figure is the slope between the first commit past a tenth of the
backlog and the end, so neither start-up nor an idle tail counts. The worker runs in its compiled form where there is a
C compiler; once a shape also as it is, once with heartbeats (`receivedAt` is 10 s apart), and once as two workers,
whose events are counted per CPU-second of both: as many as of one means that a second core adds as much as the first.
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
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.broker.cluster import QUICK_TO_START, Cluster
from schemas import topics
from tests.bench.backlog import DEEP, WIDE, Shape, envelopes
from tests.bench.figures import figure, goal, write
from tests.compiled_form import HOUSE, QUICK_TO_RUN, NoCompiler, kept

PARTITIONS = 6
GOALS = {"deep": (1.75, 120_000), "wide": (1.5, 60_000)}
"""Times quixstreams, and events per CPU-second where quixstreams did 69,600 and 40,900."""
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


def compiled_form() -> Path | None:
    """Where the compiled form lies; None where there is no compiler to make it."""
    try:
        return kept(QUICK_TO_RUN)
    except NoCompiler as reason:
        print(f"measured uncompiled, because {reason}", flush=True)
        return None


@contextmanager
def broker(home: Path, jvm: tuple[str, ...] = QUICK_TO_START) -> Iterator[Cluster]:
    cluster = Cluster(home, ((free_ports(2)[0], free_ports(2)[1]),), {}, jvm=jvm)
    cluster.start()
    pid = cluster.pid(1)
    assert pid is not None
    pin(pid, BROKER_CORE)
    try:
        yield cluster
    finally:
        cluster.stop()


def pin(pid: int, cores: list[int]) -> None:
    """A process with every thread it has."""
    process = psutil.Process(pid)
    for thread in process.threads():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, cores)
    process.cpu_affinity(cores)


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
    """One job over the whole backlog: samples of (committed events, CPU seconds of its processes), its memory at last."""

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

    def watch(self, commands: list[list[str]], env: dict[str, str], log: Path, timeout_seconds: float = 300) -> None:
        with log.open("wb") as out:
            children = [psutil.Popen(command, env=env, stdout=out, stderr=out) for command in commands]
        deadline = time.monotonic() + timeout_seconds
        for child in children:
            child.cpu_affinity(WORKER_CORE)
        try:
            while not self.samples or self.samples[-1][0] < self.total:
                if any(child.poll() is not None for child in children) or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"{commands[0][:5]} stopped or is late at {self.samples[-1:]}: {log.read_text()[-2000:]}"
                    )
                self._sample(children)
                time.sleep(0.02)
        finally:
            for child in children:
                child.send_signal(signal.SIGTERM)
            for child in children:
                try:
                    child.wait(30)
                except psutil.TimeoutExpired:
                    child.kill()
            self._consumer.close()

    def per_cpu_second(self) -> float:
        first = next(sample for sample in self.samples if sample[0] >= self.total / 10)
        last = self.samples[-1]
        return (last[0] - first[0]) / (last[1] - first[1])

    def _sample(self, children: list[psutil.Popen]) -> None:
        done = self.committed()
        if not self.samples or done > self.samples[-1][0]:
            self.samples.append((done, sum(sum(child.cpu_times()[:2]) for child in children)))
            self.rss_bytes = sum(child.memory_info().rss for child in children)


def environment(compiled: Path | None) -> dict[str, str]:
    """Of a process that is to import the compiled form; run it with -P."""
    return {**os.environ, "PYTHONPATH": f"{compiled}{os.pathsep}{HOUSE}" if compiled else str(HOUSE)}


def worker_command(cluster: Cluster, compiled: Path | None, *more: str) -> tuple[list[str], dict[str, str]]:
    """A worker process of either form: its command and its environment."""
    command = [sys.executable, "-P", "-m", "deploy", "worker"]
    command += ["--bootstrap", cluster.bootstrap, "--admin-port", str(free_ports(1)[0]), *more]
    return command, environment(compiled)


def mediabeat(
    cluster: Cluster,
    shape: Shape,
    place: Path,
    compiled: Path | None,
    *,
    heartbeat_seconds: int = 86_400,
    workers: int = 1,
) -> Run:
    clear(cluster.bootstrap)
    group = f"mediabeat-{shape.name}-{time.time_ns()}"
    run = Run(cluster.bootstrap, group, shape.total)
    told = ["--group", group, "--heartbeat-interval", str(heartbeat_seconds)]
    commands = [worker_command(cluster, compiled, *told) for _ in range(workers)]
    run.watch([command for command, _ in commands], commands[0][1], place / "worker.log")
    return run


def quixstreams(cluster: Cluster, shape: Shape, place: Path) -> Run:
    # quixstreams prefixes nothing, but its changelog topic is named after the group: a new group is a new state.
    group = f"quix-{shape.name}-{time.time_ns()}"
    run = Run(cluster.bootstrap, group, shape.total)
    script = str(Path(__file__).with_name("quix_job.py"))
    state = place / group
    command = [sys.executable, script, cluster.bootstrap, group, topics.EVENTS.name, "bench.sums", str(state)]
    run.watch([command], dict(os.environ), place / "quix.log")
    shutil.rmtree(state, ignore_errors=True)
    return run


def measure(shape: Shape, rounds: int, compiled: Path | None) -> list[dict[str, object]]:
    ours, peer, rss = [], [], []
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as cluster:
        place = Path(name)
        clear(cluster.bootstrap)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        admin.create_topics([NewTopic("bench.sums", PARTITIONS, 1)])["bench.sums"].result()
        fill(cluster.bootstrap, shape)
        for _ in range(rounds):
            peer.append(quixstreams(cluster, shape, place).per_cpu_second())
            run = mediabeat(cluster, shape, place, compiled)
            ours.append(run.per_cpu_second())
            rss.append(run.rss_bytes / 1e6)
            print(f"{shape.name}: quixstreams {peer[-1]:,.0f}, mediabeat {ours[-1]:,.0f} events/cpu-s", flush=True)
        beating = mediabeat(cluster, shape, place, compiled, heartbeat_seconds=30).per_cpu_second()
        plain = mediabeat(cluster, shape, place, None).per_cpu_second() if compiled else None
        both = mediabeat(cluster, shape, place, compiled, workers=2).per_cpu_second()
    theirs = median(peer)
    found = [
        figure(f"worker.{shape.name}", median(ours), "events/cpu-s", "quixstreams", _ratio(ours, peer)),
        figure(f"worker.{shape.name}.heartbeats", beating, "events/cpu-s", "quixstreams", beating / theirs),
        figure(f"worker.{shape.name}.quixstreams", theirs, "events/cpu-s"),
        figure(f"worker.{shape.name}.two", both, "events/cpu-s of both", "one worker", both / median(ours)),
        figure(f"worker.{shape.name}.rss", median(rss), "MB"),
    ]
    if plain is not None:
        found.append(figure(f"worker.{shape.name}.interpreted", plain, "events/cpu-s", "quixstreams", plain / theirs))
    return found


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def goals(found: dict[str, dict[str, object]], shapes: list[Shape]) -> Iterator[str]:
    for shape in shapes:
        times, events = GOALS[shape.name]
        own = found[f"worker.{shape.name}"]
        yield goal(f"{shape.name}: times quixstreams", own["ratio"], ">=", times)
        yield goal(f"{shape.name}: events per CPU-second (of the goal's own machine)", own["value"], ">=", events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shape", choices=("deep", "wide", "both"), default="both")
    parser.add_argument("--part", type=float, default=1.0, help="of the sessions, to try the bench itself")
    given = parser.parse_args()
    shapes = [
        Shape(shape.name, int(shape.sessions * given.part), shape.events)
        for shape in {"deep": [DEEP], "wide": [WIDE], "both": [DEEP, WIDE]}[given.shape]
    ]
    compiled = compiled_form()
    figures = [line for shape in shapes for line in measure(shape, given.rounds, compiled)]
    write("worker", figures)
    for line in figures:
        print(line)
    for row in goals({str(line["name"]): line for line in figures}, shapes):
        print(row)


if __name__ == "__main__":
    main()
