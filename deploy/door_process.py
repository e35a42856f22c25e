"""The supervisor's end of the line to one front door, and what it knows of it."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import orjson

from deploy.door_line import ASK, STOP
from deploy.merged_figures import Family, families_of

LINE_BYTES: Final = 16 * 1024 * 1024
"""The longest message of a door: to be given to its reader."""

RECEIVED: Final = "mediabeat_requests_received"

logger = logging.getLogger(__name__)


class DoorProcess:
    """One front door in a process of its own, from its fork to its end.

    `index` is that of its place, `number` no other living door's. `at_end` is called once, when its line breaks.
    """

    def __init__(
        self,
        index: int,
        number: int,
        at_end: "Callable[[DoorProcess], object]",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.index = index
        self.number = number
        self.pid: int | None = None
        self.began_at = self.heard_at = time.monotonic()
        self.reasons: list[str] = ["starting"]
        self.figures: list[Family] = []
        self.failure: str | None = None
        self.is_forked = False
        self.is_over = False  # it has come to its end by itself
        self.ended = asyncio.Event()
        self.became_ready = asyncio.Event()
        self._told = asyncio.Event()
        self._at_end = at_end
        self._writer = writer
        self._following = asyncio.create_task(self._follow(reader))

    @property
    def is_ready(self) -> bool:
        return not (self.reasons or self.ended.is_set())

    @property
    def received(self) -> float:
        """Requests it has told of."""
        return sum(sample.value for family in self.figures if family.name == RECEIVED for sample in family.samples)

    def silent_seconds(self) -> float:
        return time.monotonic() - self.heard_at

    async def tell(self) -> None:
        """Return when it has told its state anew, or has ended."""
        self._told.clear()
        self._say(ASK)
        await self._told.wait()

    def forked(self) -> None:
        """It can be expected to say something from now on."""
        self.is_forked, self.heard_at = True, time.monotonic()

    def stop(self) -> None:
        """Let it take no more, answer what it has begun, and end."""
        self._say(STOP)

    def kill(self) -> None:
        if self.ended.is_set():
            return
        if self.pid is None:  # it has never said a word
            self._writer.close()
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def settled(self) -> None:
        """Return when it has become ready, or has ended before."""
        waits = [asyncio.create_task(event.wait()) for event in (self.became_ready, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                if line.endswith(b"\n"):  # else it was killed amid it
                    self._take(orjson.loads(line))
        except ConnectionError:
            pass
        except Exception:
            logger.exception("the line to front door %d", self.index)
            self.kill()
        finally:
            self._writer.close()
            self._at_end(self)
            self.ended.set()
            self._told.set()

    def _take(self, message: dict[str, object]) -> None:
        self.heard_at = time.monotonic()
        match message:
            case {"pid": int(pid)}:
                self.pid = pid
            case {"failure": str(failure)}:
                self.failure = failure
            case {"over": _}:
                self.is_over = True
            case {"reasons": list(reasons), "figures": list(figures)}:
                self.reasons, self.figures = [str(reason) for reason in reasons], families_of(figures)
                self._told.set()
                if not reasons:
                    self.became_ready.set()

    def _say(self, word: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(word)
