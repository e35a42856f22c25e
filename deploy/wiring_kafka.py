"""Which parts make a front door and a worker on Kafka: one function for each, on one screen."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple, TypeVar

from aiohttp import web

from deploy.admin import Readiness, listen, listen_admin, make_admin
from deploy.embedded import wall_clock
from deploy.failure import Failure
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log, lane_group
from deploy.kafka_settings import kafka_clients
from deploy.process import (
    calm_collector,
    cut_short_after,
    serving,
    stop_on_signals,
    tls_context,
    until_ready,
    until_stopped,
)
from deploy.settings import Settings
from deploy.slots import Slot, SlotTaken, lock_directory, take_slot
from deploy.telemetry import Figure, door_figures, make_registry, worker_figures
from deploy.topic_admin import TopicsUnfit, partitions_of_all
from deploy.wiring import make_worker, rules_of_door, url_of
from ingest.app import DOOR, Bearing, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.kafka import KafkaLog
from ingest.session_id import SessionKeys
from processors.worker import Worker
from schemas.records import LogUnavailable

Log = TypeVar("Log")


class Where(NamedTuple):
    """Where a running process is to be found."""

    door: str | None
    admin: str
    name: str


async def run_ingest(settings: Settings, announce: Callable[[Where], object], *, reuse_port: bool = False) -> None:
    """One front door on Kafka, until a signal. Failure says why that cannot be."""
    if not settings.secret:
        raise Failure("set MEDIABEAT_SECRET: every front door signs and verifies session ids with the same one")
    clients = kafka_clients(settings)
    async with AsyncExitStack() as stack:
        tls = tls_context(settings)
        listening = listen(settings.host, settings.port, setting="--port", reuse_port=reuse_port)
        door_socket = stack.enter_context(listening)
        admin_socket = stack.enter_context(listen_admin(settings.host, settings.admin_port))
        await _ready_topics(clients, settings)
        log = await _opened(stack.enter_async_context(door_log(clients)))

        closed = ClosedSessions(settings.session_cap_ms + settings.grace_ms)
        collector = Collector(log, SessionKeys(settings.secret), closed, rules_of_door(settings), wall_clock)
        stack.callback(collector.close)
        app = make_app(collector, Bearing(peer_privacy=settings.peer_privacy))

        readiness = Readiness(app[DOOR].unready)
        figures = (door_figures(collector.counts, lambda: len(closed)), _log_figures(log))
        admin = web.AppRunner(make_admin(readiness, make_registry(*figures)), access_log=None)
        await stack.enter_async_context(serving(admin, admin_socket))
        stop = stop_on_signals(readiness.stop, app[DOOR].drain, partial(cut_short_after, settings.grace_stop_ms / 1000))

        following = asyncio.create_task(closed.follow(log, wall_clock), name="following closed sessions")
        stack.push_async_callback(_cancelled, following)
        quarter = settings.grace_stop_ms / 4000
        door = DoorRunner(app, connection=short_way(app[DOOR]), access_log=None, shutdown_timeout=quarter)
        serving_door = serving(
            door, door_socket, tls, in_flight=lambda: collector.counts.in_flight, drain_seconds=quarter
        )
        await stack.enter_async_context(serving_door)

        if await until_ready(readiness, stop):
            calm_collector()
            announce(Where(url_of(door_socket, tls), url_of(admin_socket), "ingest"))
        await until_stopped(stop, (following,))


async def run_worker(settings: Settings, announce: Callable[[Where], object]) -> None:
    """The lanes of one worker on Kafka, until a signal. Failure says why that cannot be."""
    clients = kafka_clients(settings)
    async with AsyncExitStack() as stack:
        admin_socket = stack.enter_context(listen_admin(settings.host, settings.admin_port))
        slot = stack.enter_context(_slot(settings))
        await _ready_topics(clients, settings)
        group = await _opened(stack.enter_async_context(lane_group(clients, settings.group, slot.name)))

        worker = make_worker(settings, group)
        readiness = Readiness(worker.unready)
        admin = web.AppRunner(make_admin(readiness, make_registry(worker_figures(worker.counts))), access_log=None)
        await stack.enter_async_context(serving(admin, admin_socket))
        stop = stop_on_signals(readiness.stop, partial(cut_short_after, settings.grace_stop_ms / 1000))

        working = asyncio.create_task(worker.run(), name="the worker")
        stack.push_async_callback(_drained, worker, working)
        if await until_ready(readiness, stop):
            calm_collector()
            announce(Where(None, url_of(admin_socket), slot.name))
        await until_stopped(stop, (working,))


def _slot(settings: Settings) -> Slot:
    assert settings.bootstrap is not None
    try:
        return take_slot(lock_directory(settings.bootstrap, settings.group), socket.gethostname(), settings.slot)
    except SlotTaken as taken:
        raise Failure(str(taken)) from taken


async def _ready_topics(clients: KafkaClients, settings: Settings) -> None:
    try:
        await partitions_of_all(clients, settings.partitions)
    except (TopicsUnfit, LogUnavailable) as unfit:
        raise Failure(str(unfit)) from unfit


async def _opened(opening: Awaitable[Log]) -> Log:
    try:
        return await opening
    except LogUnavailable as away:
        raise Failure(str(away)) from away


def _log_figures(log: KafkaLog) -> tuple[Figure, ...]:
    return (
        Figure("mediabeat_producers_replaced", "counter", "Producers thrown away.", lambda: log.rebuilds),
        Figure(
            "mediabeat_records_unknown",
            "counter",
            "Records of which Kafka did not say in time whether it has them.",
            lambda: log.unknown_outcomes,
        ),
    )


async def _drained(worker: Worker, working: asyncio.Task[None]) -> None:
    """Let every lane commit what it has read."""
    if not working.done():
        await worker.stop()
    await asyncio.gather(working, return_exceptions=True)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
