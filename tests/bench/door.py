"""`python -m tests.bench.door`: what one event costs the door, beside the ordinary service, in one run on pinned cores.

The server has core 0; generator and broker share core 1. Every round measures each server at full load, at 70 % of
its own maximum and at a held 5,000 requests a second; figures are medians of the rounds, ratios medians of the rounds'
ratios. What is due and not answered in time counts as late by as long as it had waited.
"""

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import orjson
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.broker.cluster import Cluster
from schemas import topics
from tests.bench.figures import figure, write

PARTITIONS = 6
ORDINARY_TOPIC = "bench.ordinary"
SERVER_CORE, OTHER_CORE = [0], [1] if (os.cpu_count() or 1) > 1 else [0]
HELD_RATE = 5_000.0
PYTHON = [sys.executable, "-m"]
ADDRESS = re.compile(r"ready at (http://\S+?)[;\s]")

Measured = dict[str, float]


def pin(pid: int, cores: list[int]) -> None:
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cores)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with ExitStack() as stack:
        places = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [place.getsockname()[1] for place in places]


@contextmanager
def broker(home: Path) -> Iterator[str]:
    """A real broker with the topics of both; its address."""
    first, second = free_ports(2)
    cluster = Cluster(home, ((first, second),), {})
    cluster.start()
    pid = cluster.pid(1)
    assert pid is not None
    pin(pid, OTHER_CORE)
    try:
        create = ["topics", "create", "--bootstrap", cluster.bootstrap, "--partitions", str(PARTITIONS)]
        subprocess.run([*PYTHON, "deploy", *create], check=True, stdout=subprocess.DEVNULL)
        asyncio.run(_create(cluster.bootstrap))
        yield cluster.bootstrap
    finally:
        cluster.stop()


async def _create(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(ORDINARY_TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


async def end_offsets(bootstrap: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets([TopicPartition(topic, part) for part in range(PARTITIONS)])).values())
    finally:
        await consumer.stop()


@contextmanager
def serving(command: list[str], log: Path) -> Iterator[tuple[str, int]]:
    """A server pinned to its core; its address and process id."""
    environment = os.environ | {"MEDIABEAT_SECRET": "of-this-benchmark-and-of-nothing-else"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE[0]), *PYTHON, *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as child,
    ):
        try:
            assert child.stdout is not None
            found = next((found for line in child.stdout if (found := ADDRESS.search(line))), None)
            assert found, log.read_text()[-2000:]
            yield found[1], child.pid
        finally:
            child.terminate()


def load(address: str, pid: int, seconds: float, rate: float | None = None) -> Measured:
    command = ["tests.bench.door_load", address, "--pid", str(pid), "--seconds", str(seconds)]
    command += ["--rate", str(rate)] if rate else []
    pinned = ["taskset", "-c", str(OTHER_CORE[0])]
    done = subprocess.run([*pinned, *PYTHON, *command], check=True, stdout=subprocess.PIPE)
    found: Measured = orjson.loads(done.stdout)
    if found["bad"] or found["lost"] or found["unanswered"]:
        raise RuntimeError(f"not every event was answered 204: {found}")
    return found


def measured(command: list[str], log: Path, seconds: float) -> dict[str, Measured]:
    with serving(command, log) as (address, pid):
        full = load(address, pid, seconds)
        part = load(address, pid, seconds, 0.7 * full["per_second"])
        held = load(address, pid, seconds, HELD_RATE)
    return {"full": full, "70": part, "held": held}


def rounds(home: Path, bootstrap: str, count: int, seconds: float) -> dict[str, list[dict[str, Measured]]]:
    found: dict[str, list[dict[str, Measured]]] = defaultdict(list)
    with serving(["tests.bench.ordinary", bootstrap, ORDINARY_TOPIC], home / "warm.log") as (address, pid):
        load(address, pid, 4.0)  # the broker compiles what it runs often: nobody shall pay for that
    for number in range(count):
        servers = {
            "ordinary": ["tests.bench.ordinary", bootstrap, ORDINARY_TOPIC],
            "events": ["deploy", "ingest", "--bootstrap", bootstrap, "--port", "0", "--partitions", str(PARTITIONS)],
            "embedded": ["tests.bench.embedded_door", str(home / f"data-{number}")],
        }
        for name, command in servers.items():
            began = time.monotonic()
            found[name].append(measured(command, home / f"{name}.log", seconds))
            shown = "   ".join(
                f"{load}: {at['per_cpu_second']:,.0f}/cpu-s {at['per_second']:,.0f}/s p50 {at['p50_ms']:.1f} p99 {at['p99_ms']:.1f} ms"
                for load, at in found[name][-1].items()
            )
            rss = found[name][-1]["held"]["rss_mb"]
            print(f"{name:<9} {shown}   {rss:.0f} MB   ({time.monotonic() - began:.0f} s)", flush=True)
    return found


def figures(found: dict[str, list[dict[str, Measured]]]) -> list[dict[str, object]]:
    lines = []
    for name, of_rounds in found.items():
        for at, suffix in (("full", ""), ("70", ".at_70_percent"), ("held", ".held_5000")):
            values = [one[at]["per_cpu_second"] for one in of_rounds]
            ratio = median(
                one[at]["per_cpu_second"] / other[at]["per_cpu_second"]
                for one, other in zip(of_rounds, found["ordinary"], strict=True)
                if other[at]["per_cpu_second"]  # on a machine that is busy with others it may stand still for seconds
            )
            compared = None if name == "ordinary" else "ordinary"
            lines.append(
                figure(f"door.{name}{suffix}", median(values), "events/cpu-s", compared, ratio if compared else None)
            )
            for key, unit in (("per_second", "req/s"), ("p50_ms", "ms"), ("p99_ms", "ms")):
                short = key.removesuffix("_ms")
                lines.append(figure(f"door.{name}{suffix}.{short}", median(one[at][key] for one in of_rounds), unit))
        lines.append(figure(f"door.{name}.rss", median(one["held"]["rss_mb"] for one in of_rounds), "MB"))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after one to warm up")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as bootstrap:
        found = rounds(Path(name), bootstrap, given.rounds, given.seconds)
        for topic in (topics.EVENTS.name, ORDINARY_TOPIC):
            print(f"{topic}: {asyncio.run(end_offsets(bootstrap, topic)):,} records at the end")
    lines = figures(found)
    write("door", lines)
    for line in lines:
        print(line)


if __name__ == "__main__":
    main()
