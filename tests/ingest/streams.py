"""What clients send over one connection, common and odd, and what two doors may answer to it differently."""

import gzip
import re

import orjson
from hypothesis import strategies as st

from tests.ingest.doors import NOW, PLAY, batch, event, request, session_start

_MAY_DIFFER = re.compile(rb"Date: [^\r]*|[0-9a-f]{64}|Connection: close\r\n")


def told_alike(answers):
    """These answers without what may differ between two doors.

    That is the second in which they answered, the ids that they minted, and which answer is the last before a close:
    this depends on whether aiohttp has seen the end by then.
    """
    return _MAY_DIFFER.sub(b"", answers)


def play(sid, headers=None, body=PLAY):
    return request("POST", f"/api/v1/sessions/{sid}/events", body, headers)


def messages(sid, closed):
    """Requests by name, common and odd, each well framed and leaving its connection open."""
    path = f"/api/v1/sessions/{sid}/events"
    browser = {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "Origin": "https://player.example",
        "Connection": "keep-alive",
        "Accept": "*/*",
        "content-type": "application/json",
    }
    preflight = b"OPTIONS %b HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: %b\r\n\r\n"
    return {
        "a play": play(sid),
        "a browser's ping": play(sid, browser, event("ping", 1.5, NOW, {})),
        "a start": request("POST", "/api/v1/sessions", session_start()),
        "a preflight": preflight % (path.encode(), b"Content-Type,x-B "),
        "a preflight without a wish": preflight % (b"/api/v1/sessions", b""),
        "no event": play(sid, body=b"{"),
        "an unknown id": play("0" * 64),
        "a closed id": play(closed),
        "a large body": play(sid, body=b" " * 70_000),
        "a body of the limit": play(sid, body=orjson.dumps(PLAY).ljust(65_536)),
        "a batch": request("POST", "/api/v1/sessions", batch(PLAY)),
        "another's path": request("POST", f"/va/{path}/?a=b", PLAY),
        "gzip": play(sid, {"Content-Encoding": "gzip"}, gzip.compress(orjson.dumps(PLAY), mtime=0)),
        "chunks": b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        % path.encode(),
        "an expectation": play(sid, {"Expect": "nothing"}),
        "an upgrade": play(sid, {"Connection": "Upgrade", "Upgrade": "h2c"}),
        "a repeated header": play(sid, {"A": "1", "a": "2"}),
        "a byte beyond ASCII": play(sid, {"A": "\xe9"}),
        "a schema": request("GET", "/api/v1/schemas/ping"),
        "a tab": play(sid, {"A": "b\tc"}),
    }


COMMON = ("a play", "a browser's ping", "a start", "a preflight", "a preflight without a wish", "a body of the limit")
NAMES = tuple(messages("0" * 64, ""))
ODD = tuple(name for name in NAMES if name not in COMMON)

_HEAD = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\n"
LAST = {
    "the end": b"",
    "a close": _HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": _HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "chunks in other letters": _HEAD + b"tRANSFER-eNCODING: Chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "chunks spelt ill": _HEAD + b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
    "a blank before a colon": _HEAD + b"Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": _HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two like lengths": _HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": _HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with zeros": _HEAD + b"Content-Length: 002\r\n\r\n{}",
    "a signed length": _HEAD + b"Content-Length: +2\r\n\r\n{}",
    "a length in hex": _HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "no length": _HEAD + b"\r\n",
    "no host": b"POST /api/v1/sessions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts": _HEAD + b"Host: y\r\nContent-Length: 2\r\n\r\n{}",
    "a folded line": _HEAD + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "a bare feed": b"POST /api/v1/sessions HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
    "a bare feed in a value": _HEAD + b"A: b\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "a bare return": _HEAD + b"A: b\rc\r\nContent-Length: 2\r\n\r\n{}",
    "a zero byte": _HEAD + b"A: \x00\r\nContent-Length: 2\r\n\r\n{}",
    "a header without a name": _HEAD + b": b\r\nContent-Length: 2\r\n\r\n{}",
    "a whole address": b"POST http://x/api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.0": b"POST /api/v1/sessions HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/0.9": b"POST /api/v1/sessions\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "half a head": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-",
    "half a body": _HEAD + b"Content-Length: 20\r\n\r\n{}",
}
"""What may come last on a connection: mostly what no door reads on after, for one could be made to misread it."""

SNIPPETS = [
    *(b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b":", b" ", b"\t", b"\r\n\r\n", b"0", b"HTTP/1.1"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
    *(b"Host: y\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b" folded\r\n", b"x" * 5000),
]


@st.composite
def tampered(draw, requests):
    """One of these requests with one or two places of it changed."""
    sent = draw(st.sampled_from(requests))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(sent)))
        added = draw(st.sampled_from(SNIPPETS) | st.binary(max_size=2))
        sent = sent[:at] + added + sent[at + draw(st.sampled_from([0, 0, 1, 5])) :]
    return sent
