"""Players that post as fast as a door answers, over its deaths, and remember everything that was acknowledged."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

import orjson

from tests.e2e.players import start

AHEAD = 8
"""Requests that a connection has under way."""

_HEAD = b"Host: door\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: "
_PING = b'{"eventType":"ping","playerTime":{"playhead":%d,"ts":%d}}'


class Tally:
    """What all posters have seen. `acknowledged`: session id and playhead of each event with a 204 (a start: -1)."""

    def __init__(self) -> None:
        self.acknowledged: list[tuple[str, int]] = []
        self.refused = 0
        self.unanswered = 0
        """Requests under way on connections that ended."""


class Poster(asyncio.Protocol):
    """One connection: a session, and its events; `limit` of them, then it hangs up."""

    def __init__(self, tally: Tally, limit: int) -> None:
        self._tally = tally
        self._limit = limit
        self._buffer = b""
        self._asked: deque[int] = deque()
        self._playhead = 0
        self._now_ms = time.time_ns() // 1_000_000
        self._sid = ""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask(-1, b"/api/v1/sessions", orjson.dumps(start(self._now_ms)))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) >= 4:
            status = int(self._buffer[9:12])
            length = 0
            if status != 204:
                said = self._buffer[:end].lower().partition(b"content-length: ")[2]
                length = int(said.partition(b"\r\n")[0])
            if len(self._buffer) < end + length:
                return
            self._answered(status, self._buffer[:end])
            self._buffer = self._buffer[end + length :]
        while self._sid and len(self._asked) < AHEAD and self._playhead < self._limit:
            self._playhead += 1
            self._ask(
                self._playhead,
                b"/api/v1/sessions/%b/events" % self._sid.encode(),
                _PING % (self._playhead, self._now_ms),
            )
        if not self._asked:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.unanswered += len(self._asked)
        if not self.over.done():
            self.over.set_result(None)

    def _ask(self, playhead: int, path: bytes, body: bytes) -> None:
        self._asked.append(playhead)
        self._transport.write(b"POST %b HTTP/1.1\r\n%b%d\r\n\r\n%b" % (path, _HEAD, len(body), body))

    def _answered(self, status: int, head: bytes) -> None:
        playhead = self._asked.popleft()
        if status == 201:
            self._sid = head.partition(b"/api/v1/sessions/")[2][:64].decode()
        elif status != 204:
            self._tally.refused += 1
            return
        self._tally.acknowledged.append((self._sid, playhead))


async def post(url: str, tally: Tally, limit: int = 1_000_000) -> None:
    """Session after session, each on a connection of its own, until cancelled."""
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    while True:
        with suppress(OSError):  # the door is dead just now
            _, poster = await loop.create_connection(lambda: Poster(tally, limit), address.hostname, address.port)
            try:
                await poster.over
            finally:
                poster._transport.abort()
        await asyncio.sleep(0.01)
