"""The operator's port: is it alive, is it ready, what does it count."""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from deploy.failure import Failure
from deploy.settings import ADMIN_PORT_FROM

PORTS_TRIED: Final = 100

Reasons = Callable[[], Iterable[str]]
"""Why a part of the process cannot do its work now, in words for an operator; empty when it can."""


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


def make_admin(readiness: Readiness, registry: CollectorRegistry) -> web.Application:
    """The three answers of the operator's port."""

    async def livez(_: web.Request) -> web.Response:
        return _json(200, {"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        reasons = readiness.reasons()
        return _json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def listen(host: str, port: int, *, setting: str, reuse_port: bool = False) -> socket.socket:
    """A listening socket, or a Failure that names the setting to change."""
    try:
        return _listening(host, port, reuse_port=reuse_port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failure(f"cannot listen on {host}:{port} ({reason}): free it or choose another with {setting}") from error


def listen_admin(host: str, port: int | None) -> socket.socket:
    """The given port, or the next free one from 8081 up."""
    if port is not None:
        return listen(host, port, setting="--admin-port")
    for candidate in range(ADMIN_PORT_FROM, ADMIN_PORT_FROM + PORTS_TRIED):
        with suppress(OSError):
            return _listening(host, candidate)
    raise Failure(
        f"no free port from {ADMIN_PORT_FROM} to {ADMIN_PORT_FROM + PORTS_TRIED - 1} for the operator: "
        "choose one with --admin-port"
    )


def _listening(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _json(status: int, document: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")
