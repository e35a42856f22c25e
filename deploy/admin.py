"""The operator's port: is it alive, is it ready, what does it count."""

import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Final, NamedTuple

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from deploy.failure import Failure
from deploy.settings import ADMIN_PORT_FROM

PORTS_TRIED: Final = 100
BACKLOG: Final = 1024
"""Connections that may wait on a listening socket."""

Reasons = Callable[[], Iterable[str]]
"""Why a part of the process cannot do its work now, in words for an operator; empty when it can."""


class PortTaken(Failure):
    """This port cannot be listened on; another one may be."""


class Where(NamedTuple):
    """Where a running process is to be found."""

    door: str | None
    admin: str
    name: str


class Readiness:
    """Ready when no part gives a reason against it and the process is not stopping."""

    def __init__(self, *parts: Reasons) -> None:
        self._stopping = False
        self._parts = parts

    def stop(self) -> None:
        """Not ready from now on, whatever the parts say."""
        self._stopping = True

    def reasons(self) -> list[str]:
        if self._stopping:
            return ["stopping"]
        return [reason for part in self._parts for reason in part()]


async def _nothing() -> None:
    pass


def make_admin(
    readiness: Readiness, registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]] = _nothing
) -> web.Application:
    """The three answers of the operator's port. `refresh` is awaited before what others have told is shown."""

    async def livez(_: web.Request) -> web.Response:
        return _json(200, {"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        await refresh()
        reasons = readiness.reasons()
        return _json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    async def metrics(_: web.Request) -> web.Response:
        await refresh()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """A listening socket, or a Failure that names the setting to change."""
    return listen_alike(host, port, 1, setting=setting)[0]


def listen_alike(host: str, port: int, count: int, *, setting: str) -> list[socket.socket]:
    """So many listening sockets on one port, between which the system spreads connections; or a Failure as above."""
    try:
        first = _bound(host, port)
        with ExitStack() as stack:
            sockets = [stack.enter_context(first)]
            if count > 1:
                # Not before it is bound: so that a port that somebody else shares already is refused as taken.
                first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound = first.getsockname()[1]
            sockets += [stack.enter_context(_bound(host, bound, is_shared=True)) for _ in range(1, count)]
            for sock in sockets:
                sock.listen(BACKLOG)
            stack.pop_all()
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = f"cannot listen on {host}:{port} ({reason})"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Failure(f"{sentence}: give an address of this machine with --host") from error
        raise PortTaken(f"{sentence}: free it or choose another with {setting}") from error
    return sockets


def listen_admin(host: str, port: int | None) -> socket.socket:
    """The given port, or the next free one from 8081 up."""
    if port is not None:
        return listen(host, port, setting="--admin-port")
    for candidate in range(ADMIN_PORT_FROM, ADMIN_PORT_FROM + PORTS_TRIED):
        with suppress(PortTaken):
            return listen(host, candidate, setting="--admin-port")
    raise Failure(
        f"no free port from {ADMIN_PORT_FROM} to {ADMIN_PORT_FROM + PORTS_TRIED - 1} for the operator: "
        "choose one with --admin-port"
    )


def _bound(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket, tls: ssl.SSLContext | None = None) -> str:
    host, port = sock.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def _json(status: int, document: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
