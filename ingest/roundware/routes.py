"""What stands where below `/api/2/`, with and without a trailing slash; who may ask, and how it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import hdrs, web

from ingest.app import DOOR, SERVER, Door, add_dialect
from ingest.problems import RETRY_AFTER_SECONDS, Problem, problem_of
from ingest.roundware import bodies, events, listens, sessions, streams, stubs
from ingest.roundware.bodies import Sent
from ingest.roundware.configuration import STUBS
from ingest.roundware.desk import Asked
from ingest.roundware.refusals import Refusal, not_found, wrong_method
from ingest.roundware.room import Room
from ingest.roundware.tokens import Caller
from schemas import codec

PATH: Final = r"/{prefix:(?:.*/)?}api{slashes:/+}2{rest:(?:/.*)?}"
"""Anything may stand before it, and slashes may be repeated, as in the other dialect."""

ALLOWED_METHODS: Final = "GET, POST, PATCH, DELETE, OPTIONS"
ALLOWED_HEADERS: Final = "accept, authorization, content-type, user-agent, x-requested-with"
PREFLIGHT_SECONDS: Final = 86_400

_ORDER: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_WITH_BODY: Final = frozenset({"POST", "PATCH"})
_NOBODY: Final = Caller(0, None, None)
_NOTHING: Final = Sent(None, b"null")
_NUMBER: Final = "#"
_DIGITS: Final = 16

Handler = Callable[[Asked], Awaitable[Any]]


class Route(NamedTuple):
    """One path: how it is counted, and a handler for each method. `is_open`: nobody need say who asks."""

    name: str
    methods: Mapping[str, Handler]
    is_open: bool = False
    reads_body: bool = True

    def allowed(self) -> list[str]:
        known = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return [method for method in _ORDER if method in known]


ROUTE: Final = web.RequestKey("route", Route)
_UNKNOWN: Final = Route("roundware-other", {})


def add_roundware(app: web.Application, room: Room) -> None:
    """Let the door of this application speak the Roundware API below any `/api/2/`."""
    front = Front(app[DOOR], room)
    add_dialect(app, PATH, front.handle, front)


def table(room: Room) -> dict[tuple[str, ...], Route]:
    """Every path in its parts, a number as `#`."""

    def at(name: str, **methods: Callable[..., Awaitable[Any]]) -> Route:
        return Route(f"roundware-{name}", {method: partial(of, room.desk) for method, of in methods.items()})

    def stub(handler: Callable[..., Awaitable[Any]], name: str) -> Route:
        return Route("roundware-stubs", {"GET": partial(handler, name, room.desk)})

    def sign(**methods: Callable[..., Awaitable[Any]]) -> Route:
        return at("streams", **methods)._replace(reads_body=False)

    routes = {
        (): Route("roundware-index", {"GET": _index}, is_open=True),
        ("users",): Route("roundware-users", {"POST": room.registry.post}, is_open=True),
        ("sessions",): at("sessions", GET=sessions.get_list, POST=sessions.post),
        ("sessions", _NUMBER): at("sessions", GET=sessions.get_one),
        ("events",): at("events", GET=events.get_list, POST=events.post),
        ("events", _NUMBER): at("events", GET=events.get_one),
        ("listenevents",): at("listenevents", GET=listens.get_list, POST=listens.post),
        ("listenevents", _NUMBER): at("listenevents", GET=listens.get_one, PATCH=listens.patch, DELETE=listens.delete),
        ("streams",): at("streams", POST=streams.post),
        ("streams", _NUMBER): at("streams", PATCH=streams.patch),
        ("streams", _NUMBER, "heartbeat"): sign(POST=streams.heartbeat),
        ("streams", _NUMBER, "pause"): sign(POST=streams.pause),
        ("streams", _NUMBER, "resume"): sign(POST=streams.resume),
        ("streams", _NUMBER, "kill"): sign(POST=streams.kill),
        ("streams", _NUMBER, "isactive"): sign(GET=streams.is_active),
        ("projects", _NUMBER): stub(stubs.of_project, "project"),
    }
    for name in set(STUBS) - {"project"}:
        routes["projects", _NUMBER, name] = stub(stubs.of_project, name)
        routes[name,] = stub(stubs.of_query, name)
    return routes


class Front:
    """The dialect's answers, whichever path was asked; see `app.Dialect`."""

    def __init__(self, door: Door, room: Room) -> None:
        self._door = door
        self._room = room
        self._table = table(room)
        self._origins = room.configuration.origins

    async def handle(self, request: web.Request) -> web.Response:
        route, number = self._found(request)
        if request.method == hdrs.METH_OPTIONS:
            return _described(route)
        if route is _UNKNOWN:
            raise not_found()
        caller = _NOBODY if route.is_open else self._room.gate.caller(request.headers.get(hdrs.AUTHORIZATION))
        handler = route.methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise wrong_method(request.method, route.allowed())
        sent, size = await self._sent(request, route)
        document = await handler(
            Asked(caller, number, dict(request.query), sent, self._door.shown(request.remote), size)
        )
        return web.Response(status=204) if request.method == "DELETE" else _json(200, document)

    def name(self, request: web.Request) -> str:
        route: Route = request.get(ROUTE, _UNKNOWN)
        return route.name

    def refuse(self, error: Exception) -> tuple[Problem, web.Response]:
        problem = problem_of(error)
        document = problem.document if isinstance(problem, Refusal) else {"detail": problem.message}
        response = _json(problem.status, document)
        if isinstance(problem, Refusal):
            response.headers.update(problem.headers)
        if problem.status == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if problem.closes:
            response.force_close()
        return problem, response

    def place(self, request: web.Request) -> tuple[str, str | None] | None:
        if request.method not in _WITH_BODY or request.get(ROUTE, _UNKNOWN) is _UNKNOWN:
            return None
        return f"/api/2/{'/'.join(_parts(request))}/", None

    def say_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """CORS as this API needs it; nothing of it for a page whose origin may not ask."""
        headers = response.headers
        headers[hdrs.SERVER] = SERVER
        origin = "*"
        if self._origins is not None:
            headers["Vary"] = "Origin"
            origin = request.headers.get(hdrs.ORIGIN, "")
            if origin not in self._origins:
                return
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        if request.method == hdrs.METH_OPTIONS:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ALLOWED_METHODS
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOWED_HEADERS
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_SECONDS)

    def _found(self, request: web.Request) -> tuple[Route, int]:
        parts, number = _parts(request), 0
        if len(parts) > 1 and parts[1].isascii() and parts[1].isdecimal() and len(parts[1]) <= _DIGITS:
            number = int(parts[1])
            parts = (parts[0], _NUMBER, *parts[2:])
        route = request[ROUTE] = self._table.get(parts, _UNKNOWN)
        return route, number

    async def _sent(self, request: web.Request, route: Route) -> tuple[Sent, int]:
        body = await self._door.body(request, self._door.bounds.event)
        if not route.reads_body or request.method not in _WITH_BODY:
            return _NOTHING, len(body)
        return bodies.read(body, request.headers.get(hdrs.CONTENT_TYPE, "")), len(body)


async def _index(_: Asked) -> Any:
    return {name: f"{name}/" for name in ("users", "sessions", "events", "listenevents", "streams")}


def _described(route: Route) -> web.Response:
    response = _json(200, {"name": route.name, "renders": [bodies.JSON], "parses": list(bodies.TYPES)})
    response.headers["Allow"] = ", ".join(route.allowed()) if route is not _UNKNOWN else ALLOWED_METHODS
    return response


def _parts(request: web.Request) -> tuple[str, ...]:
    return tuple(part for part in request.match_info["rest"].split("/") if part)


def _json(status: int, document: Any) -> web.Response:
    try:
        body = codec.encode(document)
    except TypeError:  # a client's text that JSON cannot say, quoted in a complaint
        body = codec.encode({"detail": "The request is refused"})
    return web.Response(status=status, body=body, content_type="application/json")
