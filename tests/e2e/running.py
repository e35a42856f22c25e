"""A real `mediabeat run` in a process of its own, and what a test asks of it."""

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

PATIENCE_SECONDS = 60.0
"""The longest anything is waited for; a busy machine may be slow, and nothing is asserted about time."""

TLS = Path(__file__).parent / "tls"
"""A certificate for localhost that nobody else trusts, and its key."""

BANNER = re.compile(r"ready at (https?://\S+).*?operator\s+(http://[^/\s]+)", re.DOTALL)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def sid(self) -> str:
        return self.headers["location"].rsplit("/", 1)[1]


class Running:
    """The process, its front door and its operator's port."""

    def __init__(self, data: Path, process: subprocess.Popen[str], banner: str) -> None:
        found = BANNER.search(banner)
        assert found, banner
        self.data = data
        self.process = process
        self.banner = banner
        self.url, self.admin = found.groups()

    def post(self, path: str, document: object) -> Answer:
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        return self.request("POST", path, body, {"Content-Type": "application/json"})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return request(self.url, method, path, body, headers)

    def figures(self) -> dict[str, float]:
        """What /metrics says, by name and labels as they stand there."""
        text = request(self.admin, "GET", "/metrics").body.decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def rows(self, topic: str, *, sid: str | None = None, count: int) -> list[dict[str, Any]]:
        """The values of the first `count` records of a topic, as `mediabeat tail` prints them; waits for them."""
        return [line["value"] for line in self.lines(topic, sid=sid, count=count)]

    def lines(self, topic: str, *, sid: str | None = None, count: int) -> list[dict[str, Any]]:
        arguments = ["tail", topic, "--from-start", "--data", str(self.data), *(["--sid", sid] if sid else [])]
        with spawned(arguments) as tail:
            assert tail.stdout is not None
            timer = kill_after(tail)
            try:
                found = [tail.stdout.readline() for _ in range(count)]
            finally:
                timer.cancel()
        assert all(found), f"{topic} has {sum(map(bool, found))} of {count} records"
        return [orjson.loads(line) for line in found]

    def all_lines(self, topic: str, sid: str | None = None) -> list[dict[str, Any]]:
        """Everything that is on a topic now."""
        arguments = ["tail", topic, "--no-follow", "--data", str(self.data), *(["--sid", sid] if sid else [])]
        return [orjson.loads(line) for line in mediabeat(arguments).stdout.splitlines()]

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(data: Path, *flags: str) -> Iterator[Running]:
    """`mediabeat run` on free ports, ready; killed at the end if it still runs."""
    arguments = ["run", "--port", "0", "--admin-port", "0", "--data", str(data), *flags]
    with spawned(arguments, log=data.parent / f"{data.name}.log") as process:
        assert process.stdout is not None
        timer = kill_after(process)
        banner = ""
        for line in process.stdout:
            banner += line
            if line.startswith("Ctrl-C"):
                break
        timer.cancel()
        yield Running(data, process, banner)


def mediabeat(arguments: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment(),
        **more,
    )


@contextmanager
def spawned(arguments: Sequence[str], log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    with open(log or os.devnull, "a") as errors:  # noqa: PTH123 - os.devnull is no Path
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@contextmanager
def following(process: Running, topic: str) -> Iterator[Iterator[str]]:
    """The lines of a topic from its start, as they come."""
    with spawned(["tail", topic, "--from-start", "--data", str(process.data)]) as tail:
        assert tail.stdout is not None
        timer = kill_after(tail)
        try:
            yield iter(tail.stdout)
        finally:
            timer.cancel()


def kill_after(process: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(PATIENCE_SECONDS, process.kill)
    timer.start()
    return timer


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIABEAT_")}


def request(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_SECONDS)
    if address.scheme == "https":
        trusted = ssl.create_default_context(cafile=TLS / "cert.pem")
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=PATIENCE_SECONDS, context=trusted
        )
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def eventually(look: Any) -> Any:
    """What `look` answers once it is true of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found
