"""`python -m tests.bench.steady`: a worker with twelve lanes on a real broker, idle, then at half of what it can do.

Idle: its CPU time over wall time. Then sessions ping in turn, half as many events a second as `.bench/worker.jsonl` has
for the wide shape (`--load` says another number), and some start. Latency: from the broker's acknowledgement of a
sessionStart to its row before a reader of committed records; a session's first event waits in no window. What starts in
the first two minutes is not counted: so long the broker compiles its code, on whatever core is free, and answers ten
times later than after it. Then it shares one with the load. How busy that core was stands beside the figures: near
100 %, they are the machine's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import orjson
import psutil
from confluent_kafka import Consumer, TopicPartition

from deploy.broker.cluster import QUICK_TO_RUN, Cluster
from schemas import topics
from tests.bench.figures import BENCH, figure, goal, write
from tests.bench.steady_load import PARTITIONS, Load
from tests.bench.worker import BROKER_CORE, WORKER_CORE, broker, compiled_form, environment, pin, worker_command

PINGING = 20_000
BURST_SECONDS = 0.01
HEARTBEAT_SECONDS = 30
SETTLE_SECONDS = 120
EVERY_CORE = list(range(os.cpu_count() or 1))
GOALS = {"worker.idle": 1, "worker.row.p50": 100, "worker.row.p99": 300}


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


def reader(cluster: Cluster) -> Consumer:
    """Of the rows of session starts, committed ones only."""
    rows = Consumer(
        {"bootstrap.servers": cluster.bootstrap, "group.id": "steady", "isolation.level": "read_committed"}
        | {"enable.auto.commit": False, "fetch.wait.max.ms": 50}
    )
    rows.assign([TopicPartition(topics.SESSION_START.name, partition, 0) for partition in range(PARTITIONS)])
    return rows


def warm_up(load: Load, rows: Consumer) -> None:
    """Start the sessions that will ping, spread over a heartbeat's interval as an audience is; wait for their rows."""
    began, seen, started = time.monotonic(), 0, 0
    while started < PINGING:
        for _ in range(min(int((time.monotonic() - began) / HEARTBEAT_SECONDS * PINGING), PINGING) - started):
            load.start(counted=False)
            started += 1
        load.poll(BURST_SECONDS)
    deadline = time.monotonic() + 120
    while seen < PINGING and time.monotonic() < deadline:
        load.poll()
        seen += len(rows.consume(5000, 0.05))
    if seen < PINGING:
        raise RuntimeError(f"only {seen} of {PINGING} sessions were told of")


@contextmanager
def again_and_again(step: Callable[[], None]) -> Iterator[None]:
    """Meanwhile a thread waits for what comes: the load then wakes a hundred times a second, and moments are exact."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def latencies(
    load: Load, rows: Consumer, given: argparse.Namespace, per_second: int, settled: Callable[[], None]
) -> list[float]:
    """Milliseconds from acknowledgement to row, one for each session that started after `settled` was called."""
    told: dict[str, float] = {}

    def look() -> None:
        message = rows.poll(0.2)
        if message is not None and message.error() is None:
            told[message.key().decode()] = time.monotonic()

    late: list[str] = []
    began, starts, pings = time.monotonic(), 0, 0
    first, total = SETTLE_SECONDS * given.rate, int(given.rate * given.seconds)
    with again_and_again(look), again_and_again(lambda: load.poll(0.2)):
        while starts < first + total:
            passed = time.monotonic() - began
            for _ in range(min(int(passed * given.rate), first + total) - starts):
                if starts == first:
                    settled()
                sid = load.start(counted=True)
                if starts >= first:
                    late.append(sid)
                starts += 1
            for _ in range(min(int(passed * per_second) - pings, 1000)):
                load.ping()
                pings += 1
            time.sleep(BURST_SECONDS)
        while (
            not (told.keys() >= set(late) <= load.acknowledged.keys())
            and time.monotonic() - began < SETTLE_SECONDS + given.seconds + 20
        ):
            time.sleep(0.1)
    print(f"{pings / (SETTLE_SECONDS + given.seconds):,.0f} events a second beside {given.rate} starts", flush=True)
    return [
        max(0.0, told[sid] - load.acknowledged[sid]) * 1000 for sid in late if sid in told and sid in load.acknowledged
    ]


def half_load() -> int:
    """Half of what the worker's own bench has measured last, within what one generator beside a broker can make."""
    try:
        lines = [orjson.loads(line) for line in (BENCH / "worker.jsonl").read_bytes().splitlines()]
        return min(int(next(line["value"] for line in lines if line["name"] == "worker.wide") / 2), 30_000)
    except (OSError, StopIteration):
        return 5_000


class Shares:
    """What each process takes of a core, since `begin`, in per cent."""

    def __init__(self, *processes: psutil.Process) -> None:
        self._processes = processes
        self.begin()

    def begin(self) -> None:
        self._began, self._before = time.monotonic(), self._taken()

    def now(self) -> list[float]:
        passed = time.monotonic() - self._began
        return [100 * (now - before) / passed for now, before in zip(self._taken(), self._before, strict=True)]

    def _taken(self) -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in self._processes]


def rows_under_load(cluster: Cluster, worker: psutil.Process, given: argparse.Namespace) -> list[dict[str, object]]:
    """The figures of latency, and how busy both cores were meanwhile."""
    load, rows = Load(cluster.bootstrap), reader(cluster)
    warm_up(load, rows)
    pid = cluster.pid(1)
    assert pid is not None
    shares = Shares(worker, psutil.Process(pid), psutil.Process())
    pin(pid, EVERY_CORE)

    def settled() -> None:
        pin(pid, BROKER_CORE)
        shares.begin()

    per_second = given.load or half_load()
    taken = latencies(load, rows, given, per_second, settled)
    worker_share, broker_share, own_share = shares.now()
    load.close()
    rows.close()
    total = given.rate * given.seconds
    if len(taken) < 100:
        raise RuntimeError(f"only {len(taken)} rows of {total} came in time: too busy to tell")
    cuts = quantiles(taken, n=100)
    return [
        figure("worker.row.events", per_second, "events/s"),
        figure("worker.row.p50", cuts[49], "ms"),
        figure("worker.row.p99", cuts[98], "ms"),
        figure("worker.row.rows", len(taken), f"of {total}"),
        figure("worker.row.load", worker_share, "% of a core"),
        figure("worker.row.broker_core", broker_share + own_share, "% of a core, broker and load"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=100, help="sessions started a second")
    parser.add_argument("--load", type=int, default=0, help="pings a second; 0: half of the wide figure")
    parser.add_argument("--seconds", type=int, default=15)
    given = parser.parse_args()
    compiled = compiled_form()
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name), QUICK_TO_RUN) as cluster:
        base = [sys.executable, "-P", "-m", "deploy"]
        topics_made = [*base, "topics", "create", "--bootstrap", cluster.bootstrap, "--partitions", str(PARTITIONS)]
        subprocess.run(topics_made, check=True, stdout=subprocess.DEVNULL, env=environment(None))
        command, env = worker_command(cluster, compiled)
        port = command[command.index("--admin-port") + 1]
        worker = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process = psutil.Process(worker.pid)
            process.cpu_affinity(WORKER_CORE)
            psutil.Process().cpu_affinity(BROKER_CORE)
            ready(f"http://127.0.0.1:{port}")
            figures = [figure("worker.idle", idle(process, given.seconds), "% of a core, 12 lanes")]
            print(figures[0], flush=True)
            figures += rows_under_load(cluster, process, given)
        finally:
            worker.terminate()
            worker.wait(30)
    write("worker-steady", figures)
    for line in figures:
        print(line)
        if line["name"] in GOALS:
            print(goal(f"{line['name']}, {line['unit']}", line["value"], "<=", GOALS[str(line["name"])]))


if __name__ == "__main__":
    main()
