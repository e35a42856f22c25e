"""`python -m tests.bench.door_load URL --pid PID [--rate R]`: load on a door, and what its process spent on it.

A light generator: one event at a time on each connection, every latency from the moment its request was due. Without
a rate that is when the answer before it came (closed loop: full load). With one, requests are due at fixed moments
whether or not the server keeps up; one that finds no connection free waits, and its waiting counts.
"""

import argparse
import asyncio
import time
from collections import deque
from urllib.parse import urlsplit

import orjson
import psutil
import uvloop

from tests.bench.door_requests import PREFLIGHT, Player, session_start


class Connection(asyncio.Protocol):
    """One player: preflight, session start, events."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answers = self._on_preflight
        self.due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write
        self._write(PREFLIGHT)

    def data_received(self, data: bytes) -> None:
        self._answers(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += 1

    def _on_preflight(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 20"), data
        self._answers = self._on_start
        self._write(session_start(self._load.now_ms))

    def _on_start(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 201"), data
        location = data.split(b"ocation: ", 1)[1].split(b"\r\n", 1)[0]
        self._player = Player(location, self._load.now_ms)
        self._answers = self._on_event
        self._load.opened(self)

    def ask(self, due_at: float) -> None:
        self.due_at = due_at
        self._write(self._player.ping())

    def _on_event(self, data: bytes) -> None:
        # A 204 has no body, so it comes whole; anything else is a failure of the run, and is counted as one.
        if not (data.startswith(b"HTTP/1.1 204") and data.endswith(b"\r\n\r\n")):
            self._load.bad += 1
        self._load.answered(self)


class Load:
    def __init__(self, url: str, rate: float | None) -> None:
        address = urlsplit(url)
        self._where = (address.hostname, address.port)
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._latencies: list[float] | None = None
        self._stopped = False
        self.now_ms = time.time_ns() // 1_000_000
        self.bad = self.lost = 0

    def opened(self, connection: Connection) -> None:
        self._idle.append(connection)

    def answered(self, connection: Connection) -> None:
        now = time.perf_counter()
        if self._latencies is not None:
            self._latencies.append(now - connection.due_at)
        if self._stopped:
            self._idle.append(connection)
        elif self._rate is None:
            connection.ask(now)
        elif self._due:
            connection.ask(self._due.popleft())
        else:
            self._idle.append(connection)

    async def run(self, pid: int, connections: int, seconds: float, warm_up: float) -> dict[str, object]:
        loop, process = asyncio.get_running_loop(), psutil.Process(pid)
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), *self._where)
        while len(self._idle) < connections:  # noqa: ASYNC110 - a deque wakes nobody
            await asyncio.sleep(0.01)
        driving = asyncio.create_task(self._drive())
        await asyncio.sleep(warm_up)
        self._latencies, before, since = [], process.cpu_times(), time.perf_counter()
        await asyncio.sleep(seconds)
        latencies, self._latencies = self._latencies, None
        after, elapsed = process.cpu_times(), time.perf_counter() - since
        cpu = after.user + after.system - before.user - before.system
        driving.cancel()
        accepted = len(latencies) - self.bad
        # What is due and not answered yet is late already, by at least so much.
        open_until = time.perf_counter()
        latencies += [open_until - due_at for due_at in self._due]
        self._stopped = True
        self._due.clear()
        for _ in range(300):
            if len(self._idle) >= connections:
                break
            await asyncio.sleep(0.01)
        return self._summary(sorted(latencies)) | {
            "per_second": accepted / elapsed,
            "per_cpu_second": accepted / cpu if cpu else 0.0,
            "cpu_share": cpu / elapsed,
            "system_share": (after.system - before.system) / cpu if cpu else 0.0,
            "rss_mb": process.memory_info().rss / 1e6,
            "unanswered": connections - len(self._idle),
        }

    async def _drive(self) -> None:
        if self._rate is None:
            for connection in self._idle:
                connection.ask(time.perf_counter())
            self._idle.clear()
            return
        due_at, step = time.perf_counter(), 1 / self._rate
        while True:
            now = time.perf_counter()
            while due_at <= now:
                if self._idle:
                    self._idle.popleft().ask(due_at)
                else:
                    self._due.append(due_at)
                due_at += step
            await asyncio.sleep(0.001)

    def _summary(self, latencies: list[float]) -> dict[str, object]:
        def at(share: float) -> float:
            return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000 if latencies else 0.0

        return {
            "p50_ms": at(0.50),
            "p99_ms": at(0.99),
            "bad": self.bad,
            "lost": self.lost,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    load = Load(given.url, given.rate)
    found = uvloop.run(load.run(given.pid, given.connections, given.seconds, given.warm_up))
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
