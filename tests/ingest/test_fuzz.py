"""The door against anything: bytes, JSON near and far from valid, HTTP well and badly framed.

Of every case: no 5xx, CORS on each answer, no hang, and the neighbours on the same connection get their right
answers. Of all cases together: received = accepted + rejected + failed, and what was accepted can be decoded.
"""

import asyncio
import gzip
import json
import zlib
from itertools import pairwise
from typing import NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.app import Bearing
from schemas import codec
from tests.ingest.doors import (
    NOW,
    PLAY,
    Client,
    OpenDoor,
    assert_cors,
    assert_reconciled,
    batch,
    chunked,
    event,
    open_door,
    request,
    session_start,
    until,
)

STATUSES = {200, 201, 204, 304, 400, 404, 405, 410, 413}
START = request("POST", "/api/v1/sessions", session_start())


def cases(number):
    return settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


class Ground(NamedTuple):
    """One door for all cases of this file; `sid` is open, `closed` is closed."""

    runner: asyncio.Runner
    door: OpenDoor
    sid: str
    closed: str


@pytest.fixture(scope="module")
def ground(way):
    with asyncio.Runner() as runner:
        opening = open_door(bearing=Bearing(body_seconds=0.2, lingering_seconds=0.05))
        door = runner.run(opening.__aenter__())
        closed = door.keys.mint(NOW)
        door.closed.add(closed, NOW)
        yield Ground(runner, door, door.keys.mint(NOW), closed)
        runner.run(until(lambda: not door.collector.counts.in_flight))
        assert_reconciled(door)
        counts = door.collector.counts
        assert counts.received > 3 * counts.failed
        assert not any(status >= 500 for _, status in counts.answered)
        for envelope in door.log.envelopes():
            codec.decode_event(envelope.event)
        assert counts.events_accepted == len(door.log.records)
        runner.run(opening.__aexit__(None, None, None))


def play(sid):
    return request("POST", f"/api/v1/sessions/{sid}/events", PLAY)


async def ask_between(ground, odd):
    """The answer to a well-framed request that is sent in one piece with a good one before it and one after."""
    async with ground.door.connect() as client:
        await client.write(START + odd + play(ground.sid))
        before, answer, after = (
            await client.answer(),
            await client.answer(is_head=odd.startswith(b"HEAD ")),
            await client.answer(),
        )
    assert (before.status, after.status) == (201, 204), (before, answer, after)
    for each in (before, answer, after):
        assert_cors(each)
    assert answer.status in STATUSES, answer
    if answer.status >= 400 and not odd.startswith(b"HEAD "):
        assert answer.document["message"]
        assert answer.document["code"]
    if answer.status == 201:
        assert len(answer.sid) == 64
        assert answer.body == b""
    return answer


def paths(ground):
    return [
        "/api/v1/sessions",
        f"/api/v1/sessions/{ground.sid}/events",
        f"/api/v1/sessions/{ground.closed}/events",
        "/api/v1/downloaded",
        "//va//api/v1/downloads/",
        f"/api/v1/sessions/{'0' * 64}/events",
        "/api/v1/schemas/play",
        "/nowhere",
    ]


ENCODERS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": bytes,
    "GZIP": bytes,
}


@cases(600)
@given(
    body=st.one_of(st.binary(max_size=200), st.binary(max_size=20).map(lambda raw: raw * 4000)),
    place=st.integers(min_value=0, max_value=7),
    encoding=st.sampled_from(list(ENCODERS)),
    is_chunked=st.booleans(),
)
def test_any_bytes_as_a_body(ground, body, place, encoding, is_chunked):
    path, headers = paths(ground)[place], {"Content-Encoding": encoding} if encoding else {}
    sent = ENCODERS[encoding](body)
    odd = chunked("POST", path, [sent[:7], sent[7:]], headers) if is_chunked else request("POST", path, sent, headers)
    answer = ground.runner.run(ask_between(ground, odd))
    assert answer.status >= 400


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf"), 1.0, 5e-324]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["\ud800", "\udfff\ud800", "\x00", "a\n", "é", "\u2028", "__proto__", "x" * 300]),
)
WILD = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
DEEP = st.integers(min_value=1, max_value=3000).map(lambda levels: "[" * levels + "]" * levels)


def text_of(document, *, ascii_only):
    return json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@cases(400)
@given(document=WILD, ascii_only=st.booleans(), place=st.integers(min_value=0, max_value=4))
def test_any_json_as_a_body(ground, document, ascii_only, place):
    odd = request("POST", paths(ground)[place], text_of(document, ascii_only=ascii_only))
    assert ground.runner.run(ask_between(ground, odd)).status in {400, 410}


@cases(80)
@given(
    deep=DEEP, place=st.integers(min_value=0, max_value=4), key=st.sampled_from(["params", "customMetadata", "x", None])
)
def test_json_of_any_depth(ground, deep, place, key):
    body = deep.encode() if key is None else orjson.dumps(PLAY)[:-1] + f',"{key}":{deep}}}'.encode()
    ground.runner.run(ask_between(ground, request("POST", paths(ground)[place], body)))


def _params(**params):
    return {name.replace("__", "."): value for name, value in params.items()}


VALID = [
    session_start(0, NOW, **{"media.resume": False, "visitor.customerIDs": {"a": {"id": "b", "authState": 1}}})
    | {"customMetadata": {"k": "v"}, "qoeData": {"media.qoe.bitrate": 1}},
    PLAY,
    event("ping", 10.5, NOW, {}, qoeData={}, customMetadata={}),
    event("adBreakStart", 1, 1, _params(media__ad__podIndex=1, media__ad__podSecond=0.5)),
    event(
        "adStart",
        1,
        1,
        _params(media__ad__id="a", media__ad__length=5, media__ad__podPosition=1, media__ad__playerName="p"),
    ),
    event("chapterStart", 1, 1, _params(media__chapter__index=1, media__chapter__offset=0, media__chapter__length=9)),
    event("stateStart", 1, 1, _params(media__state__name="mute")),
    event("statesUpdate", 1, 1, {"statesStart": [{"media.state.name": "mute"}], "statesEnd": []}),
    event("error", 1, 1, qoeData={"media.qoe.errorID": "e", "media.qoe.errorSource": "player"}),
    event("bitrateChange", 1, 1),
    event("sessionEnd", 1, 1),
]


def places_in(document, path=()):
    """Every place of a document, as the keys that lead to it."""
    yield path
    for key, value in (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    ):
        yield from places_in(value, (*path, key))


@st.composite
def near_valid(draw, bases):
    """A valid document with one to three places changed, removed or added to."""
    document = json.loads(json.dumps(draw(st.sampled_from(bases))))
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        path = draw(st.sampled_from(list(places_in(document))))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "rename"]))
        if not path:
            if change == "add" and isinstance(document, dict):
                document[draw(st.text(max_size=5))] = draw(WILD)
        elif change == "replace":
            parent[path[-1]] = draw(WILD)
        elif change == "remove":
            del parent[path[-1]]
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=5))] = parent.pop(path[-1])
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(["eventType", "params", "qoeData", "customMetadata", "\ud83d", "x"]))] = draw(
                WILD
            )
    return document


@cases(600)
@given(document=near_valid(VALID), ascii_only=st.booleans(), is_start=st.booleans())
def test_events_that_are_nearly_valid(ground, document, ascii_only, is_start):
    path = paths(ground)[0 if is_start else 1]
    body = text_of(document, ascii_only=ascii_only)
    stored = len(ground.door.log.records)
    answer = ground.runner.run(ask_between(ground, request("POST", path, body)))
    assert answer.status in {201 if is_start else 204, 400}
    # START and PLAY are stored in any case; between them stands what was accepted, byte for byte, and nothing else.
    taken = [envelope.event for envelope in ground.door.log.envelopes(stored)] if answer.status < 300 else []
    assert len(ground.door.log.records) == stored + 2 + (answer.status < 300)
    if taken:
        assert body in taken


BATCH = batch(PLAY, VALID[2], VALID[3], event("sessionComplete", 5, 5))


@cases(250)
@given(document=near_valid([BATCH]), ascii_only=st.booleans(), place=st.sampled_from([0, 3]))
def test_batches_that_are_nearly_valid_are_taken_whole_or_not_at_all(ground, document, ascii_only, place):
    stored = len(ground.door.log.records)
    odd = request("POST", paths(ground)[place], text_of(document, ascii_only=ascii_only))
    answer = ground.runner.run(ask_between(ground, odd))
    assert answer.status in {201, 400}
    of_batch = [e for e in ground.door.log.envelopes(stored) if e.source == "batch"]
    expected = document if answer.status == 201 and isinstance(document, list) else []
    assert [envelope.batch.position for envelope in of_batch] == list(range(len(expected)))


TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12)
VALUE = st.text("".join(map(chr, [*range(0x21, 0x7F), *range(0x80, 0x100), 0x20, 0x09])), max_size=40).map(str.strip)
FRAMING_HEADERS = {"content-length", "transfer-encoding", "connection", "upgrade", "content-encoding", "expect", "host"}
HEADERS = st.dictionaries(TOKEN.filter(lambda name: name.lower() not in FRAMING_HEADERS), VALUE, max_size=5)


@cases(300)
@given(
    headers=HEADERS,
    method=st.sampled_from(
        ["POST", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE"]
    ),
    path=st.tuples(
        st.text("ab/.%20~é?&=", max_size=12).map(lambda text: "/" + text.replace("é", "%C3%A9")),
        st.integers(min_value=0, max_value=7),
    ),
    chunks=st.one_of(st.none(), st.lists(st.binary(min_size=1, max_size=30), max_size=5)),
)
def test_any_well_framed_request(ground, headers, method, path, chunks):
    prefix, place = path
    path = prefix + paths(ground)[place]
    odd = request(method, path, b"{}", headers) if chunks is None else chunked(method, path, chunks, headers)
    ground.runner.run(ask_between(ground, odd))


async def write_in_pieces(client: Client, data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        client.writer.write(data[start:end])
        await asyncio.sleep(0)


async def ask_anything(ground, odd, cuts):
    """Send a good request, then these bytes, then good requests until the door has closed the connection."""
    last = request("POST", f"/api/v1/sessions/{ground.sid}/events", PLAY, {"Connection": "close"})
    async with ground.door.connect() as client:
        await write_in_pieces(client, START + odd, cuts)
        answers = [await client.answer()]
        for _ in range(200):  # whatever waits for bytes has them, or its time is over, after that
            client.writer.write(last)
            try:
                async with asyncio.timeout(0.3):
                    while True:
                        answers.append(await client.answer(is_head=odd[:5].upper() == b"HEAD " and len(answers) == 1))
            except TimeoutError:
                continue
            except (asyncio.IncompleteReadError, ConnectionError):
                break
        else:
            pytest.fail(f"the door keeps a connection open after {odd!r}")
    assert answers[0].status == 201
    for answer in answers:
        assert answer.status in STATUSES, (odd, answer)
        assert_cors(answer)


SEEDS = [
    b"POST /api/v1/sessions/%s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/v1/sessions/%s/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    b"POST /api/v1/sessions/%s/events HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n"
    + gzip.compress(b"{}", mtime=0),
    b"OPTIONS /api/v1/sessions/%s HTTP/1.1\r\nHost: x\r\nOrigin: y\r\n\r\n",
    b"POST /api/v1/sessions/%s/events HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}",
]
SNIPPETS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b":",
    b" ",
    b"\t",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Host: y\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b" folded\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.1",
    b"HEAD ",
    b"CONNECT ",
    b"x" * 9000,
]


@st.composite
def mangled(draw, sid):
    data = draw(st.sampled_from(SEEDS)).replace(b"%s", sid)
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        at = draw(st.integers(min_value=0, max_value=len(data)))
        removed = draw(st.sampled_from([0, 0, 1, 2, 10]))
        added = draw(st.one_of(st.sampled_from(SNIPPETS), st.binary(max_size=3)))
        data = data[:at] + added + data[at + removed :]
    return data


@cases(600)
@given(data=st.data(), cuts=st.lists(st.integers(min_value=0, max_value=1000), max_size=3))
def test_any_framing(ground, data, cuts):
    odd = data.draw(mangled(ground.sid.encode()))
    ground.runner.run(ask_anything(ground, odd, cuts))


@cases(200)
@given(odd=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=0, max_value=600), max_size=3))
def test_any_bytes_on_a_connection(ground, odd, cuts):
    ground.runner.run(ask_anything(ground, odd, cuts))
