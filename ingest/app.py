"""The routes of the Media Collection API, and what every answer has in common."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from ingest.admission import Admission
from ingest.bodies import Bounds, is_array, read_body
from ingest.collector import Collector
from ingest.counts import CLIENT_GONE
from ingest.dialect import Dialect, Handler
from ingest.peers import PeerPrivacy, shown_peer
from ingest.problems import ClientGone, Problem, answer, problem_of
from schemas.validation import published

CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "OPTIONS,POST,PUT",
    "Access-Control-Allow-Headers": "Content-Type, X-Adobe-AEP-Validation-Token, User-Agent",
    "Access-Control-Expose-Headers": "Location",
}
"""On every answer, errors too: without them a browser shows its page a network error instead of the status.

PUT is as the API documents it; no path takes it.
"""

SERVER: Final = "mediabeat"
PREFLIGHT_SECONDS: Final = 86_400
SCHEMA_SECONDS: Final = 3_600
_ROOM_BYTES: Final = 64 * 1024 * 1024

SESSIONS: Final = "sessions"
EVENTS: Final = "events"
DOWNLOADED: Final = "downloaded"
SCHEMAS: Final = "schemas"

# Anything may stand before /api/v1, and slashes may be repeated or trail: clients are configured so, and a redirect
# of a POST is fatal to some. The path as most write it stands first, for it is found quicker.
_API: Final = r"/{prefix:(?:.*/)?}api{slashes_1:/+}v1{slashes_2:/+}"
_PATHS: Final = {
    SESSIONS: ("/api/v1/sessions", _API + "sessions{end:/*}"),
    EVENTS: (
        "/api/v1/sessions/{sid}/events",
        _API + "sessions{slashes_3:/+}{sid:[^/]+}{slashes_4:/+}events{end:/*}",
    ),
    DOWNLOADED: ("/api/v1/downloaded", _API + "{name:downloaded|downloads}{end:/*}"),
    SCHEMAS: ("/api/v1/schemas/{event_type}", _API + "schemas{slashes_3:/+}{event_type:[^/]+}{end:/*}"),
}
_CANONICAL: Final = {
    SESSIONS: "/api/v1/sessions",
    EVENTS: "/api/v1/sessions/{sid}/events",
    DOWNLOADED: "/api/v1/downloaded",
}

_HEADER_LIST: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}").fullmatch

HELD: Final = web.RequestKey("held", int)
"""Bytes that this request has taken of the door's bound."""

BODY: Final = web.RequestKey("body", bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """How the door bears itself towards its clients, in values.

    `body_seconds`: within which a body must be whole. `lingering_seconds`: how long the rest of a body that was
    refused is still read, so that its sender sees the answer. `keepalive_seconds`: how long a connection may be idle,
    or dawdle over a head. `max_requests` and `max_bytes` bound what is being answered at once; without a number of
    bytes 64 MiB, or two of the largest batches.
    """

    peer_privacy: PeerPrivacy = "truncated"
    body_seconds: float = 20.0
    lingering_seconds: float = 5.0
    keepalive_seconds: float = 75.0
    max_requests: int = 10_000
    max_bytes: int | None = None


def add_dialect(app: web.Application, path: str, handler: Handler, dialect: Dialect) -> None:
    """Let one handler answer every request at a path, whatever its method, in a dialect of its own."""
    app[DOOR].dialects[handler] = dialect
    app.router.add_resource(path).add_route(hdrs.METH_ANY, handler, expect_handler=_expect)


def make_app(collector: Collector, bearing: Bearing | None = None) -> web.Application:
    """The front door as an aiohttp application; to be served by `framing.DoorRunner`.

    Further pages may be added to its router: what is not under `/api/v1` is free.
    """
    bearing = bearing or Bearing()
    door = Door(collector, bearing)
    app = web.Application(
        middlewares=[door.answering],
        # We decompress ourselves, within our bounds. Header limits are aiohttp's: a line over 8 KiB is a 400.
        handler_args={
            "auto_decompress": False,
            "lingering_time": bearing.lingering_seconds,
            "keepalive_timeout": bearing.keepalive_seconds,
            "access_log": None,
        },
    )
    app[DOOR] = door
    for name, methods in {
        SESSIONS: {hdrs.METH_POST: door.post_session},
        EVENTS: {hdrs.METH_POST: door.post_event},
        DOWNLOADED: {hdrs.METH_POST: door.post_batch},
        SCHEMAS: {hdrs.METH_GET: door.get_schema, hdrs.METH_HEAD: door.get_schema},
    }.items():
        door.names.update(dict.fromkeys(methods.values(), name))
        for path in _PATHS[name]:
            resource = app.router.add_resource(path)
            for method, handler in (methods | {hdrs.METH_OPTIONS: door.preflight}).items():
                resource.add_route(method, handler, expect_handler=_expect)
    return app


class Door:
    """The handlers. Each reads what came, hands it to the collector and says how that went."""

    def __init__(self, collector: Collector, bearing: Bearing) -> None:
        self.collector = collector
        self.counts = collector.counts
        self.admission = Admission(
            bearing.max_requests, bearing.max_bytes or max(_ROOM_BYTES, 2 * collector.rules.max_batch_bytes)
        )
        self.asking_ahead = asyncio.Lock()
        """Held between two requests that a client has sent without waiting for an answer."""
        self.names: dict[Handler, str] = {}
        self.dialects: dict[Handler, Dialect] = {}
        self.bearing = bearing
        self.bounds = Bounds(collector.rules.max_event_bytes, collector.rules.max_batch_bytes)

    async def post_session(self, request: web.Request) -> web.Response:
        body = await self.body(request, self.bounds.either)
        if is_array(body):
            return created(await self.collector.start_batch(body, self._peer(request), must_say_downloaded=True))
        return created(await self.collector.start(body, self._peer(request)))

    async def post_event(self, request: web.Request) -> web.Response:
        sid = request.match_info["sid"]
        self.collector.admit(sid)
        body = await self.body(request, self.bounds.event)
        await self.collector.collect(sid, body, self._peer(request))
        return web.Response(status=204)

    async def post_batch(self, request: web.Request) -> web.Response:
        body = await self.body(request, self.bounds.batch)
        return created(await self.collector.start_batch(body, self._peer(request), must_say_downloaded=False))

    async def get_schema(self, request: web.Request) -> web.Response:
        document = published(request.match_info["event_type"])
        if document is None:
            raise Problem("not_found", "There is no event type of this name")
        etag = f'"{sha256(document).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={SCHEMA_SECONDS}"}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=document, content_type="application/json", headers=headers)

    async def preflight(self, request: web.Request) -> web.Response:
        return allowed(request.headers.get("Access-Control-Request-Headers", ""))

    @web.middleware
    async def answering(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around every request: its place, its answer whatever happens, and its count."""
        dialect = self.dialects.get(request.match_info.handler, self)
        status = CLIENT_GONE
        self.counts.request_received()
        self.counts.ordinary += 1
        try:
            self.admission.enter()
            response = await handler(request)
            status = response.status
        except ClientGone:
            response = answer(Problem("malformed_request", "The connection ended", closes=True))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is answered
            problem, response = dialect.refuse(error)
            status = problem.status
            self._copy_to_rejects(request, problem, dialect.place(request))
            # Its frames hold the request, and the request or this frame holds it: only the collector would free them.
            error.__traceback__ = None
        finally:
            self.admission.leave(request.get(HELD, 0))
            self.counts.request_over(dialect.name(request), status)
        dialect.say_headers(request, response)
        return response

    def answer_unrouted(self, error: Exception, *, closes: bool) -> web.Response:
        """Answer and count what failed before it came to `answering`: it carries its headers itself."""
        problem = problem_of(error)
        problem.closes = closes
        self.counts.request_received()
        self.counts.ordinary += 1
        self.counts.request_over("unframed" if closes else "other", problem.status)
        response = answer(problem)
        say_cors(response)
        return response

    def drain(self) -> None:
        """A stop has begun: not ready any more, while what is accepted is finished."""
        self.admission.draining = True

    def unready(self) -> list[str]:
        """Why requests should not come here now; empty when they may."""
        reason = self.admission.unready()
        return [*([reason] if reason else []), *self.collector.unready()]

    async def body(self, request: web.Request, limit_of: Callable[[bytes | bytearray], int]) -> bytes:
        """The whole body, decompressed, within the door's bounds. Problem, ClientGone; see `bodies.read_body`."""

        def hold(size: int) -> None:
            request[HELD] = request.get(HELD, 0) + size
            self.admission.hold(size)

        encoding = request.headers.get("Content-Encoding", "")
        body = await read_body(request.content, encoding, limit_of, self.bearing.body_seconds, hold)
        request[BODY] = body
        return body

    def shown(self, address: str | None) -> str | None:
        """A client's address as records may carry it."""
        return shown_peer(address, self.bearing.peer_privacy)

    def _peer(self, request: web.Request) -> str | None:
        return self.shown(request.remote)

    def _copy_to_rejects(self, request: web.Request, problem: Problem, place: tuple[str, str | None] | None) -> None:
        if place is not None:
            body = problem.body or request.get(BODY, b"")
            self.collector.offer_reject(problem, *place, body, self._peer(request))

    # The dialect of the Media Collection API.

    def name(self, request: web.Request) -> str:
        if request.method == hdrs.METH_OPTIONS:
            return "preflight"
        return self.names.get(request.match_info.handler, "other")

    def place(self, request: web.Request) -> tuple[str, str | None] | None:
        endpoint, sid = _CANONICAL.get(self.name(request)), request.match_info.get("sid")
        return None if endpoint is None else (endpoint.format(sid=sid), sid)

    def refuse(self, error: Exception) -> tuple[Problem, web.Response]:
        problem = problem_of(error)
        response = answer(problem)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
        return problem, response

    def say_headers(self, request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG002
        say_cors(response)


def say_cors(response: web.StreamResponse) -> None:
    """What every answer says, whichever way it goes."""
    headers = response.headers
    for name, value in CORS.items():
        headers.setdefault(name, value)
    headers[hdrs.SERVER] = SERVER


DOOR: Final = web.AppKey("door", Door)


def allowed(asked: str) -> web.Response:
    """The answer to a preflight that asked for these headers."""
    headers = {"Access-Control-Max-Age": str(PREFLIGHT_SECONDS)}
    if _HEADER_LIST(asked):
        headers["Access-Control-Allow-Headers"] = asked
    return web.Response(status=204, headers=headers)


def created(sid: str) -> web.Response:
    """The answer to a session start."""
    # Never a host or a prefix: browsers' clients take the fourth part of it as the id.
    return web.Response(status=201, headers={"Location": f"/api/v1/sessions/{sid}"})


async def _expect(request: web.Request) -> None:
    # An expectation we do not know is passed over, as RFC 9110 allows: 417 would be lost data to a client.
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
