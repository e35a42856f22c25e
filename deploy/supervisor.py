"""Front doors that share one port, each in a process of its own: started, watched, replaced and stopped together.

The supervisor holds one listening socket for each door and lends it out. Connections that wait on the socket of a door
that has died are taken by its replacement; while a door is replaced, old and new take from the same socket.
"""

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from deploy.door_process import LINE_BYTES, DoorProcess
from deploy.failure import Failure
from deploy.fork_server import ForkServer
from deploy.merged_figures import Family
from deploy.restarts import Restarts

ANSWER_SECONDS: Final = 0.5
"""How long a door may take to tell its state when an operator asks; after that its last one counts."""

SILENT_SECONDS: Final = 5.0
HUNG_SECONDS: Final = 30.0
"""A door tells its state every second. Not heard of for so long it is unready; for so long its loop hangs."""

_LOOK_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Place:
    """One listening socket, and the door that now takes from it."""

    def __init__(self, index: int, listening: socket.socket) -> None:
        self.index = index
        self.listening = listening
        self.door: DoorProcess | None = None
        self.changing = asyncio.Lock()
        self.restarts = Restarts()
        self.last_failure: str | None = None
        self.received_before = 0.0  # by doors that are gone

    def unready(self) -> Iterator[str]:
        door = self.door
        if self.restarts.are_repeated and not (door and door.is_ready):
            reason = self.last_failure or "the log says more"
            yield f"door {self.index} ended {self.restarts.in_a_row} times in a row: {reason}"
        elif door is None:
            yield f"door {self.index}: starting"
        elif door.ended.is_set():
            yield f"door {self.index} is being replaced"
        elif door.silent_seconds() > SILENT_SECONDS:
            yield f"door {self.index} has not been heard of for {door.silent_seconds():.0f} s"
        else:
            yield from (f"door {self.index}: {reason}" for reason in door.reasons)


class Supervisor:
    """Keeps a door at each listening socket. To be made within the event loop.

    `make_fork_server` starts one; `fork_server` is one that was started before, to save time. `keep` takes what a door
    that is gone had counted. Each door has the lowest number, from 0, that no other living door has.
    """

    def __init__(
        self,
        listening: Sequence[socket.socket],
        make_fork_server: Callable[[], ForkServer],
        keep: Callable[[list[Family]], object],
        *,
        fork_server: ForkServer | None = None,
    ) -> None:
        self.ended_unbidden = 0
        self._places = [Place(index, sock) for index, sock in enumerate(listening)]
        self._living: set[DoorProcess] = set()
        self._numbers: set[int] = set()
        self._keep_figures = keep
        self._make_fork_server = make_fork_server
        self._fork_server = fork_server
        self._retired: list[ForkServer] = []  # their last doors are about to end
        self._hatching = asyncio.Lock()
        self._was_ready = False
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._renewing: asyncio.Task[None] | None = None

    def unready(self) -> list[str]:
        """Reasons against being ready, each with the door that gives it."""
        return [reason for place in self._places for reason in place.unready()]

    def ready_doors(self) -> int:
        return sum(1 for place in self._places if not any(place.unready()))

    def snapshots(self) -> list[list[Family]]:
        """What each living door has last told."""
        return [door.figures for door in self._living]

    def received(self) -> dict[tuple[str, ...], float]:
        """Requests by place: how evenly connections are spread."""
        received: dict[tuple[str, ...], float] = {(str(place.index),): place.received_before for place in self._places}
        for door in self._living:
            received[(str(door.index),)] += door.received
        return received

    async def refresh(self) -> None:
        """Have every door tell its state now. Who takes too long is left out."""
        asking = [asyncio.create_task(door.tell()) for door in self._living]
        if asking:
            _, late = await asyncio.wait(asking, timeout=ANSWER_SECONDS)
            for task in late:
                task.cancel()

    async def run(self) -> None:
        """Keep every place served, until stopped. Failure: a door could not start, and none was ever ready."""
        self._tasks = [asyncio.create_task(work) for work in (self._watch(), *map(self._keep, self._places))]
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    def renew(self) -> None:
        """Replace the doors one after the other, by what is installed now. Each goes when its successor is ready."""
        if self._is_stopping:
            return
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
        else:
            logger.warning("the front doors are being replaced already")

    async def stop(self, seconds: float) -> None:
        """Listen no more and let every door finish what it has begun. Who takes longer is killed.

        Failure: a door died of itself meanwhile.
        """
        self._is_stopping = True
        for task in (*self._tasks, *([self._renewing] if self._renewing else ())):
            task.cancel()
        for place in self._places:
            place.listening.close()
        leaving = list(self._living)
        for door in leaving:
            door.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for door in leaving:
                    await door.ended.wait()
        for door in leaving:
            if not door.ended.is_set():
                logger.warning("front door %d took longer than %g s to stop and was killed", door.index, seconds)
                door.kill()
        for server in (*self._retired, *([self._fork_server] if self._fork_server else ())):
            server.kill()
        for door in leaving:
            if door.ended.is_set() and door.became_ready.is_set() and not door.is_over:
                raise Failure(f"front door {door.index} died while it was stopping: what it had answered is on the log")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._retired = [server for server in self._retired if not server.has_ended]
            for door in list(self._living):
                if door.is_forked and door.silent_seconds() > HUNG_SECONDS:
                    logger.error("front door %d (process %s) hangs: killing it", door.index, door.pid)
                    if door.pid is None and self._fork_server is not None:  # then what should fork it hangs
                        self._fork_server.kill()
                    door.kill()

    async def _keep(self, place: Place) -> None:
        while True:
            async with place.changing:
                if place.door is None or place.door.ended.is_set():
                    place.door = await self._fork(place)
            door = place.door
            await door.ended.wait()
            if place.door is door:
                await self._pause_after(place, door)

    async def _pause_after(self, place: Place, door: DoorProcess) -> None:
        self.ended_unbidden += 1
        place.last_failure = door.failure
        delay = place.restarts.delay_after(time.monotonic() - door.began_at)
        if not self._was_ready and (door.failure or place.restarts.are_repeated):
            raise Failure(door.failure or "the front doors end before they are ready: the log says more")
        logger.error(
            "front door %d (process %s) ended%s: starting another in %g s",
            place.index,
            door.pid,
            f" ({door.failure})" if door.failure else "",
            delay,
        )
        await asyncio.sleep(delay)

    async def _fork(self, place: Place) -> DoorProcess:
        """A door that takes from this place's socket. If that fails, it is one that has ended."""
        number = next(number for number in itertools.count() if number not in self._numbers)
        self._numbers.add(number)
        ours, theirs = socket.socketpair()
        with theirs:
            line = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES)
            door = DoorProcess(place.index, number, self._forget, *line)
            self._living.add(door)
            try:
                (await self._hatched()).fork(number, place.listening, theirs)
                door.forked()
            except OSError as error:
                logger.error("front door %d cannot be started: %s", place.index, error)  # noqa: TRY400
        return door

    async def _hatched(self) -> ForkServer:
        async with self._hatching:
            if self._fork_server is None or self._fork_server.has_ended:
                self._fork_server = self._make_fork_server()
            if not await self._fork_server.hatched():
                raise ConnectionError("what it is to be forked from ended by itself")
            return self._fork_server

    def _forget(self, door: DoorProcess) -> None:
        self._was_ready = self._was_ready or door.became_ready.is_set()
        self._living.discard(door)
        self._numbers.discard(door.number)
        self._places[door.index].received_before += door.received
        self._keep_figures(door.figures)

    async def _renew(self) -> None:
        server = self._make_fork_server()
        if not await server.hatched():
            server.kill()
            logger.error("the front doors are not replaced: what is installed now does not start, see above")
            return
        async with self._hatching:
            if self._fork_server is not None:
                self._fork_server.close()
                self._retired.append(self._fork_server)
            self._fork_server = server
        for place in self._places:
            if not await self._replace(place):
                logger.error("front door %d is not replaced, nor those after it: its successor failed", place.index)
                return
        logger.info("every front door has been replaced")

    async def _replace(self, place: Place) -> bool:
        async with place.changing:
            successor = await self._fork(place)
            await successor.settled()  # however long it reads closed sessions: its predecessor serves meanwhile
            if not successor.is_ready:
                successor.kill()
                return False
            predecessor, place.door = place.door, successor
        if predecessor is not None:
            predecessor.stop()
            await predecessor.ended.wait()
        return True
