"""A request's body, read whole within bounds: bytes after decompression, and time."""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from aiohttp.web import RequestPayloadError

from ingest.problems import ClientGone, Problem, of_body

_ARRAY: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[").match
_EVIDENCE_BYTES: Final = 64 * 1024  # of a body that does not decompress, as it came
_MAX_MEMBERS: Final = 100  # of a gzip body; each costs a copy of what follows it
_OVERHEAD_BYTES: Final = 1024  # by which a compressed body may be larger than a plain one
_SLICE_BYTES: Final = 256 * 1024  # decompressed at a time, so that one body never holds the loop for long


class Content(Protocol):
    """What we use of aiohttp's StreamReader."""

    async def readany(self) -> bytes: ...

    def read_nowait(self) -> bytes: ...

    def is_eof(self) -> bool: ...

    def exception(self) -> BaseException | None: ...


class Bounds:
    """Limits of a body that may be an event, a batch or either: what it is, its first character tells."""

    def __init__(self, event_bytes: int, batch_bytes: int) -> None:
        self.event_bytes = event_bytes
        self.batch_bytes = batch_bytes

    def event(self, _body: bytes | bytearray) -> int:
        return self.event_bytes

    def batch(self, _body: bytes | bytearray) -> int:
        return self.batch_bytes

    def either(self, body: bytes | bytearray) -> int:
        return self.batch_bytes if is_array(body) else self.event_bytes


def is_array(body: bytes | bytearray) -> bool:
    """Whether the JSON text begins an array; a BOM and blanks may stand before it."""
    return _ARRAY(body) is not None


async def read_body(
    content: Content,
    encoding: str,
    limit_of: Callable[[bytes | bytearray], int],
    seconds: float,
    hold: Callable[[int], None],
) -> bytes:
    """The whole body, decompressed. `hold` hears of every piece as it comes and may refuse.

    Raises Problem: too_large beyond `limit_of` what has come so far (never more than a slice beyond it is made),
    malformed_json for broken compression, malformed_request for broken framing or a body that is not whole after
    `seconds`; ClientGone when the connection ends first.
    """
    if not encoding and content.is_eof() and content.exception() is None:
        # Most bodies have arrived whole with their head: they need no timer, and no second copy.
        whole = content.read_nowait()
        hold(len(whole))
        _judge_size(whole, limit_of(whole))
        return whole
    arriving = Arriving(inflater_of(encoding), limit_of, hold)
    try:
        async with asyncio.timeout(seconds):
            while chunk := await content.readany():
                await arriving.take(chunk)
    except TimeoutError:
        raise arriving.broken_off(f"The body was not whole after {seconds:g} s") from None
    except RequestPayloadError as error:
        raise arriving.broken_off("The body breaks off against the rules of HTTP") from error
    except (ConnectionError, EOFError) as error:
        raise ClientGone from error
    return arriving.whole()


class Arriving:
    """A body as it comes: what it makes decompressed, and of a compressed one its first bytes as they were sent."""

    def __init__(
        self, inflater: "Inflater | None", limit_of: Callable[[bytes | bytearray], int], hold: Callable[[int], None]
    ) -> None:
        self._inflater = inflater
        self._limit_of = limit_of
        self._hold = hold
        self._body = bytearray()
        self._sent = bytearray()
        self._came = 0

    async def take(self, chunk: bytes) -> None:
        """Let the body grow. Problem; see `read_body`."""
        if self._inflater is None:
            self._grow(chunk)
            return
        self._came += len(chunk)
        _judge_size(self._body, self._limit_of(self._body), self._came - _OVERHEAD_BYTES)
        self._sent += chunk[: _EVIDENCE_BYTES - len(self._sent)]
        try:
            for piece in self._inflater.feed(chunk, _SLICE_BYTES):
                self._grow(piece)
                await asyncio.sleep(0)
        except zlib.error as error:
            raise self._undecodable(f"The body cannot be decompressed: {error}") from error

    def whole(self) -> bytes:
        """All of it, when nothing more comes. Problem when a compressed one is not whole."""
        if self._inflater is not None and not self._inflater.whole:
            raise self._undecodable("The compressed body ends too early")
        return bytes(self._body)

    def broken_off(self, message: str) -> Problem:
        """What to answer when the rest has not come."""
        violations = of_body("framing", message)
        return Problem("malformed_request", message, violations, body=bytes(self._body), truncated=True, closes=True)

    def _grow(self, piece: bytes) -> None:
        self._hold(len(piece))
        self._body += piece
        _judge_size(self._body, self._limit_of(self._body))

    def _undecodable(self, message: str) -> Problem:
        return Problem("malformed_json", message, of_body("encoding", message), body=bytes(self._sent))


def _judge_size(body: bytes | bytearray, limit: int, came: int = 0) -> None:
    if len(body) > limit or came > limit:
        message = f"The body is larger than {limit} bytes"
        raise Problem("too_large", message, of_body("maxBytes", message), body=bytes(body[:limit]), truncated=True)


class Inflater:
    """Decompression in bounded pieces; a body may consist of several gzip members."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._stream: zlib._Decompress | None = None
        self._members = 0

    @property
    def whole(self) -> bool:
        """Whether what was fed ended where a compressed stream ends."""
        return self._stream is not None and self._stream.eof

    def feed(self, data: bytes, at_most: int) -> Iterator[bytes]:
        """What these bytes make, at most so many at a time. Raises zlib.error."""
        while data:
            if self._stream is None or (self._stream.eof and self._gzip):
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise zlib.error("more members than anybody needs")
                self._stream = zlib.decompressobj(self._window(data))
            if self._stream.eof:
                raise zlib.error("bytes after its end")
            if piece := self._stream.decompress(data, at_most):
                yield piece
            # What the bound left over comes first; then whatever follows the end of this member.
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def _window(self, data: bytes) -> int:
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        # `deflate` means zlib's format, but some clients send it bare. A zlib header names method 8 in its first byte.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS


def inflater_of(encoding: str) -> Inflater | None:
    """How to read this Content-Encoding; None when there is nothing to do. Problem for one we do not know."""
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip"}:
        return Inflater(gzip=True)
    if name == "deflate":
        return Inflater(gzip=False)
    message = "This Content-Encoding is not understood; send gzip, deflate or plain JSON"
    raise Problem("malformed_json", message, of_body("encoding", message))
