"""A private Kafka broker for the tests of one pytest run, started by the first test that asks for it."""

import contextlib
import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.broker import Cluster

RUNS = Path(tempfile.gettempdir()) / f"mediabeat-test-kafka-{os.getuid()}"


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Cluster]:
    """One node on free ports, its data in a temporary directory."""
    with private_cluster() as cluster:
        yield cluster


class private_cluster:  # noqa: N801  used as a block
    """A cluster of its own, gone with its block. `further` is handed to `Cluster`."""

    def __init__(self, nodes: int = 1, ports: list[int] | None = None, **further: Any) -> None:
        bury_the_dead()
        RUNS.mkdir(exist_ok=True)
        self._home = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=RUNS))
        ports = ports or free_ports(2 * nodes)
        pairs = tuple(zip(ports[::2], ports[1::2], strict=True))
        self.cluster = Cluster(self._home, pairs, **{"settings": {}, **further})

    def __enter__(self) -> Cluster:
        try:
            self.cluster.start()
        except BaseException:
            self.__exit__()
            raise
        return self.cluster

    def __exit__(self, *_: object) -> None:
        kill(self.cluster)
        shutil.rmtree(self._home, ignore_errors=True)


def bury_the_dead() -> None:
    """Stop what a killed run has left: its broker outlives it, and nobody else would."""
    for home in RUNS.glob("*-*"):
        if not _lives(int(home.name.split("-")[0])):
            kill(Cluster(home, tuple((0, 0) for _ in home.glob("node-*")), {}))
            shutil.rmtree(home, ignore_errors=True)


def kill(cluster: Cluster) -> None:
    """The data go with it: nothing to be gained by a clean stop."""
    for node in cluster.nodes:
        if cluster.pid(node) is not None:
            cluster.signal(node, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Neighbouring ports below those the system hands out: a broker that starts slowly shall still find them free."""
    while True:
        first = random.randrange(15_000, 32_000)
        with contextlib.ExitStack() as sockets:
            try:
                for port in range(first, first + count):
                    sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return list(range(first, first + count))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
