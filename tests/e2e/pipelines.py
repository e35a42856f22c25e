"""Clients that send many requests ahead on a connection, and check each answer against what they asked."""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from tests.e2e.players import event, now_ms, start
from tests.e2e.running import TLS

AHEAD = 16
"""Requests that are sent before their answers have come."""

COMMON, ODD, REFUSED = "common", "odd", "refused"
STATUS: Mapping[str, int] = {COMMON: 204, ODD: 204, REFUSED: 400}


@dataclass
class Pipeline:
    """One connection with one session. `acknowledged`: playheads of events that were answered 204.

    `wrong`: answers that do not belong to the request whose turn it was. `torn`: what came of an answer cut off.
    """

    seed: int
    sid: str = ""
    answers: int = 0
    acknowledged: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    torn: bytes = b""

    async def run(self, url: str) -> None:
        """Until the door ends the connection."""
        async with _connected(url) as (reader, writer):
            body = orjson.dumps(start(now_ms()))
            writer.write(_post("/api/v1/sessions", body))
            head = await reader.readuntil(b"\r\n\r\n")
            self.sid = head.partition(b"/api/v1/sessions/")[2][:64].decode()
            asked: deque[tuple[str, int]] = deque()
            asking = asyncio.create_task(self._ask(writer, asked))
            try:
                await self._read(reader, asked)
            finally:
                asking.cancel()

    async def _ask(self, writer: asyncio.StreamWriter, asked: deque[tuple[str, int]]) -> None:
        chance, playhead = random.Random(self.seed), 0
        with suppress(OSError):
            while True:
                while len(asked) < AHEAD:
                    kind = chance.choice([COMMON, COMMON, COMMON, ODD, REFUSED])
                    playhead += 1
                    asked.append((kind, playhead))
                    body = b"{" if kind == REFUSED else orjson.dumps(event("ping", now_ms(), playhead))
                    # A tab is allowed in a value, and nothing that players send: the short way leaves it.
                    writer.write(
                        _post(f"/api/v1/sessions/{self.sid}/events", body, "X: a\tb\r\n" if kind == ODD else "")
                    )
                await writer.drain()
                await asyncio.sleep(0)

    async def _read(self, reader: asyncio.StreamReader, asked: deque[tuple[str, int]]) -> None:
        with suppress(ConnectionError):
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError as ended:
                    self.torn = ended.partial
                    return
                lines = head.lower().split(b"\r\n")
                length = next((int(line[16:]) for line in lines if line.startswith(b"content-length: ")), 0)
                await reader.readexactly(length)
                self._answered(head, *asked.popleft())

    def _answered(self, head: bytes, kind: str, playhead: int) -> None:
        self.answers += 1
        status = int(head[9:12])
        if status == 204 and kind != REFUSED:
            self.acknowledged.append(playhead)
        elif status not in {STATUS[kind], 503}:
            self.wrong.append(f"{kind} {playhead}: {status}")


def _post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(url)
    context = ssl.create_default_context(cafile=TLS / "cert.pem") if address.scheme == "https" else None
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


FLOODS = (
    b"OPTIONS /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
    b"GET /api/v1/schemas/sessionStart HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
)
"""Cheap to answer, on the short way and on the ordinary one."""


async def never_reads(url: str, flood: bytes) -> None:
    """Ask and ask, and take nothing of what is answered but the first head, until it is cut off."""
    async with _connected(url) as (reader, writer):
        writer.write(flood)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        with suppress(OSError):
            while not writer.is_closing():
                writer.write(flood)
                await writer.drain()
                await asyncio.sleep(0)
