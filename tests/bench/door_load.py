"""`python -m tests.bench.door_load URL --pid PID [--rate R]`: load on a door, and what its process spent on it.

A light generator, bare sockets and prepared bytes, so that it is not what is measured. One event at a time on each
connection, every latency from the moment its request was due. Without a rate that is when the answer before it came
(closed loop: full load). With one, requests are due at fixed moments whether or not the server keeps up; one that
finds no connection free waits, and its waiting counts, also when it is never sent.

The broker on the generator's core goes first: a request that is sent late by a slice of the broker's is one request,
an answer of the broker that is late by a slice of the generator's holds up all that wait for it.
"""

import argparse
import gc
import os
import select
import socket
import time
from collections import deque
from urllib.parse import urlsplit

import orjson
import psutil

from tests.bench.door_requests import HEADERS, PREFLIGHT, UNCOMPRESSED, events, session_start

POSTS = 48  # of each connection, sent in turn
PATIENCE = 5.0  # seconds for the answers that are due when the time is up; four times that for those of the start
_TICK = 0.001


class Connection:
    """One player, ready to send its posts in turn."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.socket = socket.create_connection(where)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(4 * PATIENCE)
        self.posts = [PREFLIGHT]
        self.due_at = 0.0
        self._sent = 0

    def answer(self) -> bytes:
        """The next answer, of those that have no body."""
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(65_536)
            assert piece, "the server hung up"
            answer += piece
        assert answer.startswith(b"HTTP/1.1 20"), answer
        return answer

    def ask(self, due_at: float) -> None:
        self.due_at = due_at
        post = self.posts[self._sent % len(self.posts)]
        self._sent += 1
        sent = self.socket.send(post)
        assert sent == len(post), "a kernel's buffer holds one request"


def players(where: tuple[str, int], count: int, what: str) -> list[Connection]:
    """Connections that send this, after the preflight and the session start of each where it is events."""
    opened = [Connection(where) for _ in range(count)]
    now_ms = time.time_ns() // 1_000_000
    paths = [b"/api/v1/sessions/%064x" % number for number in range(count)]
    if what == "events":
        for data in (PREFLIGHT, session_start(now_ms)):
            for connection in opened:
                connection.socket.sendall(data)
            answers = [connection.answer() for connection in opened]
        paths = [answer.split(b"ocation: ", 1)[1].split(b"\r\n", 1)[0] for answer in answers]
    headers = HEADERS if what == "events" else UNCOMPRESSED
    for number, (connection, path) in enumerate(zip(opened, paths, strict=True)):
        if what != "preflights":
            connection.posts = events(path + b"/events", now_ms, number, POSTS, headers)
        connection.socket.setblocking(False)
    return opened


class Load:
    def __init__(self, url: str, rate: float | None, connections: int, what: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self._rate = rate
        opened = players((address.hostname, address.port), connections, what)
        self._connections = {connection.socket.fileno(): connection for connection in opened}
        self._idle = deque(self._connections.values())
        self._due: deque[float] = deque()
        self._poll = select.epoll()
        for descriptor in self._connections:
            self._poll.register(descriptor, select.EPOLLIN)
        self._next_due = time.perf_counter()
        self.latencies: list[float] = []
        self.lags: list[float] = []
        """How long after its moment each request was sent for which a connection was free: late by our own fault."""
        self.bad = self.lost = 0

    def run(self, seconds: float) -> None:
        """Drive for so long."""
        self.latencies, self.lags = [], []
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            if self._rate is not None:
                self._send_due(now)
            else:
                while self._idle:
                    self._idle.popleft().ask(now)
            self._take_answers()

    def finish(self) -> int:
        """Take the answers that are still due; how many did not come in time. What was never sent is late too."""
        taken, until = self.latencies, time.perf_counter() + PATIENCE
        late = [time.perf_counter() - due_at for due_at in self._due]
        self._due.clear()
        self._rate = 0.0
        while len(self._idle) < len(self._connections) and time.perf_counter() < until:
            self._take_answers()
        self.latencies = taken + late
        return len(self._connections) - len(self._idle)

    def _send_due(self, now: float) -> None:
        assert self._rate
        step = 1 / self._rate
        while self._next_due <= now:
            if self._idle:
                self._idle.popleft().ask(self._next_due)
                self.lags.append(now - self._next_due)
            else:
                self._due.append(self._next_due)
            self._next_due += step

    def _take_answers(self) -> None:
        for descriptor, _ in self._poll.poll(_TICK):
            connection = self._connections[descriptor]
            data = connection.socket.recv(65_536)
            now = time.perf_counter()
            self.latencies.append(now - connection.due_at)
            # What is accepted has no body, so it comes whole; anything else is a failure of the run, counted as one.
            if not (data.startswith(b"HTTP/1.1 20") and data.endswith(b"\r\n\r\n")):
                self.bad += 1
                if not data:
                    self.lost += 1
                    self._poll.unregister(descriptor)
                    continue
            if self._rate is None:
                connection.ask(now)
            elif self._due:
                connection.ask(self._due.popleft())
            else:
                self._idle.append(connection)


def measured(load: Load, pid: int, seconds: float, warm_up: float) -> dict[str, object]:
    process = psutil.Process(pid)
    load.run(warm_up)
    before, since, own, stolen = process.cpu_times(), time.perf_counter(), time.process_time(), stolen_seconds()
    load.run(seconds)
    after, elapsed, own = process.cpu_times(), time.perf_counter() - since, time.process_time() - own
    stolen = stolen_seconds() - stolen
    answered = len(load.latencies)
    unanswered = load.finish()
    latencies, lags = sorted(load.latencies), sorted(load.lags)
    cpu = after.user + after.system - before.user - before.system
    return {
        "began": since,
        "per_second": answered / elapsed,
        "per_cpu_second": answered / cpu if cpu else 0.0,
        "cpu_share": cpu / elapsed,
        "system_share": (after.system - before.system) / cpu if cpu else 0.0,
        "rss_mb": process.memory_info().rss / 1e6,
        "p50_ms": at(latencies, 0.50),
        "p99_ms": at(latencies, 0.99),
        "lag_p99_ms": at(lags, 0.99),
        "own_share": own / elapsed,
        "stolen_ms": stolen * 1000,
        "bad": load.bad,
        "lost": load.lost,
        "unanswered": unanswered,
    }


def stand_back() -> None:
    """Let others on this core go first, whatever the manner in which it is shared."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    if priority > 1:
        os.sched_setscheduler(0, policy, os.sched_param(priority - 1))
    elif priority == 0:
        os.nice(5)


def stolen_seconds() -> float:
    """What a host has taken from all cores of its guest since the start, where it says so."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def at(ordered: list[float], share: float) -> float:
    """The milliseconds below which this share of these seconds lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--what", choices=("events", "bare events", "preflights"), default="events")
    given = parser.parse_args()
    load = Load(given.url, given.rate, given.connections, given.what)
    stand_back()
    gc.disable()  # nothing here makes cycles
    print(orjson.dumps(measured(load, given.pid, given.seconds, given.warm_up)).decode())


if __name__ == "__main__":
    main()
