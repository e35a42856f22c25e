"""A supervised front door's end of the line to its supervisor.

Over a pair of sockets, one line a message. The door tells {"pid"}, then {"reasons","figures"} every second and whenever
it is asked, and at the end {"over"} or {"failure"}. The supervisor asks ASK, and says STOP. When the line breaks the
supervisor is gone: then the door stops as well, so that it never outlives it for long.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry

from deploy.admin import Readiness
from deploy.merged_figures import document_of, families

ASK: Final = b"state\n"
STOP: Final = b"stop\n"
TELL_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Line:
    """To be opened by the door as its first act: until it serves, a word to stop ends the process on the spot."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._readiness: Readiness | None = None
        self._registry: CollectorRegistry | None = None
        self._at_stop: tuple[Callable[[], object], ...] | None = None
        self._stop = asyncio.Event()
        self._say({"pid": os.getpid()})
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell_regularly())]
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin_to_stop)

    @classmethod
    async def open(cls, sock: socket.socket) -> "Line":
        return cls(*await asyncio.open_unix_connection(sock=sock))

    @asynccontextmanager
    async def telling(self, readiness: Readiness, registry: CollectorRegistry) -> AsyncIterator[None]:
        """Tell of these from now on; for the last time at the end."""
        self._readiness, self._registry = readiness, registry
        self._tell()
        yield
        self._tell()

    def stop_event(self, *at_once: Callable[[], object]) -> asyncio.Event:
        """Set when the supervisor says so or is gone, and by SIGTERM, after all of `at_once` were called."""
        self._at_stop = at_once
        return self._stop

    def ready(self) -> None:
        """Say at once what would be said within a second."""
        self._tell()

    async def close(self, *, failure: str | None = None) -> None:
        """Say how it ended, and let it be heard."""
        for task in self._tasks:
            task.cancel()
        self._say({"failure": failure} if failure else {"over": True})
        self._writer.close()
        await asyncio.gather(*self._tasks, self._writer.wait_closed(), return_exceptions=True)

    async def _listen(self) -> None:
        while word := await self._word():
            if word == ASK:
                self._tell()
            elif word == STOP:
                self._begin_to_stop()
        if self._stop.is_set():
            # The supervisor was told to end at once. As after a crash: nothing acknowledged is lost by it.
            os._exit(1)
        logger.warning("the supervisor is gone: stopping")
        self._begin_to_stop()

    async def _word(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:
            return b""

    async def _tell_regularly(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if not self._writer.transport.get_write_buffer_size():  # else nobody listens just now
                self._tell()

    def _tell(self) -> None:
        reasons = ["starting"] if self._readiness is None else self._readiness.reasons()
        figures = [] if self._registry is None else document_of(families(self._registry))
        self._say({"reasons": reasons, "figures": figures})

    def _begin_to_stop(self) -> None:
        # A second word changes nothing: a service manager may tell every process, and the supervisor tells us too.
        if self._at_stop is None:
            os._exit(0)  # it has taken nothing yet
        if not self._stop.is_set():
            for call in self._at_stop:
                call()
            self._stop.set()

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(orjson.dumps(message) + b"\n")
