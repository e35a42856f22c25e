"""The process that front doors are forked from: everything is imported there, and nothing runs.

Importing takes a second of a slow core and 40 MB; a fork takes milliseconds and shares the pages. Forking needs a
process without threads and event loops, and the supervisor has a loop. So it starts this one, by exec: what it imports
is what is installed at that moment.
"""

import asyncio
import gc
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

HATCHED: Final = b"hatched\n"
FLAG: Final = "--fork-server"
"""Appended to the command that starts a fork server, with the number of its end of the channel."""

_ORDER_BYTES: Final = 64
_DEFAULTS: Final = (signal.SIGTERM, signal.SIGCHLD)
_NOT_FOR_US: Final = (signal.SIGINT, signal.SIGHUP)

logger = logging.getLogger(__name__)

RunDoor = Callable[[int, socket.socket, socket.socket], None]
"""A front door to its end: its number, its listening socket, its end of the line."""


class ForkServer:
    """The supervisor's end. It ends when that is closed, after the last door that was forked from it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        self._is_hatched = False
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, FLAG, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is the supervisor's to hear
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    async def hatched(self) -> bool:
        """Wait until it can fork. False: it ended before, and its log says why."""
        if not self._is_hatched:
            with suppress(ConnectionError):
                said = await asyncio.get_running_loop().sock_recv(self._channel, len(HATCHED))
                self._is_hatched = said == HATCHED
        return self._is_hatched

    def fork(self, number: int, listening: socket.socket, line: socket.socket) -> None:
        """Have a door forked. If that fails, `line` breaks."""
        socket.send_fds(self._channel, [b"%d" % number], [listening.fileno(), line.fileno()])

    def close(self) -> None:
        self._channel.close()

    def kill(self) -> None:
        self.close()
        self._process.kill()
        self._process.wait()


def serve(channel: socket.socket, run_door: RunDoor) -> None:
    """Fork a door for each order, and bury the dead, until the channel breaks and the last door has ended."""
    assert threading.active_count() == 1
    for number in (signal.SIGTERM, *_NOT_FOR_US):  # its end is the channel's
        signal.signal(number, signal.SIG_IGN)
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    gc.collect()
    gc.freeze()  # a collector that writes to every object would copy every page
    channel.sendall(HATCHED)
    while True:
        for key, _ in selector.select():
            if key.fileobj is woken:
                woken.recv(4096)
                _bury(os.WNOHANG)
                continue
            order, descriptors, _, _ = socket.recv_fds(channel, _ORDER_BYTES, 2)
            if not order:
                _bury(0)
                return
            _fork(int(order), descriptors, run_door, (channel, woken, wake, selector))


def _fork(number: int, descriptors: list[int], run_door: RunDoor, not_for_it: Sequence[object]) -> None:
    listening, line = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    with listening, line:
        try:
            child = os.fork()
        except OSError:
            logger.exception("front door %d could not be forked", number)
            return
        if child == 0:
            for mine in not_for_it:
                mine.close()  # type: ignore[attr-defined] # sockets and a selector
            _be_door(number, listening, line, run_door)


def _be_door(number: int, listening: socket.socket, line: socket.socket, run_door: RunDoor) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for of in _DEFAULTS:
            signal.signal(of, signal.SIG_DFL)
        run_door(number, listening, line)
        status = 0
    except BaseException:
        logger.exception("front door %d", number)
    finally:
        sys.stdout.flush()
        logging.shutdown()
        os._exit(status)


def _bury(options: int) -> None:
    """Take note of the doors that have ended; without WNOHANG, of all there are."""
    while True:
        try:
            child, status = os.waitpid(-1, options)
        except ChildProcessError:
            return
        if not child:
            return
        if os.WIFSIGNALED(status):
            logger.warning("the front door in process %d was ended by %s", child, _name(os.WTERMSIG(status)))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
