"""A load generator in a process of its own: many keep-alive connections, each latency from when a request was due.

`python -m tests.bench.load URL --seconds 5 --connections 64 [--rate R]` prints one JSON object. Without a rate every
connection sends its next request when the last is answered (closed loop). With one, requests are due at fixed
moments whether or not the server keeps up (open loop), and waiting for a free connection counts as latency.
"""

import argparse
import asyncio
import time
from collections import deque
from urllib.parse import urlsplit

import orjson
import uvloop

HEAD = b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
START = {
    "analytics.trackingServer": "example.com",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org@AdobeOrg",
    "visitor.marketingCloudUserId": "12345678901234567890123456789012345678",
    "media.id": "a-film",
    "media.name": "A film of some length",
    "media.length": 5400,
    "media.contentType": "VOD",
    "media.playerName": "player",
    "media.channel": "channel",
    "media.sdkVersion": "bench",
}


def request(path: str, document: object) -> bytes:
    body = orjson.dumps(document)
    return HEAD % (path.encode(), len(body), body)


class Tally:
    """What the whole run saw."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}

    def take(self, status: int, seconds: float) -> None:
        self.latencies.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1


class Connection(asyncio.Protocol):
    """One request at a time; `on_answer(connection, status, head)` decides what comes next."""

    def __init__(self, on_answer) -> None:
        self._on_answer = on_answer
        self._buffer = b""
        self.due_at = 0.0
        self.sid = ""
        self.playhead = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, data: bytes, due_at: float) -> None:
        self.due_at = due_at
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        status = int(head[9:12])
        length = 0
        if status not in {204, 304}:
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = self._buffer[end + 4 + length :]
        self._on_answer(self, status, head)


class Load:
    """Opens a session on each connection, then posts pings on all of them for as long as asked."""

    def __init__(self, url: str, connections: int, rate: float | None) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._connections = connections
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._opened = asyncio.Event()
        self._ends_at = 0.0
        self._measuring = False
        self.tally = Tally()

    async def run(self, seconds: float, warm_up: float) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        now = time.time_ns() // 1_000_000
        self._starting = self._connections
        for _ in range(self._connections):
            _, connection = await loop.create_connection(lambda: Connection(self._started), self._host, self._port)
            start = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": now}, "params": START}
            connection.send(request("/api/v1/sessions", start), time.monotonic())
        await self._opened.wait()
        self._epoch = now
        began_at = time.monotonic()
        self._ends_at = began_at + warm_up + seconds
        driving = asyncio.create_task(self._schedule(began_at)) if self._rate else None
        if driving is None:
            for connection in list(self._idle):
                self._ping(connection, time.monotonic())
        await asyncio.sleep(warm_up)
        self._measuring = True
        measured_from = time.monotonic()
        await asyncio.sleep(seconds)
        self._measuring = False
        elapsed = time.monotonic() - measured_from
        if driving is not None:
            driving.cancel()
        return self._summary(elapsed)

    def _started(self, connection: Connection, status: int, head: bytes) -> None:
        if status == 201:
            connection.sid = head.lower().split(b"location: ", 1)[1].split(b"\r\n", 1)[0].rsplit(b"/", 1)[1].decode()
        else:  # the baseline answers 204 to everything
            connection.sid = "0" * 64
        connection._on_answer = self._answered
        self._idle.append(connection)
        self._starting -= 1
        if not self._starting:
            self._opened.set()

    def _ping(self, connection: Connection, due_at: float) -> None:
        connection.playhead += 1
        place = {"playhead": connection.playhead, "ts": self._epoch + 1000 * connection.playhead}
        ping = {"eventType": "ping", "playerTime": place, "params": {}}
        connection.send(request(f"/api/v1/sessions/{connection.sid}/events", ping), due_at)

    def _answered(self, connection: Connection, status: int, _head: bytes) -> None:
        now = time.monotonic()
        if self._measuring:
            self.tally.take(status, now - connection.due_at)
        if now >= self._ends_at:
            return
        if not self._rate:
            self._ping(connection, now)
        elif self._due:
            self._ping(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    async def _schedule(self, began_at: float) -> None:
        due_at, step = began_at, 1 / (self._rate or 1)
        while True:
            now = time.monotonic()
            while due_at <= now:
                if self._idle:
                    self._ping(self._idle.popleft(), due_at)
                else:
                    self._due.append(due_at)
                due_at += step
            await asyncio.sleep(0.001)

    def _summary(self, elapsed: float) -> dict[str, object]:
        latencies = sorted(self.tally.latencies)
        # What was due and never answered is the worst latency of all, not none.
        unanswered = sum(1 for due_at in self._due if due_at < self._ends_at)
        good = sum(count for status, count in self.tally.statuses.items() if status < 300)

        def at(share: float) -> float:
            return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000 if latencies else 0.0

        return {
            "acknowledged_per_second": good / elapsed,
            "p50_ms": at(0.50),
            "p99_ms": at(0.99),
            "max_ms": latencies[-1] * 1000 if latencies else 0.0,
            "statuses": {str(status): count for status, count in self.tally.statuses.items()},
            "unanswered": unanswered,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float)
    arguments = parser.parse_args()

    async def run() -> dict[str, object]:
        load = Load(arguments.url, arguments.connections, arguments.rate)
        return await load.run(arguments.seconds, arguments.warm_up)

    print(orjson.dumps(uvloop.run(run())).decode())


if __name__ == "__main__":
    main()
