"""A connection whose requests are answered in turn, and how it ends: what was taken is answered first."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from aiohttp import web

from ingest.express_answers import Turn
from ingest.framing import Connection


class TurnsConnection(Connection):
    """Holds the turns of a connection, and puts off its end until all are answered.

    `_rest` are bytes behind them that nobody has taken; `_ordinary` says that the connection is aiohttp's now.
    """

    __slots__ = ("_emptied", "_leaving", "_ordinary", "_rest", "_shut", "_turns")

    def __init__(self, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._ordinary = False
        self._turns: deque[Turn] = deque()
        self._rest = b""
        self._leaving = False  # it is to be closed once its turns are answered
        self._shut = False  # the client has shut its sending side while turns waited
        self._emptied: asyncio.Future[None] | None = None

    def _hand_over(self, data: bytes) -> None:
        """Give these bytes, from the first of a request, to aiohttp."""
        raise NotImplementedError

    def _is_owing(self) -> bool:
        """Whether answers are due before the connection may end: some wait for the log, or for the client to read."""
        return bool(self._turns) or (self._paused and bool(self._rest))

    def _end(self) -> None:
        """No turn waits any more: do what was put off until then."""
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        if self._shut:
            self._shut = False
            if not super().eof_received() and self.transport is not None:
                self.transport.close()
        if self._leaving:
            self._leaving = False
            if self._ordinary:
                super().close()
            else:
                self.force_close()

    def eof_received(self) -> bool:  # type: ignore[override] # as in Connection
        if self._is_owing():
            self._shut = True
            return self.ssl_context is None
        if self._rest:
            self._hand_over(self._rest)
        return super().eof_received()

    def close(self) -> None:
        """A stop has begun: answer what is taken, finish what is begun."""
        if self._turns:
            self._leaving = True
            return
        if self._rest:
            self._hand_over(self._rest)
        super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        if self._turns:
            self._leaving = True
            self._emptied = self._loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._emptied
        elif self._rest:
            self._hand_over(self._rest)
        await super().shutdown(timeout)
