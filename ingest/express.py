"""The short way: what fleets send all day is framed and answered here; everything else goes to aiohttp untouched.

    data -> common and whole?  yes -> judged, appended, answered in turn
                               no  -> once every earlier turn is answered: the same bytes to aiohttp, which keeps the
                                      connection until it has answered all it was given and nothing is half read

It never refuses anything. Whatever it is not sure of, the ordinary way judges, from the first byte of that request.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp import web

from ingest.app import Door
from ingest.collector import Address
from ingest.express_answers import ShortWay, closing
from ingest.express_heads import EVENT, MAX_HEAD_BYTES, START, Head
from ingest.express_turns import TurnsConnection
from ingest.framing import Connection

ASSEMBLY_SECONDS: Final = 0.1
"""What is not whole so long after its first bytes is not common: aiohttp waits for the rest, and its timers run."""

MAX_TURNS: Final = 32
"""Pipelined requests that may wait for the log; then the connection is not read. As many as aiohttp's parser holds."""

_HELD_BYTES: Final = 64 * 1024  # behind a turn that waits, for aiohttp; then it is not read
_HEAD_END: Final = b"\r\n\r\n"


def short_way(door: Door) -> Callable[..., Connection]:
    """For `DoorRunner(app, connection=...)`: connections of this door that know the short way."""
    return partial(ExpressConnection, way=ShortWay(door))


class ExpressConnection(TurnsConnection):
    """A connection that is either here (`_ordinary` is False) or aiohttp's. Bytes that wait here are in `_rest`."""

    __slots__ = (
        "_address",
        "_assembling",
        "_doubtful",
        "_head",
        "_is_held",
        "_peer",
        "_way",
    )

    def __init__(self, manager: web.Server, *, way: ShortWay, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._way = way
        self._doubtful = False  # what is in `_rest` goes to aiohttp as soon as no turn waits
        self._is_held = False  # by us: aiohttp has holds of its own
        self._assembling: asyncio.TimerHandle | None = None
        # A player's requests have the same head over and over; what it means is remembered with it.
        self._head: Head | None = None
        self._address: Address | None = None
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        name = self.peername
        self._peer = self._door.shown(str(name[0]) if isinstance(name, list | tuple) else name)

    def data_received(self, data: bytes) -> None:
        if self._ordinary or not data:  # aiohttp asks with nothing whether anything is left
            if not data or not self._is_back():
                super().data_received(data)
                return
            self._ordinary = False
        if self._rest:
            data = self._rest + data
            if self._doubtful:
                self._rest = data
                self._hold_if_needed()
                return
            self._rest = b""
        self._take(data)

    def _is_back(self) -> bool:
        """Whether aiohttp has answered everything, waits for a request, and has no part of one."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not (self._messages or self._held or self._edge or self._body_left or self._message_tail)
            and not (self._close or self._force_close or self._broken or self._ended or self._upgraded)
            and not (self._reading_paused or self._buffer_paused or self._is_amid_body())
        )

    def _take(self, data: bytes) -> None:
        """Take every common request that is whole; then keep what is not whole yet, or hand over what is not common."""
        way, turns = self._way, self._turns
        most = way.max_event_bytes
        while data:
            if len(turns) >= MAX_TURNS:
                self._write_answers(are_all=False)
            if self._paused or len(turns) >= MAX_TURNS:
                self._rest = data
                break
            head = self._head
            ends = head.ends_in(data, most) if head is not None else None
            if ends is None or head is None:
                head = self._read_head(data)
                if head is None:
                    break
                end, whole = head.end, head.whole
            else:
                end, whole = ends
            if len(data) < whole:
                self._await_more(data)
                break
            body = data[end:whole]
            if head.kind == EVENT:
                assert self._address is not None
                turn = way.event(self, self._address, body)
            elif head.kind == START:
                turn = way.start(self, body, self._peer)
            else:
                turn = way.preflight(self, head)
            if turn is None:
                self._hand_over(data)
                break
            if self._assembling is not None:
                self._stop_assembling()
            turns.append(turn)
            if len(data) == whole:
                break
            data = data[whole:]
        if turns and turns[0].answer is not None:
            self.answered()
        if self._rest:
            self._hold_if_needed()

    def _read_head(self, data: bytes) -> Head | None:
        """The head at the beginning of `data`, if it leads this way; it is remembered.

        None, once `data` waits for more or is handed over.
        """
        end = data.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END) and len(data) <= MAX_HEAD_BYTES:
            self._await_more(data)
            return None
        head = self._way.heads.read(data[:end])
        if head is None or head.length > self._way.max_event_bytes or not self._leads(head):
            self._hand_over(data)
            return None
        self._head = head
        return head

    def _leads(self, head: Head) -> bool:
        """Whether the id is ours, where there is one; what it means is remembered."""
        if head.kind == EVENT and (self._address is None or self._address.sid != head.sid):
            address = self._way.address(head.sid, self._peer)
            if address is None:
                return False
            self._address = address
        return True

    def _await_more(self, data: bytes) -> None:
        self._rest = data
        if self._assembling is None:
            self._assembling = self._loop.call_later(ASSEMBLY_SECONDS, self._not_whole)

    def _stop_assembling(self) -> None:
        if self._assembling is not None:
            self._assembling.cancel()
            self._assembling = None

    def _not_whole(self) -> None:
        self._assembling = None
        if self._rest and not self._ordinary:
            self._hand_over(self._rest)

    def _hand_over(self, data: bytes) -> None:
        """Give these bytes, from the first of a request, to aiohttp: now, or when the turns before are answered."""
        self._stop_assembling()
        if self._turns:
            self._rest, self._doubtful = data, True
            self._hold_if_needed()
            return
        self._rest, self._doubtful, self._ordinary = b"", False, True
        self._hold_if_needed()
        super().data_received(data)

    def _hold_if_needed(self) -> None:
        """Do not read from a client that does not read, or that is far ahead of the log."""
        is_far = len(self._turns) >= MAX_TURNS or (self._doubtful and len(self._rest) > _HELD_BYTES)
        hold = not self._ordinary and (self._paused or is_far)
        if hold == self._is_held:
            return
        self._is_held = hold
        if hold:
            self._pause_transport_reading()
        elif not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._hold_if_needed()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._ordinary:
            self._go_on()

    def answered(self) -> None:
        """Write the answers whose turn it is, and go on with what waited for them."""
        turns = self._turns
        if len(turns) == 1 and not (self._rest or self._is_held or self._leaving or self._shut or self._way.draining):
            answer = turns[0].answer
            if answer is not None and self.transport is not None:  # nearly all: one asked, and nothing behind it
                turns.clear()
                self.transport.write(answer)
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            return
        if self._write_answers(are_all=not self._rest) and (self._rest or self._is_held or self._leaving or self._shut):
            self._go_on()

    def _write_answers(self, *, are_all: bool) -> bool:
        """In one write; whether there were any. `are_all`: no request is behind those whose turns are known."""
        turns = self._turns
        if not turns or (data := turns[0].answer) is None:
            return False
        turns.popleft()
        if turns and turns[0].answer is not None:
            pieces = [data]
            while turns and (data := turns[0].answer) is not None:
                pieces.append(data)
                turns.popleft()
            data, last = b"".join(pieces[:-1]), pieces[-1]
        else:
            data, last = b"", data
        if are_all and not turns and (self._leaving or self._shut or self._way.draining):
            last = closing(last)
            self._leaving, self._shut = True, False
        if self.transport is not None:
            self.transport.write(data + last)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _go_on(self) -> None:
        """After answers, or when the client reads again: with what waits, and with what was put off."""
        if self._rest and not (self._doubtful and self._turns):
            rest, self._rest = self._rest, b""
            if self._doubtful:
                self._hand_over(rest)
            else:
                self._take(rest)
        self._hold_if_needed()
        if self._is_owing() or not (self._leaving or self._shut):
            return
        if self._rest:
            self._hand_over(self._rest)
        self._end()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_assembling()
        if self._rest and not (self._turns or self._doubtful):
            head = self._way.heads.read(self._rest[: self._rest.find(_HEAD_END) + len(_HEAD_END)])
            if head is not None:
                self._way.left_amid_body(head.kind)
        self._rest, self._doubtful = b"", False
        self._turns.clear()  # what waits in the log is counted there
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        super().connection_lost(exc)

    def _process_keepalive(self) -> None:
        if self._turns:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        elif self._is_held and self._paused and self._loop.time() >= self._next_keepalive_close_time:
            if self.transport is not None:
                self.transport.abort()  # it has asked, and has not read one answer in all that time
            return
        super()._process_keepalive()
