import asyncio
import gzip
import tracemalloc
import zlib
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.app import Bearing
from ingest.bodies import Bounds, Inflater, is_array, read_body
from ingest.problems import Problem
from tests.ingest.doors import NOW, PLAY, assert_cors, assert_reconciled, batch, chunked, open_door

LIMIT = 10_000
BOUNDS = Bounds(LIMIT, 100 * LIMIT)


class Pieces:
    """A body that arrives in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def read_nowait(self) -> bytes:
        return b"".join(self._pieces)

    def is_eof(self) -> bool:
        return len(self._pieces) < 2

    def exception(self) -> None:
        return None


def deflated(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush()


def read(*pieces: bytes, encoding: str = "", limit_of=BOUNDS.event, hold=lambda size: None) -> bytes:
    return asyncio.run(read_body(Pieces(*pieces), encoding, limit_of, 10, hold))


COMPRESSED = {"gzip": gzip.compress, "x-gzip": gzip.compress, " GZIP ": gzip.compress, "deflate": zlib.compress}


@given(
    raw=st.binary(max_size=300), cut=st.integers(min_value=0, max_value=300), encoding=st.sampled_from(list(COMPRESSED))
)
def test_a_compressed_body_is_read_however_it_arrives(raw, cut, encoding):
    sent = COMPRESSED[encoding](raw)
    assert read(sent[:cut], sent[cut:], encoding=encoding) == raw


@given(raw=st.binary(max_size=300))
def test_deflate_without_its_header_is_read_too(raw):
    assert read(deflated(raw), encoding="deflate") == raw


def test_a_gzip_body_may_have_several_members():
    assert read(gzip.compress(b"{") + gzip.compress(b"}"), encoding="gzip") == b"{}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("sent", [b"", b"{}", b"\x1f\x8b", b"x" * 100, b"\x00"])
def test_what_does_not_decompress_is_a_malformed_document(sent, encoding):
    with pytest.raises(Problem) as refused:
        read(sent, encoding=encoding)
    assert (refused.value.code, refused.value.status) == ("malformed_json", 400)
    assert [violation.rule for violation in refused.value.violations] == ["encoding"]
    assert refused.value.body == sent


@given(raw=st.binary(min_size=50, max_size=300), data=st.data())
def test_a_broken_gzip_body_is_never_taken_for_another(raw, data):
    sent = bytearray(gzip.compress(raw))
    kept = data.draw(st.integers(min_value=0, max_value=len(sent) - 1))
    with pytest.raises(Problem):
        read(bytes(sent[:kept]), encoding="gzip")
    # Not in the ten bytes of the header: its time stamp and the like are under no checksum.
    sent[data.draw(st.integers(min_value=10, max_value=len(sent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(Problem):
        assert read(bytes(sent), encoding="gzip") == raw


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x00", "é"])
def test_an_unknown_encoding_is_refused(encoding):
    with pytest.raises(Problem) as refused:
        read(b"{}", encoding=encoding)
    assert refused.value.status == 400
    assert [violation.rule for violation in refused.value.violations] == ["encoding"]


def test_identity_is_no_encoding():
    assert read(b"{}", encoding="identity") == b"{}"


def test_a_bomb_is_refused_before_it_has_grown():
    bomb = gzip.compress(b" " * 200_000_000)
    held = []
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as refused:
            read(bomb, encoding="gzip", hold=held.append)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "too_large"
    assert sum(held) <= LIMIT + 256 * 1024
    assert peak < 2_000_000


def test_a_stream_of_empty_members_is_refused():
    member = gzip.compress(b"")
    assert read(member * 100, encoding="gzip") == b""
    with pytest.raises(Problem) as refused:
        read(member * 101, encoding="gzip")
    assert refused.value.code == "malformed_json"


def test_compressed_bytes_are_bounded_whatever_they_make():
    head, empty_block = gzip.compress(b"")[:10], b"\x00\x00\x00\xff\xff"
    with pytest.raises(Problem) as refused:
        read(head, *[empty_block] * (2 * LIMIT // len(empty_block)), encoding="gzip")
    assert refused.value.code == "too_large"
    stored = zlib.compressobj(level=0, wbits=16 + zlib.MAX_WBITS)
    sent = stored.compress(b"x" * LIMIT) + stored.flush()
    assert len(sent) > LIMIT
    assert read(sent, encoding="gzip") == b"x" * LIMIT


def test_a_reject_of_a_large_body_carries_what_fits():
    with pytest.raises(Problem) as refused:
        read(b"x" * (LIMIT + 1))
    assert (refused.value.body, refused.value.truncated) == (b"x" * LIMIT, True)
    assert [violation.rule for violation in refused.value.violations] == ["maxBytes"]


def test_an_inflater_makes_no_more_at_a_time_than_it_is_told():
    assert max(map(len, Inflater(gzip=True).feed(gzip.compress(b"x" * 100_000), 1000))) <= 1000


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b" \t\r\n", b"\xef\xbb\xbf \n"])
def test_an_array_is_told_by_its_first_character(lead):
    assert is_array(lead + b"[]")
    assert not is_array(lead + b'{"a":[]}')
    assert not is_array(lead)


def test_an_array_has_the_larger_limit():
    body = b"[" + b" " * (2 * LIMIT) + b"]"
    assert read(body[:3], body[3:], limit_of=BOUNDS.either) == body
    with pytest.raises(Problem):
        read(b"{" + body, limit_of=BOUNDS.either)


async def test_a_bomb_sent_to_the_door_is_413_and_costs_no_neighbour_its_answer():
    bomb = gzip.compress(b"[" + b" " * 50_000_000)
    async with open_door() as door, door.connect() as client:
        for path in ("/api/v1/sessions", f"/api/v1/sessions/{door.keys.mint(NOW)}/events"):
            await client.write(chunked("POST", path, [bomb], {"Content-Encoding": "gzip"}))
            answer = await client.answer()
            assert answer.status == 413
            assert_cors(answer)
        assert_reconciled(door)


async def test_bytes_held_are_those_after_decompression():
    body = orjson.dumps(batch(PLAY)) + b" " * 1_000_000
    async with open_door(bearing=Bearing(max_bytes=500_000)) as door:
        answer = await door.post("/api/v1/sessions", gzip.compress(body), {"Content-Encoding": "gzip"})
        assert (answer.status, answer.document["code"]) == (503, "overloaded")
        assert_reconciled(door)
