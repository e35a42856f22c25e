"""Small doors under their real supervisor, as a test starts, asks, freezes and kills them."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil

from tests.e2e.running import PATIENCE_SECONDS, environment, eventually, kill_after, request

READY = re.compile(r"ready at (http://\S+); operator at (http://[^/\s]+)")


class Group:
    """Doors that share a port, and their supervisor."""

    def __init__(self, process: "subprocess.Popen[str]", directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.url = self.admin = ""

    def ready(self) -> None:
        assert self.process.stdout is not None
        timer = kill_after(self.process)
        found = READY.search(self.process.stdout.readline())
        timer.cancel()
        assert found, self.log
        self.url, self.admin = found.groups()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def ask(self, body: bytes = b"x") -> dict[str, int]:
        """Which door answers."""
        found: dict[str, int] = orjson.loads(request(self.url, "POST", "/", body).body)
        return found

    def reasons(self) -> list[str]:
        found: list[str] = orjson.loads(request(self.admin, "GET", "/readyz").body)["reasons"]
        return found

    def figures(self) -> dict[str, float]:
        lines = request(self.admin, "GET", "/metrics").body.decode().splitlines()
        parts = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in parts}

    def fork_server(self) -> psutil.Process:
        [server] = psutil.Process(self.process.pid).children()
        return server

    def doors(self) -> list[psutil.Process]:
        return [door for server in psutil.Process(self.process.pid).children() for door in server.children()]

    def queued(self) -> list[int]:
        """Connections that wait at each of its sockets, as the kernel counts them."""
        port = int(self.url.rpartition(":")[2])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return [int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return eventually_ended(self.process)


class Waiting(threading.Thread):
    """A request, and its answer when it comes."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self._group = group
        self.answer: dict[str, int] | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._group.ask()


class Slow:
    """A request whose body is not whole yet."""

    def __init__(self, group: Group) -> None:
        address = urlsplit(group.url)
        self._sock = socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS)
        self._sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")

    def finish(self) -> bytes:
        """The whole answer, up to the end of the connection."""
        self._sock.sendall(b"2")
        found = b""
        with self._sock:
            while piece := self._sock.recv(65536):
                found += piece
        return found

    def ends(self) -> bool:
        """Without an answer."""
        with self._sock, suppress(ConnectionError):
            return self._sock.recv(1) == b""
        return True


def begun(group: Group, count: int) -> list[Slow]:
    requests = [Slow(group) for _ in range(count)]
    eventually(lambda: group.figures()["mediabeat_requests_in_flight"] == count)
    return requests


def eventually_ended(process: "subprocess.Popen[str]") -> int:
    eventually(lambda: process.poll() is not None)
    return process.returncode


@contextmanager
def group_of(processes: int, directory: Path, *flags: str) -> Iterator[Group]:
    """Not ready yet, so that a start that fails can be looked at."""
    command = [sys.executable, "-m", "tests.deploy.small_door", "--directory", str(directory)]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--processes", str(processes), *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(),
        )
        try:
            yield Group(process, directory)
        finally:
            process.kill()
            process.communicate()
