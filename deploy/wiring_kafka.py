"""Which parts make a front door and a worker on Kafka: one function for each, on one screen."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Protocol, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry

from deploy.admin import Readiness, Where, listen, listen_admin, make_admin, url_of
from deploy.door_line import Line
from deploy.failure import Failure
from deploy.front_door import FrontDoor
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log, lane_group
from deploy.kafka_settings import kafka_clients
from deploy.process import (
    DOORS_YOUNG_OBJECTS,
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
from deploy.telemetry import Figure, make_registry, worker_figures
from deploy.topic_admin import TopicsUnfit, partitions_of_all
from deploy.wiring import make_worker
from ingest.kafka import KafkaLog
from processors.worker import Worker
from schemas.records import LogUnavailable

Log = TypeVar("Log")


class Operator(Protocol):
    """Whom a front door tells how it fares, and who tells it to stop."""

    def telling(self, readiness: Readiness, registry: CollectorRegistry) -> AbstractAsyncContextManager[None]: ...
    def stop_event(self, *at_once: Callable[[], object]) -> asyncio.Event: ...
    def ready(self) -> None: ...


class OwnPort:
    """An operator's port of this process, and its signals."""

    def __init__(self, admin_socket: socket.socket, announce: Callable[[], object]) -> None:
        self._socket = admin_socket
        self._announce = announce

    def telling(self, readiness: Readiness, registry: CollectorRegistry) -> AbstractAsyncContextManager[None]:
        return serving(web.AppRunner(make_admin(readiness, registry), access_log=None), self._socket)

    def stop_event(self, *at_once: Callable[[], object]) -> asyncio.Event:
        return stop_on_signals(*at_once)

    def ready(self) -> None:
        self._announce()


async def run_ingest(settings: Settings, announce: Callable[[Where], object]) -> None:
    """One front door on Kafka, until a signal. Failure says why that cannot be."""
    tls = tls_context(settings)
    with (
        listen(settings.host, settings.port, setting="--port") as door_socket,
        listen_admin(settings.host, settings.admin_port) as admin_socket,
    ):
        where = Where(url_of(door_socket, tls), url_of(admin_socket), "ingest")
        await _serve_door(settings, door_socket, tls, OwnPort(admin_socket, partial(announce, where)))


async def run_supervised(settings: Settings, door_socket: socket.socket, line_socket: socket.socket) -> None:
    """One front door of several on a port, until its supervisor says so or is gone."""
    line = await Line.open(line_socket)
    failure: str | None = "it broke: the log says more"
    try:
        await _serve_door(settings, door_socket, tls_context(settings), line)
        failure = None
    except Failure as told:
        failure = str(told)
    finally:
        await line.close(failure=failure)


async def _serve_door(
    settings: Settings, door_socket: socket.socket, tls: ssl.SSLContext | None, operator: Operator
) -> None:
    if not settings.secret:
        raise Failure("set MEDIABEAT_SECRET: every front door signs and verifies session ids with the same one")
    clients = kafka_clients(settings)
    async with AsyncExitStack() as stack:
        await _ready_topics(clients, settings)
        log = await _opened(stack.enter_async_context(door_log(clients)))

        door = FrontDoor(settings, log, settings.secret)
        stack.callback(door.collector.close)

        readiness = Readiness(*door.unready())
        figures = (door.figures(), _log_figures(log))
        await stack.enter_async_context(operator.telling(readiness, make_registry(*figures)))
        give_up = partial(cut_short_after, settings.grace_stop_ms / 1000)
        stop = operator.stop_event(readiness.stop, door.drain, give_up)

        following = door.follow()
        stack.push_async_callback(_cancelled, *following)
        await stack.enter_async_context(door.serving(door_socket, tls, linger=True))

        if await until_ready(readiness, stop):
            calm_collector(DOORS_YOUNG_OBJECTS)
            operator.ready()
        await until_stopped(stop, following)


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


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
