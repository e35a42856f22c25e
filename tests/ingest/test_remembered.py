"""What connections remember of their heads, ids and answers is never taken for more than it is."""

import re

import orjson
import pytest

from ingest import express_answers
from tests.ingest.doors import LIFETIME_MS, NOW, assert_reconciled, event, open_door, request, session_start
from tests.ingest.pair import pair_of_doors
from tests.ingest.streams import messages, play


@pytest.fixture(scope="module")
def pair():
    with pair_of_doors() as pair:
        yield pair


LENGTHS = {
    "another length": b"2",
    "a blank behind it": b"58 ",
    "a sign": b"+58",
    "a zero before it": b"058",
    "a list": b"58, 58",
    "hex": b"0x3a",
    "nothing": b"",
    "a tab": b"58\t",
    "a letter": b"58a",
    "a point": b"58.0",
    "underscores": b"5_8",
    "more than is allowed": b"70000",
    "more than there is": b"99999999999999999999",
    "a second length": b"58\r\nContent-Length: 2",
    "a second length alike": b"58\r\ncontent-length: 58",
    "chunks": b"58\r\nTransfer-Encoding: chunked",
    "a folded line": b"58\r\n 58",
    "a bare feed": b"58\nX: y",
    "a bare return": b"58\rX: y",
    "an empty head behind it": b"2\r\n\r\nPOST /x HTTP/1.1",
    "a whole request behind it": b"2\r\n\r\n{}OPTIONS /api/v1/sessions HTTP/1.1",
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_known_head_with_another_length_is_answered_as_if_it_were_not_known(pair, name):
    one = pair.messages["a play"]
    assert one.count(b"Content-Length: 58\r\n") == 1
    other = one.replace(b"Content-Length: 58\r\n", b"Content-Length: " + LENGTHS[name] + b"\r\n")
    pair.assert_alike(one * 2 + other + one)
    for cut in range(len(one), len(one) + other.find(b"\r\n\r\n") + 4, 29):
        pair.assert_alike(one + other + one, [cut])


@pytest.mark.parametrize("sid", ["0" * 64, "an upper one", "a cut one", "f" * 65])
def test_known_lines_under_another_id_prove_nothing(pair, sid):
    other = {"an upper one": pair.sid.upper(), "a cut one": pair.sid[:-1]}.get(sid, sid)
    one = pair.messages["a play"]
    answers = pair.assert_alike(one * 2 + play(other) + one)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"204", b"204", b"404", b"204"]


async def test_a_session_that_is_closed_under_a_connection_is_410_at_once_and_another_goes_on():
    async with open_door(way="short") as door, door.connect() as client:
        sid, other = door.keys.mint(NOW), door.keys.mint(NOW)
        assert [(await client.ask(play(each))).status for each in (sid, sid, other, sid)] == [204] * 4
        door.closed.add(sid, NOW)
        assert [(await client.ask(play(each))).status for each in (sid, other, sid, sid)] == [410, 204, 410, 410]
        assert_reconciled(door)


async def test_an_id_that_grows_too_old_under_a_connection_is_410():
    async with open_door(way="short") as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        assert (await client.ask(play(sid))).status == 204
        door.clock.now = NOW + LIFETIME_MS + 1
        assert (await client.ask(play(sid))).status == 410


async def test_the_sessions_of_one_connection_are_told_apart():
    async with open_door(way="short") as door, door.connect() as client:
        sids = [door.keys.mint(NOW) for _ in range(3)]
        order = [0, 0, 1, 2, 1, 0, 2, 2, 1, 0]
        await client.write(b"".join(play(sids[which], body=event("ping", at, 0)) for at, which in enumerate(order)))
        for _ in order:
            assert (await client.answer()).status == 204
        assert door.collector.counts.ordinary == 0
        stored = {orjson.loads(e.event)["playerTime"]["playhead"]: e.sid for e in door.log.envelopes()}
        assert stored == {at: sids[which] for at, which in enumerate(order)}


async def test_answers_carry_the_second_in_which_they_are_given(monkeypatch):
    second = "Sat, 21 Nov 2026 12:00:00 GMT"
    monkeypatch.setattr(express_answers, "rfc822_formatted_time", lambda: second)
    async with open_door(way="short") as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        asked = (messages(sid, sid)["a preflight"], play(sid), request("POST", "/api/v1/sessions", session_start()))
        for second in ("Sat, 21 Nov 2026 12:00:01 GMT", "Sat, 21 Nov 2026 12:00:02 GMT"):
            for data in asked * 2:
                assert (await client.ask(data)).headers["date"] == second
        assert door.collector.counts.ordinary == 0


@pytest.mark.parametrize("asked", ["content-type", "X-A", "", " content-type , x ", "a" * 1024, "a" * 1025, "é", "a;b"])
def test_each_preflight_is_answered_with_its_own_wish(pair, asked):
    preflight = b"OPTIONS /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: %b\r\n\r\n"
    data = preflight % b"content-type" + preflight % asked.encode("latin-1") + preflight % b"X-B"
    pair.assert_alike(data * 2)


def test_events_of_known_shapes_are_judged_and_published_as_if_each_were_read(pair):
    bodies = [template % number for template in TEMPLATES for number in NUMBERS]
    for _ in range(2):
        for first in range(0, len(bodies), 20):
            pair.assert_alike(b"".join(play(pair.sid, body=body) for body in bodies[first : first + 20]))


TEMPLATES = [
    b'{"eventType":"ping","playerTime":{"playhead":%b,"ts":17}}',
    b'{"eventType":"ping","playerTime":{"playhead":1,"ts":%b}}',
    b'{"eventType":"bitrateChange","playerTime":{"playhead":1,"ts":2},"qoeData":{"media.qoe.bitrate":%b}}',
    b'{"eventType":"error","playerTime":{"playhead":1,"ts":2},"qoeData":{"media.qoe.droppedFrames":%b}}',
    b'{"eventType":"play","playerTime":{"playhead":1,"ts":2},"customMetadata":{"a":%b}}',
]
NUMBERS = [
    *(b"1", b"2", b"12", b"21", b"1.5", b"2.5", b"01", b"0", b"00", b"0.5", b"-1", b"-0", b"-01", b"1e2", b"1E9"),
    *(b"1e999", b"9" * 19, b"8" * 30, b"1.", b".5", b"NaN", b"0x10", b"1_0", b"true", b'"1"', b"[1]", b"1 ", b" 1"),
]
