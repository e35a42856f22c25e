"""The heads of common requests: a strict subset of HTTP/1.1, told by one expression. All else is aiohttp's to judge."""

import re
from typing import Final

MAX_HEAD_BYTES: Final = 4096
MAX_BLOCKS: Final = 2_048
"""With heads as large as they may be some 8 MB; a browser's have 400 bytes."""

_SESSIONS: Final = rb"/api/v1/sessions"
# Visible ASCII and blanks in a value, so no folded line, bare CR or LF, NUL or byte that charsets differ about.
_HEAD: Final = re.compile(
    rb"(POST|OPTIONS) " + _SESSIONS + rb"(?:/([0-9a-f]{64})/events)? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z][A-Za-z0-9-]*: [\x20-\x7e]*\r\n){1,60})\r\n"
).fullmatch
_EVENT_LINE: Final = re.compile(rb"POST " + _SESSIONS + rb"/([0-9a-f]{64})/events HTTP/1\.1\r\n").match
# A proxy may call a group of doors what no name service would.
_HOST: Final = re.compile(rb"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,7}").fullmatch
_LENGTH_LINE: Final = re.compile(rb"\r\n(?i:content-length): (0|[1-9][0-9]{0,7})(?=\r\n)").search
_LENGTH_DIGITS: Final = 8
_USUAL_LENGTHS: Final = {b"%d" % length: length for length in range(1_000)}
_ASKED: Final = re.compile(rb"\r\naccess-control-request-headers: *([^\r]*?) *\r\n", re.IGNORECASE).search
# With one of these a body is framed or read otherwise, or the connection is to change.
_ODD: Final = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"http2-settings", b"te", b"trailer"}
)


# What is asked, by the name under which it is counted.
PREFLIGHT: Final = "preflight"
START: Final = "sessions"
EVENT: Final = "events"


class Head:
    """A common request's head. `sid` is 64 hex not proven yet, of an event; `length` is the body's.

    `raw` is the head as it came, its empty line included; `before` and `after` are what stands around the digits of
    its Content-Length, both empty where it has none.
    """

    __slots__ = (
        *("kind", "sid", "length", "asked", "raw", "before", "after"),
        *("length_at", "after_bytes", "end", "whole"),  # worked out once
    )

    def __init__(self, kind: str, sid: str, asked: str, raw: bytes, length_at: tuple[int, int]) -> None:
        first, behind = length_at
        self.kind, self.sid, self.asked, self.raw = kind, sid, asked, raw
        self.before, self.after = raw[:first], raw[behind:] if behind else b""
        self.length_at, self.after_bytes = first, len(self.after)
        self.length = int(raw[first:behind]) if behind else 0
        self.end = len(raw)
        self.whole = self.end + self.length

    def ends_in(self, data: bytes, most: int) -> tuple[int, int] | None:
        """Where head and body end in `data`, if that begins with this head or with one of another Content-Length.

        Not one of more than `most`.
        """
        first = self.length_at
        if not first:
            return (self.end, self.whole) if data.startswith(self.raw) else None
        if not data.startswith(self.before):
            return None
        behind = data.find(b"\r", first, first + _LENGTH_DIGITS + 1)
        if behind < 0 or not data.startswith(self.after, behind):
            return None
        digits = data[first:behind]
        length = _USUAL_LENGTHS.get(digits)
        if length is None:
            if not _LENGTH(digits):
                return None
            length = int(digits)
        end = behind + self.after_bytes
        return (end, end + length) if length <= most else None


class Heads:
    """Reads heads, and remembers the header lines of events that were common: players send the same ones all day.

    Whether a head is common depends on its lines and on nothing in a lawful id or length, so those are left out of
    what is remembered. A line of its own for each length would fill the memory; two lines would not be common.
    """

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._blocks)

    def read(self, raw: bytes) -> Head | None:
        """The head that these bytes are, its empty line included; None for any that is not plainly common."""
        line = _EVENT_LINE(raw)
        if line is None or (length := _LENGTH_LINE(raw)) is None:
            return common_head(raw)
        block = raw[line.end() : length.start(1)] + raw[length.end(1) :]
        if block in self._blocks and len(raw) <= MAX_HEAD_BYTES:
            return Head(EVENT, line[1].decode(), "", raw, length.span(1))
        head = common_head(raw)
        if head is not None:
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()
            self._blocks.add(block)
        return head


def common_head(raw: bytes) -> Head | None:
    """As `Heads.read`, by the bytes alone."""
    if len(raw) > MAX_HEAD_BYTES or not (match := _HEAD(raw)):
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
        asked = _ASKED(raw)
        return Head(PREFLIGHT, "", asked[1].decode() if asked else "", raw, (0, 0)) if length == b"0" else None
    where = _LENGTH_LINE(raw)
    assert where is not None
    if sid is None:
        return Head(START, "", "", raw, where.span(1))
    return Head(EVENT, sid.decode(), "", raw, where.span(1))
