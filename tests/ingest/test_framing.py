"""The door on raw sockets: whatever one request does, its neighbours on the connection get their right answers."""

import asyncio
import logging

import orjson
import pytest

from ingest.app import Bearing
from tests.ingest.doors import (
    NOW,
    PLAY,
    assert_cors,
    assert_reconciled,
    batch,
    chunked,
    open_door,
    request,
    session_start,
    until,
)
from tests.ingest.logs import SlowLog

pytestmark = pytest.mark.usefixtures("way")

START = request("POST", "/api/v1/sessions", session_start())

BROKEN_HEADS = {
    "a blank in a header name": b"POST /b HTTP/1.1\r\nHo st: x\r\n\r\n",
    "an unknown method": b"BREW /api/v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": b"POST /api/v1/sessions HTTP/7.7\r\nHost: x\r\n\r\n",
    "no host": b"POST /api/v1/sessions HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "a negative length": b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
    "a length beyond all": b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "length and chunks": b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown transfer": b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "a header too long": b"POST /b HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
    "headers too many": b"POST /b HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    "a target too long": b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a broken target": b"POST http://[::1/x HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare line feeds": b"POST /b HTTP/1.1\nHost: x\n\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a zero byte": b"POST /b HTTP/1.1\r\nHost: x\x00y\r\n\r\n",
}


def play(sid, **more):
    return request("POST", f"/api/v1/sessions/{sid}/events", PLAY, more.get("headers"))


@pytest.mark.parametrize("head", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
async def test_broken_framing_is_400_with_cors_and_its_neighbour_before_is_answered(head):
    async with open_door() as door, door.connect() as client:
        await client.write(START + head)
        assert (await client.answer()).status == 201
        answer = await client.answer()
        assert (answer.status, answer.document["code"]) == (400, "malformed_request")
        assert [(e["path"], e["rule"]) for e in answer.document["errors"]] == [("", "framing")]
        assert_cors(answer)
        assert await client.rest() == b""
        assert len(door.log.records) == 1
        assert_reconciled(door)


async def test_broken_framing_alone_is_counted_and_makes_no_noise(caplog):
    caplog.set_level(logging.INFO)
    async with open_door() as door, door.connect() as client:
        answer = await client.ask(BROKEN_HEADS["no HTTP at all"])
        assert answer.status == 400
        assert door.collector.counts.answered == {("unframed", 400): 1}
    assert caplog.records == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 1000])
async def test_the_pieces_in_which_bytes_arrive_change_nothing(size):
    async with open_door() as door, door.connect() as client:
        sid = await door.start()
        path = f"/api/v1/sessions/{sid}/events"
        data = play(sid) + chunked("POST", path, [b"{", b"\r\n\r\n}"]) + play(sid) + START + BROKEN_HEADS["no host"]
        for at in range(0, len(data), size):
            await client.write(data[at : at + size])
            if size > 2:
                await asyncio.sleep(0)
        statuses = [(await client.answer()).status for _ in range(5)]
        assert statuses == [204, 400, 204, 201, 400]
        assert await client.rest() == b""
        assert_reconciled(door)


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        b"ZZ\r\n",
        b"-1\r\n",
        b"2\r\n{}XX\r\n",
        b"5;" + b"x" * 20_000 + b"\r\n",
        b"ffffffffffffffffffffff\r\n",
        b"2\n{}\n",
    ],
)
async def test_a_body_that_breaks_off_is_400_once_and_its_neighbour_before_is_answered(bad, pause):
    async with open_door() as door, door.connect() as client:
        sid = await door.start()
        head = f"POST /api/v1/sessions/{sid}/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        await client.write(START + head)
        if pause:
            assert (await client.answer()).status == 201
        await client.write(bad + play(sid))
        if not pause:
            assert (await client.answer()).status == 201
        answer = await client.answer()
        assert (answer.status, answer.document["code"]) == (400, "malformed_request")
        assert [(e["path"], e["rule"]) for e in answer.document["errors"]] == [("", "framing")]
        assert_cors(answer)
        assert await client.rest() == b""
        assert_reconciled(door)


async def test_a_body_that_nobody_wanted_may_break_off():
    async with open_door() as door, door.connect() as client:
        await client.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        assert (await client.answer()).status == 404
        await client.write(b"ZZ\r\n")
        assert await client.rest() == b""
        assert_reconciled(door)


async def test_pipelined_requests_are_answered_in_their_order():
    async with open_door() as door, door.connect() as client:
        sid = await door.start()
        path = f"/api/v1/sessions/{sid}/events"
        requests = {
            play(sid): 204,
            START: 201,
            request("POST", path, b"{"): 400,
            chunked("POST", path, [orjson.dumps(PLAY)]): 204,
            play("0" * 64): 404,
            request("POST", path, b"x" * 70_000): 413,
            request("GET", "/api/v1/schemas/play", None): 200,
            request("POST", "/api/v1/sessions", batch(PLAY)): 201,
            request("PUT", path, b"{}"): 405,
            request("OPTIONS", "*"): 404,
        }
        await client.write(b"".join(requests) * 10)
        answers = [await client.answer() for _ in range(10 * len(requests))]
        assert [answer.status for answer in answers] == [*requests.values()] * 10
        for answer in answers:
            assert_cors(answer)
        assert_reconciled(door)


async def test_more_pipelined_requests_than_the_parser_holds_lose_none_before_a_broken_one():
    log = SlowLog()
    async with open_door(log) as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        await client.write(play(sid) * 100 + BROKEN_HEADS["no host"])
        await log.until_waiting(1)
        log.gate.set()
        assert [(await client.answer()).status for _ in range(101)] == [204] * 100 + [400]
        assert_reconciled(door)


async def test_a_refused_upgrade_costs_no_neighbour_its_answer():
    async with open_door() as door, door.connect() as client:
        sid = await door.start()
        for offered in ("h2c", "websocket", "TLS/1.0"):
            headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": offered, "HTTP2-Settings": "AAMAAABk"}
            await client.write(play(sid, headers=headers) + play(sid) + START)
            assert [(await client.answer()).status for _ in range(3)] == [204, 204, 201]


async def test_an_http_1_0_request_is_answered_and_its_connection_closed():
    body = orjson.dumps(session_start())
    async with open_door() as door, door.connect() as client:
        await client.write(b"POST /api/v1/sessions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert (await client.answer()).status == 201
        assert await client.rest() == b""
        assert len(door.log.records) == 1


async def test_an_http_1_0_client_may_keep_its_connection():
    body = orjson.dumps(session_start())
    head = b"POST /api/v1/sessions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with open_door() as door, door.connect() as client:
        for _ in range(2):
            assert (await client.ask(head + body)).status == 201


async def test_a_client_that_waits_for_100_continue_gets_it():
    body = orjson.dumps(session_start())
    head = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    async with open_door() as door, door.connect() as client:
        await client.write(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.write(body)
        assert (await client.answer()).status == 201


@pytest.mark.parametrize("expected", ["100-continue-please", "200-ok", "\x7f"])
async def test_an_unknown_expectation_is_passed_over(expected):
    async with open_door() as door:
        assert (await door.post("/api/v1/sessions", session_start(), {"Expect": expected})).status in {201, 400}
        answer = await door.post("/nowhere", b"{}", {"Expect": expected})
        assert answer.status in {404, 400}
        assert_cors(answer)
        assert_reconciled(door)


async def test_a_connection_stays_open_over_refusals():
    async with open_door() as door, door.connect() as client:
        sid = await door.start()
        for _ in range(3):
            assert (await client.ask(request("POST", f"/api/v1/sessions/{sid}/events", b"{"))).status == 400
            assert (await client.ask(play("1"))).status == 404
            assert (await client.ask(play(sid))).status == 204


async def test_a_body_that_stalls_is_given_up():
    async with open_door(bearing=Bearing(body_seconds=0.1, lingering_seconds=0.1)) as door, door.connect() as client:
        await client.write(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        answer = await client.answer()
        assert (answer.status, answer.document["code"]) == (400, "malformed_request")
        assert [(e["path"], e["rule"]) for e in answer.document["errors"]] == [("", "framing")]
        assert_cors(answer)
        assert await client.rest() == b""
        assert_reconciled(door)


async def test_a_client_that_leaves_amid_its_body_is_counted_as_failed():
    async with open_door() as door:
        async with door.connect() as client:
            await client.write(START)
            assert (await client.answer()).status == 201
            await client.write(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
            await until(lambda: door.collector.counts.in_flight)
        await until(lambda: not door.collector.counts.in_flight)
        assert door.collector.counts.answered == {("sessions", 201): 1, ("sessions", 499): 1}
        assert door.collector.counts.failed == 1
        assert_reconciled(door)


async def test_a_body_too_large_is_refused_before_it_has_come_whole():
    async with open_door(bearing=Bearing(lingering_seconds=0.1)) as door, door.connect() as client:
        sid = await door.start()
        head = f"POST /api/v1/sessions/{sid}/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n".encode()
        await client.write(head + b"x" * 70_000)
        answer = await client.answer()
        assert answer.status == 413
        assert_cors(answer)


async def test_the_answer_to_a_head_request_has_no_body():
    async with open_door() as door, door.connect() as client:
        await client.write(request("HEAD", "/api/v1/sessions") + request("HEAD", "/api/v1/schemas/play") + START)
        assert (await client.answer(is_head=True)).status == 405
        assert (await client.answer(is_head=True)).status == 200
        assert (await client.answer()).status == 201


async def test_a_connect_request_is_refused_and_its_neighbour_answered():
    async with open_door() as door, door.connect() as client:
        await client.write(b"CONNECT door.example:80 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.answer()
        assert answer.status == 404
        assert_cors(answer)
        assert (await client.ask(START)).status == 201


async def test_a_client_that_shuts_its_sending_side_still_gets_its_answers():
    log = SlowLog()
    async with open_door(log) as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        await client.write(play(sid) * 40)
        client.writer.write_eof()
        await log.until_waiting(1)
        log.gate.set()
        assert [(await client.answer()).status for _ in range(40)] == [204] * 40
        assert await client.rest() == b""
        assert_reconciled(door)


async def test_a_client_that_shuts_its_sending_side_with_its_request_gets_its_answer():
    async with open_door() as door:
        for data in (START, START + START, request("GET", "/api/v1/schemas/play"), BROKEN_HEADS["no host"]):
            for _ in range(10):
                async with door.connect() as client:
                    client.writer.write(data)
                    client.writer.write_eof()
                    assert (await client.rest()).count(b"Server: mediabeat") == data.count(b" HTTP/1.")
        assert_reconciled(door)


async def test_a_client_that_shuts_its_sending_side_and_asks_nothing_is_let_go():
    async with open_door() as door, door.connect() as client:
        assert (await client.ask(START)).status == 201
        client.writer.write_eof()
        assert await client.rest() == b""


async def test_a_client_that_shuts_its_sending_side_amid_a_body_is_counted_as_failed():
    async with open_door() as door, door.connect() as client:
        await client.write(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await until(lambda: door.collector.counts.in_flight)
        client.writer.write_eof()
        await client.rest()
        await until(lambda: not door.collector.counts.in_flight)
        assert door.collector.counts.answered == {("sessions", 499): 1}


async def test_a_connection_that_ends_amid_a_body_costs_the_neighbour_before_it_nothing(caplog):
    caplog.set_level(logging.INFO)
    log = SlowLog()
    async with open_door(log) as door, door.connect() as client:
        await client.write(play(door.keys.mint(NOW)))
        await log.until_waiting(1)
        await client.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        client.writer.write_eof()
        log.gate.set()
        assert (await client.answer()).status == 204
        await client.rest()
    assert caplog.records == []
    assert_reconciled(door)


async def test_a_stop_waits_for_the_rest_of_a_body_that_was_begun():
    body = orjson.dumps(PLAY)
    async with open_door() as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        head = f"POST /api/v1/sessions/{sid}/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.write(head.encode() + body[:10])
        await until(lambda: door.collector.counts.in_flight)
        stopping = asyncio.create_task(door.runner.cleanup())
        await until(lambda: not door.runner.sites)
        await client.write(body[10:])
        assert (await client.answer()).status == 204
        assert await client.rest() == b""
        await stopping
        assert len(door.log.records) == 1
        assert_reconciled(door)


@pytest.mark.parametrize("size", [1, 40])
async def test_a_connection_that_ends_in_the_moment_of_its_next_request_ends_without_a_fault(size):
    async with open_door() as door, door.connect() as client:
        assert (await client.ask(START)).status == 201
        [connection] = door.runner.server.connections
        handling = connection._task_handler
        connection.transport.abort()  # it hears of this in the next turn of the loop, and sees its request only then
        connection.data_received(play(door.keys.mint(NOW), headers={"X": "a\tb"}) * size)
        await until(handling.done)
        assert handling.cancelled() or handling.exception() is None
        assert door.collector.counts.received == 1
        assert_reconciled(door)
