"""A door on a free port of this machine, and a client that sees every byte of its answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from ingest.app import DOOR, Bearing, Door, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector, Rules
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.session_id import SessionKeys
from tests.ingest.logs import MemoryLog

SECRET = b"a secret of this test, long enough"
NOW = 1_760_000_000_000
LIFETIME_MS = 86_400_000 + 60_000

TLS = Path(__file__).parents[1] / "e2e" / "tls"
"""A certificate for localhost that nobody else trusts, and its key."""

WAYS = {"short": short_way, "ordinary": lambda _door: None}


class Opening:
    """Which way doors are opened with; the fixture `way` changes it."""

    way = "short"


class StoppedClock:
    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sid(self) -> str:
        return self.headers["location"].removeprefix("/api/v1/sessions/")

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


class OpenDoor(NamedTuple):
    port: int
    log: MemoryLog
    keys: SessionKeys
    closed: ClosedSessions
    clock: StoppedClock
    collector: Collector
    door: Door
    runner: DoorRunner
    tls: bool

    def connect(self) -> Any:
        return connection(self.port, tls=self.tls)

    async def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        async with self.connect() as client:
            return await client.ask(request(method, path, body, headers))

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.send("POST", path, body, headers)

    async def start(self, **params: Any) -> str:
        answer = await self.post("/api/v1/sessions", session_start(**params))
        assert answer.status == 201, answer
        return answer.sid

    async def event(self, sid: str, document: Any) -> Answer:
        return await self.post(f"/api/v1/sessions/{sid}/events", document)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes) -> Answer:
        await self.write(data)
        return await self.answer(is_head=data.startswith(b"HEAD "))

    async def answer(self, *, is_head: bool = False) -> Answer:
        """The next final answer. asyncio.IncompleteReadError when the connection ends before it."""
        async with asyncio.timeout(10):
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                status = int(first.split(" ")[1])
                if status >= 200:
                    break
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = 0 if is_head else int(headers.get("content-length", "0"))
            return Answer(status, headers, await self.reader.readexactly(length))

    async def rest(self) -> bytes:
        """Everything until the door closes the connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()


@asynccontextmanager
async def connection(port: int, *, tls: bool = False) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=TLS / "cert.pem") if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def open_door(
    log: MemoryLog | None = None,
    *,
    bearing: Bearing | None = None,
    secrets: tuple[bytes, ...] = (SECRET,),
    clock: StoppedClock | None = None,
    way: str | None = None,
    tls: bool = False,
    shutdown_seconds: float = 5.0,
    **rules: Any,
) -> AsyncIterator[OpenDoor]:
    log = log or MemoryLog()
    clock = clock or StoppedClock()
    keys, closed = SessionKeys(secrets), ClosedSessions(LIFETIME_MS)
    collector = Collector(log, keys, closed, Rules(**rules), clock)
    app = make_app(collector, bearing)
    runner = DoorRunner(app, connection=WAYS[way or Opening.way](app[DOOR]), shutdown_timeout=shutdown_seconds)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context() if tls else None)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield OpenDoor(port, log, keys, closed, clock, collector, app[DOOR], runner, tls)
    finally:
        await runner.cleanup()
        collector.close()


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return context


def request(method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> bytes:
    content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: door.example", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content


def chunked(method: str, path: str, chunks: Iterable[bytes], headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: door.example", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body + b"0\r\n\r\n"


def event(event_type: str, playhead: float = 0, ts: int = 0, params: Any = None, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"eventType": event_type, "playerTime": {"playhead": playhead, "ts": ts}, **more}
    if params is not None:
        document["params"] = params
    return document


def session_start(playhead: float = 0, ts: int = 0, **params: Any) -> dict[str, Any]:
    required = {
        "analytics.trackingServer": "analytics_server",
        "analytics.reportSuite": "rsid",
        "visitor.marketingCloudOrgId": "org_id",
        "media.id": "media_id",
        "media.length": 1800,
        "media.contentType": "vod",
        "media.playerName": "player_name",
        "media.channel": "channel",
    }
    return event("sessionStart", playhead, ts, required | params)


PLAY = event("play", 1, 1000)
DOWNLOADED = {"media.downloaded": True}


def batch(*events: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    return [session_start(**(DOWNLOADED | params)), *events]


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until this holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - plain integers tell nobody when they change
            await asyncio.sleep(0)


def assert_cors(answer: Answer) -> None:
    assert answer.headers["access-control-allow-origin"] == "*", answer
    assert "location" in answer.headers["access-control-expose-headers"].lower(), answer
    assert "POST" in answer.headers["access-control-allow-methods"], answer
    assert "content-type" in answer.headers["access-control-allow-headers"].lower(), answer


def assert_reconciled(door: OpenDoor) -> None:
    counts = door.collector.counts
    assert counts.received == counts.accepted + counts.rejected + counts.failed, vars(counts)
    assert counts.received == counts.answered.total()
    assert (door.door.admission.requests, door.door.admission.held_bytes) == (0, 0)
