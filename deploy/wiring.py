"""Which parts make which process: one function for each kind, on one screen."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

from aiohttp import web

from deploy import embedded_file
from deploy.admin import Readiness, listen, listen_admin, make_admin, url_of
from deploy.embedded import EmbeddedLog, EmbeddedLogRefused, wall_clock
from deploy.failure import Failure
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
from deploy.telemetry import door_figures, make_registry, worker_figures
from ingest import collector as door_rules
from ingest.app import DOOR, Bearing, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.ports import EventLog
from ingest.roundware.configuration import Configuration, WrongConfiguration
from ingest.roundware.configuration import parse as parse_configuration
from ingest.roundware.room import Room
from ingest.roundware.routes import add_roundware
from ingest.session_id import SessionKeys
from processors.counts import Counts
from processors.dialects import Dialects
from processors.ports import LaneGroup
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session_table import SessionTable
from processors.turns import LaneSettings
from processors.worker import Worker
from schemas import topics, validation

__all__ = ["make_worker", "open_reader", "roundware_room", "rules_of_door", "run_embedded"]


async def run_embedded(settings: Settings, announce: Callable[[Where], object]) -> None:
    """Door and lanes in one process on the embedded log, until a signal. Failure says why that cannot be."""
    async with AsyncExitStack() as stack:
        tls = tls_context(settings)
        door_socket = stack.enter_context(listen(settings.host, settings.port, setting="--port"))
        admin_socket = stack.enter_context(listen_admin(settings.host, settings.admin_port))
        where = Where(url_of(door_socket, tls), url_of(admin_socket), settings.data.absolute())
        log = await _open_embedded(settings)
        stack.push_async_callback(log.close)

        closed = ClosedSessions(settings.session_cap_ms + settings.grace_ms)
        secret = settings.secret or keep_secret(settings.data)
        collector = Collector(log, SessionKeys(secret), closed, rules_of_door(settings), wall_clock)
        stack.callback(collector.close)
        app = make_app(collector, Bearing(peer_privacy=settings.peer_privacy))
        room = roundware_room(settings, collector, log, secret)
        add_roundware(app, room)
        group = log.lane_group(settings.group)
        worker = make_worker(settings, group)
        add_page(app, where, collector.counts, worker.counts)

        readiness = Readiness(app[DOOR].unready, room.unready, worker.unready)
        figures = (door_figures(collector.counts, lambda: len(closed)), worker_figures(worker.counts))
        admin = web.AppRunner(make_admin(readiness, make_registry(*figures)), access_log=None)
        await stack.enter_async_context(serving(admin, admin_socket))
        give_up = partial(cut_short_after, settings.grace_stop_ms / 1000)
        stop = stop_on_signals(readiness.stop, app[DOOR].drain, give_up)

        following = asyncio.create_task(closed.follow(log, wall_clock), name="following closed sessions")
        listing = asyncio.create_task(room.follow(log), name="following Roundware sessions")
        working = asyncio.create_task(worker.run(), name="the worker")
        quarter = settings.grace_stop_ms / 4000  # of the time to stop: to drain, to cut off who does not; half is left
        door = DoorRunner(app, connection=short_way(app[DOOR]), access_log=None, shutdown_timeout=quarter)
        stack.push_async_callback(group.close)
        stack.push_async_callback(_finish, worker, working, following, listing)
        # Entered last, so the first to end: what it accepts until then, the lanes still commit.
        serving_door = serving(
            door, door_socket, tls, in_flight=lambda: collector.counts.in_flight, drain_seconds=quarter
        )
        await stack.enter_async_context(serving_door)

        if await until_ready(readiness, stop):
            calm_collector()
            announce(where)
        await until_stopped(stop, (working, following, listing))


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


def rules_of_door(settings: Settings) -> door_rules.Rules:
    validation.prepare(settings.profile)  # before the first request, whose answer it would hold up
    return door_rules.Rules(
        profile=settings.profile,
        max_event_bytes=settings.max_event_bytes,
        max_batch_bytes=settings.max_batch_bytes,
        max_batch_events=settings.max_batch_events,
    )


def roundware_room(settings: Settings, collector: Collector, log: EventLog, secret: Sequence[bytes]) -> Room:
    """What a door needs for its second dialect. Failure says what is wrong with the file."""
    configuration = Configuration()
    if settings.roundware_file is not None:
        try:
            configuration = parse_configuration(settings.roundware_file.read_bytes())
        except (OSError, WrongConfiguration) as wrong:
            raise Failure(f"MEDIABEAT_ROUNDWARE_FILE {settings.roundware_file} cannot be used: {wrong}") from wrong
    return Room(collector, log, secret, wall_clock, configuration, door=settings.roundware_door)


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
