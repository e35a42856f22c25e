"""What makes several front doors on one port one process to its operator."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from aiohttp import web

from deploy.admin import Readiness, Where, listen_admin, listen_alike, make_admin, url_of
from deploy.fork_server import ForkServer
from deploy.merged_figures import MergedFigures, families, registry_of
from deploy.process import cut_short_after, serving, stop_on_signals, tls_context, until_ready, until_stopped
from deploy.settings import Settings
from deploy.supervisor import Supervisor
from deploy.telemetry import Figure, Figures, make_registry

_LAST_WORDS: Final = 0.1
"""Of the time to stop: kept to kill who has not stopped by himself, and say so."""


async def run_doors(
    settings: Settings,
    processes: int,
    make_fork_server: Callable[[], ForkServer],
    fork_server: ForkServer,
    announce: Callable[[Where], object],
) -> None:
    """So many front doors and their supervisor, until a signal. Failure says why that cannot be."""
    tls = tls_context(settings)
    async with AsyncExitStack() as stack:
        stack.callback(fork_server.close)
        listening = listen_alike(settings.host, settings.port, processes, setting="--port")
        for sock in listening:
            stack.enter_context(sock)
        admin_socket = stack.enter_context(listen_admin(settings.host, settings.admin_port))
        where = Where(url_of(listening[0], tls), url_of(admin_socket), "ingest")

        own = make_registry()
        figures = MergedFigures(lambda: [families(own), *supervisor.snapshots()])
        supervisor = Supervisor(listening, make_fork_server, figures.keep, fork_server=fork_server)
        readiness = Readiness(supervisor.unready)
        registry = registry_of(figures, Figures(_figures(supervisor, processes)))
        admin = web.AppRunner(make_admin(readiness, registry, supervisor.refresh), access_log=None)
        await stack.enter_async_context(serving(admin, admin_socket))

        grace_seconds = settings.grace_stop_ms / 1000
        stop = stop_on_signals(readiness.stop, partial(cut_short_after, grace_seconds))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervisor.renew)
        stack.push_async_callback(supervisor.stop, grace_seconds * (1 - _LAST_WORDS))
        keeping = asyncio.create_task(supervisor.run(), name="the supervisor")
        starting = asyncio.create_task(until_ready(readiness, stop))
        await asyncio.wait([keeping, starting], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            starting.cancel()
            keeping.result()
        if starting.result():
            announce(where)
        await until_stopped(stop, (keeping,))


def _figures(supervisor: Supervisor, processes: int) -> tuple[Figure, ...]:
    return (
        Figure("mediabeat_doors", "gauge", "Front doors that share the port.", lambda: processes),
        Figure("mediabeat_doors_ready", "gauge", "Those that are ready.", supervisor.ready_doors),
        Figure(
            "mediabeat_doors_ended",
            "counter",
            "Front doors that ended though nobody stopped them.",
            lambda: supervisor.ended_unbidden,
        ),
        Figure(
            "mediabeat_door_requests_received",
            "counter",
            "Requests by door: how evenly connections are spread.",
            supervisor.received,
            ("door",),
        ),
    )
