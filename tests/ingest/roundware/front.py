"""A door on the embedded log that speaks Roundware, on a free port, and a client for it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
from aiohttp import web

from deploy.embedded import EmbeddedLog, wall_clock
from ingest.app import DOOR, Bearing, Door, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector, Rules
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.roundware.configuration import Configuration, IssuedToken, Project
from ingest.roundware.room import Room
from ingest.roundware.routes import add_roundware
from ingest.session_id import SessionKeys
from schemas import codec, roundware, topics
from schemas.events import Envelope
from tests.ingest.doors import LIFETIME_MS, SECRET, Answer, connection, request, until

DEVICE = {"device_id": "12891038109281", "client_type": "phone", "client_system": "iOS"}
PROJECTS = Configuration(projects={1: Project(1), 2: Project(2, geo_listen_enabled=False)})
STAFF = Configuration(tokens={"staff" * 8: IssuedToken("staff" * 8, "desk", "browser", staff=True)})


def session(**fields: Any) -> dict[str, Any]:
    return {"project_id": 1, "client_system": "iOS 8.1", **fields}


class Front(NamedTuple):
    """One door. `token` is who asks unless said otherwise."""

    port: int
    log: EmbeddedLog
    room: Room
    collector: Collector
    door: Door
    token: str

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = "",
    ) -> Answer:
        said = dict(headers or {})
        if isinstance(body, dict | list | str | int) or body is True:
            said = {"Content-Type": "application/json", **said}
        said_token = self.token if token == "" else token
        if said_token is not None:
            said = {"Authorization": f"token {said_token}", **said}
        async with connection(self.port) as client:
            answer = await client.ask(request(method, f"/api/2/{path}", body, said))
        assert answer.status not in {201, 500}, answer
        if answer.status != 204 and method != "HEAD":
            assert answer.document is not None, answer
            assert answer.headers["content-type"] == "application/json"
        return answer

    async def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send("POST", path, body, **more)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.send("GET", path, **more)

    async def form(self, path: str, fields: Mapping[str, Any], **more: Any) -> Answer:
        body = urlencode(fields).encode()
        return await self.post(path, body, headers={"Content-Type": "application/x-www-form-urlencoded"}, **more)

    async def multipart(self, path: str, fields: Mapping[str, Any], **more: Any) -> Answer:
        headers = {"Content-Type": "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk"}
        return await self.post(path, multipart(fields), headers=headers, **more)

    async def open(self, **fields: Any) -> int:
        answer = await self.post("sessions/", session(**fields))
        assert answer.status == 200, answer
        return int(answer.document["id"])

    async def listen(self, session: int, **fields: Any) -> int:
        started = {"starttime": "2022-01-02T03:04:05.678Z", "session": session, "asset": 1, **fields}
        answer = await self.post("listenevents/", started)
        assert answer.status == 200, answer
        return int(answer.document["id"])

    async def register(self, device: str, client_type: str = "web") -> str:
        answer = await self.post("users/", {"device_id": device, "client_type": client_type}, token=None)
        assert answer.status == 200, answer
        return str(answer.document["token"])

    async def envelopes(self) -> list[Envelope]:
        """What is on the log of events."""
        async for records in self.log.follow(topics.EVENTS.name):
            return [codec.decode_envelope(record.value or b"") for record in records or []]
        return []

    async def documents(self) -> list[roundware.Document]:
        return [roundware.decode(envelope.event) for envelope in await self.envelopes()]


def multipart(fields: Mapping[str, Any], boundary: str = "----WebKitFormBoundary7MA4YWxk") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + f"--{boundary}--\r\n").encode()


@asynccontextmanager
async def open_log(data: Path) -> AsyncIterator[EmbeddedLog]:
    log = await EmbeddedLog.open(data, 4)
    try:
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def open_front(
    log: Any,
    configuration: Configuration | None = None,
    *,
    door: int | None = None,
    clock: Any = wall_clock,
    secrets: tuple[bytes, ...] = (SECRET,),
    appends: Any = None,
    follows: bool = True,
    **rules: Any,
) -> AsyncIterator[Front]:
    """A door that is ready. `appends` is what it appends to, if that is another than what it follows."""
    collector = Collector(appends or log, SessionKeys(secrets), ClosedSessions(LIFETIME_MS), Rules(**rules), clock)
    room = Room(collector, appends or log, secrets, clock, configuration, door=door)
    app = make_app(collector, Bearing(peer_privacy="full"))
    add_roundware(app, room)
    runner = DoorRunner(app, connection=short_way(app[DOOR]), shutdown_timeout=5)
    async with AsyncExitStack() as stack:
        stack.callback(collector.close)
        if follows:
            following = asyncio.create_task(room.follow(log))
            stack.push_async_callback(_ended, following)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        if follows:
            await _ready(room)
        front = Front(runner.addresses[0][1], log, room, collector, app[DOOR], "")
        token = await front.register("12891038109281", "phone") if follows and appends is None else "0" * 40
        yield front._replace(token=token)


async def _ready(room: Room) -> None:
    async with asyncio.timeout(10):
        while room.unready():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def dumped(document: Any) -> bytes:
    return orjson.dumps(document)


__all__ = ["DEVICE", "PROJECTS", "STAFF", "Front", "dumped", "multipart", "open_front", "open_log", "session", "until"]
