"""Which parts make which process: one function for each kind, on one screen."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

from aiohttp import web

from deploy import embedded_file
from deploy.admin import Readiness, listen, listen_admin, make_admin, url_of
from deploy.embedded import EmbeddedLog, EmbeddedLogRefused, wall_clock
from deploy.failure import Failure
from deploy.front_door import FrontDoor
from deploy.page import Where, add_page
from deploy.process import (
    calm_collector,
    cut_short_after,
    serving,
    stop_on_signals,
    tls_context,
    until_ready,
    until_stopped,
)
from deploy.reading import open_reader
from deploy.secret_file import keep_secret
from deploy.settings import Settings
from deploy.telemetry import make_registry, worker_figures
from processors.counts import Counts
from processors.dialects import Dialects
from processors.ports import LaneGroup
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session_table import SessionTable
from processors.turns import LaneSettings
from processors.worker import Worker
from schemas import topics

__all__ = ["make_worker", "open_reader", "run_embedded"]


async def run_embedded(settings: Settings, announce: Callable[[Where], object]) -> None:
    """Door and lanes in one process on the embedded log, until a signal. Failure says why that cannot be."""
    async with AsyncExitStack() as stack:
        tls = tls_context(settings)
        door_socket = stack.enter_context(listen(settings.host, settings.port, setting="--port"))
        admin_socket = stack.enter_context(listen_admin(settings.host, settings.admin_port))
        where = Where(url_of(door_socket, tls), url_of(admin_socket), settings.data.absolute())
        log = await _open_embedded(settings)
        stack.push_async_callback(log.close)

        secret = settings.secret or keep_secret(settings.data, is_missed=log.has_events())
        door = FrontDoor(settings, log, secret)
        stack.callback(door.collector.close)
        group = log.lane_group(settings.group)
        worker = make_worker(settings, group)
        add_page(door.app, where, door.collector.counts, worker.counts)

        readiness = Readiness(*door.unready(), worker.unready)
        figures = (door.figures(), worker_figures(worker.counts))
        admin = web.AppRunner(make_admin(readiness, make_registry(*figures)), access_log=None)
        await stack.enter_async_context(serving(admin, admin_socket))
        give_up = partial(cut_short_after, settings.grace_stop_ms / 1000)
        stop = stop_on_signals(readiness.stop, door.drain, give_up)

        following = door.follow()
        working = asyncio.create_task(worker.run(), name="the worker")
        stack.push_async_callback(group.close)
        stack.push_async_callback(_finish, worker, working, *following)
        # Entered last, so the first to end: what it accepts until then, the lanes still commit.
        await stack.enter_async_context(door.serving(door_socket, tls, linger=False))

        if await until_ready(readiness, stop):
            calm_collector()
            announce(where)
        await until_stopped(stop, (working, *following))


async def _open_embedded(settings: Settings) -> EmbeddedLog:
    try:
        partitions = settings.partitions or _partitions_of(settings.data) or topics.DEFAULT_PARTITIONS
        return await EmbeddedLog.open(settings.data, partitions)
    except EmbeddedLogRefused as refused:
        raise Failure(str(refused)) from refused


def _partitions_of(data: Path) -> int | None:
    """How many partitions the log of this directory has; None when there is none, or none that can be read."""
    try:
        with closing(embedded_file.open_for_reading(data / embedded_file.FILE_NAME)) as connection:
            return embedded_file.partitions_in(connection)
    except EmbeddedLogRefused:  # opening it will say why
        return None


def make_worker(settings: Settings, group: LaneGroup) -> Worker:
    rules, counts = settings.rules(), Counts()
    listening = RoundwareRules(
        idle_timeout_ms=settings.roundware_idle_timeout_ms,
        heartbeat_interval_ms=rules.heartbeat_interval_ms,
        reorder_window_ms=rules.reorder_window_ms,
    )

    def make_fold(partition: int) -> Dialects:
        return Dialects(SessionTable(partition, rules, counts), RoundwareTable(partition, listening, counts))

    lanes = LaneSettings(commit_interval_seconds=settings.commit_interval_ms / 1000)
    return Worker(group, make_fold, wall_clock, lanes, counts)


async def _finish(worker: Worker, working: asyncio.Task[None], *following: asyncio.Task[None]) -> None:
    """Let every lane commit what it has read."""
    for task in following:
        task.cancel()
    if not working.done():
        await worker.stop()
    await asyncio.gather(working, *following, return_exceptions=True)
