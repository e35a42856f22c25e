"""The heads of common requests: a strict subset of HTTP/1.1, told by one expression. All else is aiohttp's to judge."""

import re
from typing import Final, NamedTuple

MAX_HEAD_BYTES: Final = 4096

_SESSIONS: Final = rb"/api/v1/sessions"
# Visible ASCII and blanks in a value, so no folded line, bare CR or LF, NUL or byte that charsets differ about.
_HEAD: Final = re.compile(
    rb"(POST|OPTIONS) " + _SESSIONS + rb"(?:/([0-9a-f]{64})/events)? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z][A-Za-z0-9-]*: [\x20-\x7e]*\r\n){1,60})\r\n"
).fullmatch
_HOST: Final = re.compile(rb"[a-z0-9.-]+(?::[0-9]{1,5})?").fullmatch
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,7}").fullmatch
_ASKED: Final = re.compile(rb"\r\naccess-control-request-headers: *([^\r]*?) *\r\n", re.IGNORECASE).search
# With one of these a body is framed or read otherwise, or the connection is to change.
_ODD: Final = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"http2-settings", b"te", b"trailer"}
)


# What is asked, by the name under which it is counted.
PREFLIGHT: Final = "preflight"
START: Final = "sessions"
EVENT: Final = "events"


class Head(NamedTuple):
    """A common request's head. `sid` is 64 hex not proven yet, of an event; `length` is the body's."""

    kind: str
    sid: str
    length: int
    asked: str


def common_head(data: bytes) -> Head | None:
    """The head that these bytes are, its empty line included; None for any that is not plainly common."""
    if len(data) > MAX_HEAD_BYTES or not (match := _HEAD(data)):
        return None
    method, sid, block = match.groups()
    lines = block[:-2].lower().split(b"\r\n")
    headers: dict[bytes, bytes] = dict(line.split(b": ", 1) for line in lines)
    if len(headers) != len(lines) or not _ODD.isdisjoint(headers):  # a repeated header may be an attack
        return None
    if not _HOST(headers.get(b"host", b"")) or headers.get(b"connection", b"keep-alive") != b"keep-alive":
        return None
    length = headers.get(b"content-length", b"0" if method == b"OPTIONS" else b"")
    if not _LENGTH(length):
        return None
    if method == b"OPTIONS":
        asked = _ASKED(data)
        return Head(PREFLIGHT, "", int(length), asked[1].decode() if asked else "") if length == b"0" else None
    if sid is None:
        return Head(START, "", int(length), "")
    return Head(EVENT, sid.decode(), int(length), "")
