"""A request's body, read whole within bounds: bytes after decompression, and time."""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from aiohttp.web import RequestPayloadError

from ingest.problems import ClientGone, Problem

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
    inflater = inflater_of(encoding)
    raw, body, came = bytearray(), bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            while chunk := await content.readany():
                pieces: Iterable[bytes] = (chunk,)
                if inflater:
                    came += len(chunk)
                    _judge_size(body, limit_of(body), came - _OVERHEAD_BYTES)
                    raw += chunk[: _EVIDENCE_BYTES - len(raw)]
                    pieces = inflater.feed(chunk, _SLICE_BYTES)
                for piece in pieces:
                    hold(len(piece))
                    body += piece
                    _judge_size(body, limit_of(body))
                    if inflater:
                        await asyncio.sleep(0)
    except TimeoutError:
        message = f"The body was not whole after {seconds:g} s"
        raise Problem("malformed_request", message, body=bytes(body), truncated=True, closes=True) from None
    except RequestPayloadError as error:
        message = "The body breaks off against the rules of HTTP"
        raise Problem("malformed_request", message, body=bytes(body), truncated=True, closes=True) from error
    except (ConnectionError, EOFError) as error:
        raise ClientGone from error
    except zlib.error as error:
        raise Problem("malformed_json", f"The body cannot be decompressed: {error}", body=bytes(raw)) from error
    if inflater is not None and not inflater.whole:
        raise Problem("malformed_json", "The compressed body ends too early", body=bytes(raw))
    return bytes(body)


def _judge_size(body: bytes | bytearray, limit: int, came: int = 0) -> None:
    if len(body) > limit or came > limit:
        raise Problem("too_large", f"The body is larger than {limit} bytes", body=bytes(body[:limit]), truncated=True)


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
    raise Problem("malformed_json", "This Content-Encoding is not understood; send gzip, deflate or plain JSON")
