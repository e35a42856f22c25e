"""What is remembered of heads says nothing that the bytes alone would not say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import express_heads
from ingest.express_heads import Head, Heads, common_head

LINES = st.sampled_from(
    [
        *(b"Host: a", b"host: b:80", b"Host: A", b"Connection: keep-alive", b"Connection: close", b"X: y", b"X: \x00"),
        *(
            b"Content-Length: 7",
            b"content-length: 0",
            b"CONTENT-LENGTH: 12",
            b"Content-Length: 007",
            b"Content-Length: +7",
        ),
        *(b"Content-Length: ", b"X-Content-Length: 5", b"Content-Length : 5", b" folded", b"TE: trailers", b"A:b"),
        *(b"Content-Length: 99999999", b"Content-Length: 100000000", b"content-length: 7 ", b"X: Content-Length: 9"),
    ]
)
SIDS = st.sampled_from([b"a" * 64, b"0123456789abcdef" * 4, b"A" * 64, b"a" * 63, b"a" * 65])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    first = b"POST /api/v1/sessions/%b/events HTTP/1.1" % draw(SIDS)
    first = draw(
        st.sampled_from([first, first, first, b"POST /api/v1/sessions HTTP/1.1", b"OPTIONS /api/v1/sessions HTTP/1.1"])
    )
    lines = draw(st.lists(LINES, max_size=4, unique=True))
    if draw(st.booleans()):
        lines = [b"Host: a", *lines, b"Content-Length: %d" % draw(st.integers(0, 10**9))]
    return b"\r\n".join([first, *lines, b"", b""])


def told(head: Head | None) -> tuple[object, ...] | None:
    return head and (head.kind, head.sid, head.length, head.asked, head.raw, head.end, head.whole)


@given(st.lists(heads(), min_size=1, max_size=6))
@settings(max_examples=300)
def test_a_head_whose_lines_were_seen_before_is_what_its_bytes_say(seen: list[bytes]) -> None:
    memory = Heads()
    for raw in [*seen, *seen]:
        assert told(memory.read(raw)) == told(common_head(raw))


def ends(head: Head | None) -> tuple[int, int] | None:
    return head and (head.end, head.whole)


@given(heads(), heads(), st.binary(max_size=9))
@settings(max_examples=300)
def test_a_head_that_is_like_the_one_before_is_what_its_bytes_say(before: bytes, raw: bytes, body: bytes) -> None:
    known = common_head(before)
    found = known.ends_in(raw + body, 10**8) if known else None
    if found:
        assert known is not None
        other = common_head(raw)
        assert other is not None
        assert (found, known.kind, known.sid) == (ends(other), other.kind, other.sid)


@given(st.integers(0, 99_999_999), st.integers(0, 99_999_999))
def test_another_length_is_all_that_may_differ(length: int, other: int) -> None:
    raw = b"POST /api/v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: y\r\n\r\n"
    known = common_head(raw % length)
    assert known is not None
    assert known.ends_in(raw % other + b"{}", 10**8) == ends(common_head(raw % other))
    assert (known.ends_in(raw % other, 5_000) is None) == (other > 5_000)
    for odd in (b"0%d" % other, b"%d " % other, b"+%d" % other, b"", b"1" * 9):
        assert known.ends_in((raw % length).replace(b": %d" % length, b": " + odd, 1), 10**8) is None


def test_sessions_behind_one_proxy_share_what_is_remembered() -> None:
    memory = Heads()
    for number in range(100):
        raw = b"POST /api/v1/sessions/%064x/events HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (number, number)
        head = memory.read(raw)
        assert head is not None
        assert (head.sid, head.length) == (f"{number:064x}", number)
    assert len(memory) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(express_heads, "MAX_BLOCKS", 4)
    memory = Heads()
    for number in range(100):
        memory.read(
            b"POST /api/v1/sessions/%064x/events HTTP/1.1\r\nHost: a%d\r\nContent-Length: 2\r\n\r\n" % (1, number)
        )
        assert len(memory) <= 4
