"""What every long-running process does: stop on a signal, serve on a socket, end when one of its tasks ends."""

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from deploy.admin import BACKLOG, Readiness
from deploy.failure import Failure
from deploy.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.01
_SAY_SECONDS: Final = 5.0
_TURNS: Final = 20  # of the loop, to take the connections that wait now: a socket that closes cuts them off
YOUNG_OBJECTS: Final = 200_000  # more than any batch holds at once: then what is looked at is what has stayed
DOORS_YOUNG_OBJECTS: Final = 2_000  # a refused request leaves cycles behind: 200,000 such objects hold a door up 0.4 s
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals(*at_once: Callable[[], object]) -> asyncio.Event:
    """Set by SIGTERM and SIGINT, after all of `at_once` were called. A second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        # What is unfinished then is as after a crash: nothing acknowledged is lost by it.
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        for call in at_once:
            call()
        stop.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    return stop


@asynccontextmanager
async def serving(
    runner: web.AppRunner,
    sock: socket.socket,
    tls: ssl.SSLContext | None = None,
    *,
    in_flight: Callable[[], int] = lambda: 0,
    drain_seconds: float = 0.0,
    linger_seconds: float = 0.0,
) -> AsyncIterator[None]:
    """Serve on a listening socket. At the end take no new connection, and let what is being asked be answered.

    aiohttp drops what arrives once its clean-up has begun, the rest of a body included: so up to `drain_seconds` are
    waited before it while requests are in flight. Every answer then says that its connection ends, so that a client
    that never pauses comes to an end too. For up to `linger_seconds` connections are kept; see `_drained`.
    """
    is_over = False

    async def say_over(_: web.Request, response: web.StreamResponse) -> None:
        if is_over:
            response.headers["Connection"] = "close"
            response.force_close()

    runner.app.on_response_prepare.append(say_over)
    await runner.setup()
    site = web.SockSite(runner, sock, ssl_context=tls, backlog=BACKLOG)
    try:
        await site.start()
        yield
        is_over = True
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await site.stop()
        assert runner.server is not None
        await _drained(runner.server, in_flight, drain_seconds, linger_seconds)
    finally:
        await runner.cleanup()


async def _drained(
    server: web.Server, in_flight: Callable[[], int], drain_seconds: float, linger_seconds: float
) -> None:
    """Wait while requests are in flight, and for up to `linger_seconds` for connections that are not being asked.

    Their next answer can say then that it is the last: a client cannot tell a connection that ended silently before
    its request was read from one that ended after.
    """
    began_at = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(max(drain_seconds, linger_seconds)):
            while (  # noqa: ASYNC110 - plain counters wake nobody
                in_flight() or (server.connections and time.monotonic() < began_at + linger_seconds)
            ):
                await asyncio.sleep(_LOOK_SECONDS)


async def until_ready(readiness: Readiness, stop: asyncio.Event) -> bool:
    """Wait until there is no reason against it; say so when that takes long. False: it was told to stop before."""
    say_at = time.monotonic() + _SAY_SECONDS
    while reasons := readiness.reasons():
        if stop.is_set():
            return False
        if time.monotonic() > say_at:
            logger.warning("not ready yet: %s", "; ".join(reasons))
            say_at += _SAY_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
    return True


async def until_stopped(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for the signal. A task that ends before it ends the whole process: Failure names it."""
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for task in done - {stopped}:
        error = task.exception()
        logger.error("%s ended", task.get_name(), exc_info=error)
        reason = f"failed ({error})" if error else "ended although nobody stopped it"
        raise Failure(f"{task.get_name()} {reason}: the log says more; what is on the log is safe, start again")


def cut_short_after(seconds: float) -> None:
    """End the process after so long, whatever it is doing: as after a crash, nothing acknowledged is lost by it."""

    def give_up() -> None:
        logger.warning("the stop took longer than %g s and was cut short; the next start goes on from there", seconds)
        logging.shutdown()
        os._exit(0)

    # A thread: the loop may be what hangs.
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def calm_collector(young: int = YOUNG_OBJECTS) -> None:
    """Let the cyclic collector look rarely, and never again at what the start has made.

    Every batch makes tens of thousands of objects and hardly a cycle among them: at Python's own thresholds looking
    for cycles is up to a third of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 10, 50)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The front door's TLS, if it is to speak it."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Failure(f"cannot use MEDIABEAT_TLS_CERT and MEDIABEAT_TLS_KEY ({error}): both must be PEM") from error
    return context
