"""The servers that are measured side by side, each in a process on its core, and the broker beside them."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.broker.cluster import Cluster
from tests.bench import bento

PARTITIONS = 6
ORDINARY_TOPIC = "bench.ordinary"
BENTO_TOPIC = "bench.bento"
BROKER_JVM = ("-Xms1400m", "-Xmx1400m", "-Xmn1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+AlwaysPreTouch")
"""Room for half a minute's garbage: a collection stops the broker for 20 to 30 ms. Its memory is touched before: else
the first half a minute pays for that, and the first collection takes 60 ms."""

SERVER_CORE, OTHER_CORE = 0, 1 if (os.cpu_count() or 1) > 1 else 0
PYTHON = [sys.executable, "-m"]

_ADDRESS = re.compile(r"ready at (http://\S+?)[;\s]")


def on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with ExitStack() as stack:
        places = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [place.getsockname()[1] for place in places]


@contextmanager
def broker(home: Path) -> Iterator[str]:
    """A real broker with the topics of all; its address."""
    first, second = free_ports(2)
    cluster = Cluster(home, ((first, second),), {}, jvm=BROKER_JVM)
    cluster.start()
    pid = cluster.pid(1)
    assert pid is not None
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, [OTHER_CORE])
    try:
        create = ["topics", "create", "--bootstrap", cluster.bootstrap, "--partitions", str(PARTITIONS)]
        subprocess.run([*PYTHON, "deploy", *create], check=True, stdout=subprocess.DEVNULL)
        asyncio.run(_create(cluster.bootstrap, ORDINARY_TOPIC, BENTO_TOPIC))
        yield cluster.bootstrap
    finally:
        cluster.stop()


async def _create(bootstrap: str, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    finally:
        await admin.close()


async def records_of(bootstrap: str, topic: str) -> int:
    """How many records a topic's partitions have been given."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets([TopicPartition(topic, part) for part in range(PARTITIONS)])).values())
    finally:
        await consumer.stop()


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"MEDIABEAT_SECRET": "of-this-benchmark-and-of-nothing-else"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*on_core(SERVER_CORE), *command], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as child,
    ):
        try:
            yield child
        finally:
            child.terminate()


@contextmanager
def _announced(command: list[str], log: Path) -> Iterator[tuple[str, int]]:
    with _running([*PYTHON, *command], log) as child:
        assert child.stdout is not None
        found = next((found for line in child.stdout if (found := _ADDRESS.search(line))), None)
        assert found, log.read_text()[-2000:]
        yield found[1], child.pid


@contextmanager
def _bento(program: Path, bootstrap: str, home: Path, log: Path) -> Iterator[tuple[str, int]]:
    [port] = free_ports(1)
    given = home / "bento.yaml"
    given.write_text(bento.configuration(bootstrap, BENTO_TOPIC, port))
    with _running([str(program), "-c", str(given)], log) as child:
        until = time.monotonic() + 20
        while not _answers(port):
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", child.pid


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


class Servers:
    """Starts what is measured, by name."""

    def __init__(self, home: Path, bootstrap: str, bento_program: Path | None) -> None:
        self._home, self.bootstrap, self._bento_program = home, bootstrap, bento_program
        self._started = 0

    def start(self, name: str):
        """A context with the address and the process id of `ordinary`, `events`, `collection`, `embedded`, `bento`, `bare`."""
        self._started += 1
        log = self._home / f"{name}-{self._started}.log"
        if name == "bento":
            assert self._bento_program
            return _bento(self._bento_program, self.bootstrap, self._home, log)
        door = ["ingest", "--bootstrap", self.bootstrap, "--port", "0", "--partitions", str(PARTITIONS)]
        commands = {
            "ordinary": ["tests.bench.ordinary", self.bootstrap, ORDINARY_TOPIC],
            "events": ["deploy", *door],
            "collection": ["tests.bench.one_dialect", *door],
            "embedded": ["tests.bench.embedded_door", str(self._home / f"data-{self._started}")],
            "bare": ["tests.bench.bare_answers"],
        }
        return _announced(commands[name], log)
