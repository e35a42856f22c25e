"""The connection under the application: broken HTTP framing gets our 400 too, and costs no neighbour its answer."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from ingest.app import DOOR, Door
from ingest.problems import Problem, of_body

logger = logging.getLogger(__name__)

AHEAD_SECONDS: Final = 0.001
"""Between two requests of clients that ask ahead, when there are several such: no player does, and a flood is one."""

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,9})\r\n").search


def _is_one_request(data: bytes) -> bool:
    """Whether this is one request of a stated length, whole and with nothing behind it: most are."""
    head = data.find(_HEAD_END) + len(_HEAD_END)
    length = _LENGTH(data, 0, head)
    return length is not None and int(length[1]) == len(data) - head


class DoorRunner(web.AppRunner):
    """Serves the application of `app.make_app`. A site's shutdown lets handlers finish within `shutdown_timeout`.

    `connection` makes each connection: `Connection`, or one that knows a shorter way for common requests.
    """

    def __init__(
        self, app: web.Application, *, connection: "Callable[..., Connection] | None" = None, **kwargs: Any
    ) -> None:
        super().__init__(app, **kwargs)
        self._connection = connection or Connection

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        door = self.app[DOOR]

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await server.request_handler(request)
            except Exception as error:  # noqa: BLE001 - before the middleware: an expectation at an unknown path
                return door.answer_unrouted(error, closes=False)

        return _DoorServer(
            handle,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,  # noqa: SLF001
            connection=partial(self._connection, door=door),
            **server._kwargs,  # noqa: SLF001
        )


class _DoorServer(web.Server):
    def __init__(self, *args: Any, connection: "Callable[..., Connection]", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connection = connection

    def __call__(self) -> RequestHandler:
        return self._connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """One connection, fed request by request.

    aiohttp's parser drops every request that it has read from a piece of data when it trips over a later one in the
    same piece, and forgets the body that it was reading. So it gets the data cut at the ends of requests, and a body
    that breaks off is told so.
    """

    __slots__ = ("_body_left", "_broken", "_door", "_edge", "_ended", "_finished", "_held", "_last_payload")

    def __init__(self, manager: web.Server, *, door: Door, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._door = door
        self._body_left = 0  # of the last request, where it said its length
        self._edge = b""  # the last bytes of a head that is not whole yet
        self._held = b""  # what waits until the requests before it have been answered
        self._last_payload: Any = None
        self._broken = False
        self._finished = 0  # requests that have their answer
        self._ended = False  # the client has shut its sending side

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        if not (self._held or self._edge or self._body_left) and _is_one_request(data):
            self._feed(data)
            self._body_left = 0
            return
        if not (data or self._held):  # aiohttp asks whether anything is left: after every body
            self._feed(data)
            return
        data, self._held = self._held + data, b""
        while True:
            cut = len(data) if self._upgraded else self._next_cut(data)
            self._feed(data[:cut])
            data = data[cut:]
            if not data or self._broken or self._force_close:
                return
            if self._reading_paused or len(self._messages) >= self._max_msg_queue_size:
                self._held = data
                return

    def _next_cut(self, data: bytes) -> int:
        """How far this data may be fed so that it holds the end of one request at most, and nothing behind it."""
        if self._body_left:
            cut = min(self._body_left, len(data))
            self._body_left -= cut
            return cut
        found = (self._edge + data).find(_HEAD_END)
        if found < 0:
            self._edge = (self._edge + data)[-3:]
            return len(data)
        cut = found + len(_HEAD_END) - len(self._edge)
        self._edge = b""
        return cut

    def _feed(self, data: bytes) -> None:
        before = self._request_count
        is_closing, self._close = self._close, self._close and not self._is_amid_body()
        super().data_received(data)  # deaf while closing: but the body of an accepted request still comes
        self._close = is_closing
        if self._request_count == before:
            return
        message, payload = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            length = message.headers.get("Content-Length", "")
            self._body_left = int(length) if length.isdecimal() else 0
            self._last_payload = payload
            return
        self._broken = True
        if self._is_amid_body():
            # The request whose body this was is answered itself; it shall not get a second answer.
            self._messages.pop()
            self._finished += 1
            self._last_payload.set_exception(RequestPayloadError(message.message))

    def _is_amid_body(self) -> bool:
        return self._last_payload is not None and not self._last_payload.is_eof()

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio takes the answer, aiohttp has none
        """Keep the connection for the answers of a client that has shut its sending side; they are still read."""
        if self._is_amid_body():
            self._last_payload.set_exception(ConnectionResetError("the connection ended amid a body"))
        self._ended = True
        # Under TLS asyncio closes whatever is returned here, and warns of it.
        return self.ssl_context is None and self._is_asked()

    def connection_lost(self, exc: BaseException | None) -> None:
        handler = self._task_handler
        super().connection_lost(exc)
        if handler is not None and not self._request_in_progress:
            # It waits for a request. If one has come in this very moment it would go on with it, without what it has
            # lost, and its TypeError would end whatever stop is under way.
            handler.cancel()

    def _is_asked(self) -> bool:
        """Whether any request waits for its answer, or for its turn to be read."""
        return self._finished < self._request_count or bool(self._held)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if self._ended and not self._messages and not self._held:
            resp.force_close()
        try:
            answered = await super().finish_response(request, resp, start_time)
        finally:
            self._finished += 1
            if self._ended and not self._is_asked():  # it has shut its side meanwhile
                resp.force_close()
        if self._messages or self._held:
            # Who asks ahead of its answers has no share of each turn of the loop: all of them together have one.
            several = self._door.asking_ahead.locked()
            async with self._door.asking_ahead:
                await asyncio.sleep(AHEAD_SECONDS if several else 0)
        return answered

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request; our handlers answer for themselves."""
        if status >= 500:
            error = exc if isinstance(exc, Exception) else RuntimeError(f"status {status} without a cause")
        else:
            logger.debug("broken HTTP framing: %s", message)
            sentence = "This is not a well-formed HTTP/1.1 request"
            error = Problem("malformed_request", sentence, of_body("framing", sentence))
        return self._door.answer_unrouted(error, closes=True)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(kwargs.get("exc_info"), RequestPayloadError | ConnectionError):
            return  # the rest of a body that nobody wanted broke off: the client's affair
        super().log_exception(*args, **kwargs)
