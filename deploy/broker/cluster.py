"""One to three broker nodes on loopback: formatted, started, awaited, stopped."""

# ruff: noqa: S603  (the commands are ours)

import asyncio
import json
import os
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.broker.jars import jars, java
from deploy.broker.node import Layout, properties

START_SECONDS = 120
STOP_SECONDS = 20
QUICK_TO_START = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUICK_TO_RUN = ("-Xms1400m", "-Xmx1400m", "-Xmn1g", "-XX:+UseSerialGC")
"""For figures: after a minute of load its code is compiled like that of a broker that has run for a day."""

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class BrokerFailed(Exception):
    """The broker did not start or stop; the message names its log."""


@dataclass
class Cluster:
    """`ports` are (client, controller) pairs, one a node. `home` keeps data, logs and process ids between starts.

    `formatting`: further flags of Kafka's own tool that formats a node's data, `--add-scram` for one. `jvm`: flags of
    each node's Java.
    """

    home: Path
    ports: tuple[tuple[int, int], ...]
    settings: dict[str, str]
    formatting: tuple[str, ...] = ()
    jvm: tuple[str, ...] = QUICK_TO_START

    def __post_init__(self) -> None:
        self.home = self.home.resolve()

    @classmethod
    def on(cls, home: Path, port: int, nodes: int = 1, settings: dict[str, str] | None = None) -> "Cluster":
        """Clients on `port`, `port` + 2, ...; the controllers beside them. One directory per cluster size."""
        pairs = tuple((port + 2 * index, port + 2 * index + 1) for index in range(nodes))
        return cls(home / f"nodes-{nodes}", pairs, settings or {})

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{client}" for client, _ in self.ports)

    @property
    def nodes(self) -> range:
        return range(1, len(self.ports) + 1)

    def pid(self, node: int) -> int | None:
        """The process id of a node that runs; None when it does not. A recycled id is not taken for it."""
        try:
            number = int(self._path(node, "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        command = ["ps", "-ww", "-o", "command=", "-p", str(number)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return number if str(self._path(node, "server.properties")) in told.stdout else None

    def start(self) -> bool:
        """Start what does not run yet and return when every node answers. False: all of it ran already."""
        idle = [node for node in self.nodes if self.pid(node) is None]
        if idle:
            libs, runtime = jars(), java()
            for node in idle:
                self._format(node, libs, runtime)
            for node in idle:
                self.launch(node, libs, runtime)
        self.wait()
        return bool(idle)

    def launch(self, node: int, libs: Path | None = None, runtime: str | None = None) -> None:
        """Start one formatted node without waiting for it: also after it was killed."""
        command = [runtime or java(), *self.jvm, QUIET, f"-Dkafka.logs.dir={self._path(node, '')}"]
        command += ["-cp", f"{libs or jars()}/*", "kafka.Kafka", str(self._path(node, "server.properties"))]
        with self._path(node, "log").open("ab") as log:
            # A session of its own: Ctrl-C at the terminal that started it is not for the broker.
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._path(node, "pid").write_text(str(child.pid))

    def wait(self) -> None:
        """Return when all nodes are registered and answer; BrokerFailed when one died or time is up."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            dead = [node for node in self.nodes if self.pid(node) is None]
            if dead or time.monotonic() > deadline:
                log = self._path(dead[0] if dead else 1, "log")
                last = log.read_text(errors="replace")[-800:]
                raise BrokerFailed(f"the broker {'died' if dead else 'is not ready'}; see {log}\n{last}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Does the cluster list all its nodes?"""
        from deploy.kafka_client import live_nodes

        # In a thread of its own: whoever waits may be in an event loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, live_nodes(self.bootstrap)).result() == len(self.ports)

    def stop(self) -> bool:
        """Clean stop of every node, kill -9 of one that will not. False: none ran."""
        running = [(node, pid) for node in self.nodes if (pid := self.pid(node)) is not None]
        for _, pid in running:
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for node, pid in running:
            while self._alive(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            if self._alive(pid):
                self.signal(node, signal.SIGKILL)
            self._path(node, "pid").unlink(missing_ok=True)
        return bool(running)

    def signal(self, node: int, number: signal.Signals) -> None:
        """Send a signal to a running node; after SIGKILL return only when it is gone, after SIGSTOP when it stands."""
        pid = self.pid(node)
        if pid is None:
            raise BrokerFailed(f"node {node} does not run")
        os.kill(pid, number)
        while number is signal.SIGKILL and self._alive(pid):
            time.sleep(0.02)
        deadline = time.monotonic() + 2  # one that stood already does not stop again
        while number is signal.SIGSTOP and not self._stands(pid) and time.monotonic() < deadline:
            time.sleep(0.001)

    @staticmethod
    def _stands(pid: int) -> bool:
        """Has it stopped, as far as we may know? One thread takes the signal, and until it runs the others go on."""
        try:
            return os.waitpid(pid, os.WNOHANG | os.WUNTRACED)[0] == pid
        except ChildProcessError:  # of a broker that is not our child nobody tells us
            return True

    @staticmethod
    def _alive(pid: int) -> bool:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:  # our own child: collect it, or it stays a zombie
                return False
        except ChildProcessError:
            pass
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _format(self, node: int, libs: Path, runtime: str) -> None:
        place = self._path(node, "")
        place.mkdir(parents=True, exist_ok=True)
        layout = Layout(node, self.ports, place / "data")
        self._path(node, "server.properties").write_text(properties(layout, self.settings))
        if (place / "data" / "meta.properties").exists():
            return
        # `--cluster-id=`, because one random id in 64 begins with a dash.
        command = [runtime, "-XX:TieredStopAtLevel=1", QUIET, "-cp", f"{libs}/*", "kafka.tools.StorageTool", "format"]
        command += ["--ignore-formatted", f"--cluster-id={self._cluster_id()}", "-c", str(place / "server.properties")]
        command += self.formatting
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerFailed("formatting the broker's data failed: " + (done.stdout + done.stderr)[-800:])

    def _cluster_id(self) -> str:
        known = self.home / "cluster.json"
        if not known.exists():
            known.write_text(json.dumps({"id": urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")}))
        return str(json.loads(known.read_text())["id"])

    def _path(self, node: int, name: str) -> Path:
        return self.home / f"node-{node}" / name
