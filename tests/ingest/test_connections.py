"""Timers, limits, stops and slow clients, on both ways through the door, with and without TLS."""

import asyncio
from contextlib import asynccontextmanager, suppress
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET

import orjson
import pytest
import uvloop

from ingest.app import Bearing
from ingest.express import MAX_TURNS
from tests.ingest.doors import NOW, PLAY, assert_reconciled, connection, event, open_door, request, session_start, until
from tests.ingest.logs import SlowLog
from tests.ingest.streams import messages, play

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture(params=["plain", "tls"])
def tls(request):
    return request.param == "tls"


@pytest.fixture
def run():
    """On the loop that doors run on; its TLS is its own."""

    async def to_its_end(scenario):
        await scenario
        # uvloop may hang if it is closed while a connection still is: let all of them come to their ends.
        await until(lambda: len(asyncio.all_tasks()) == 1)
        for _ in range(100):
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda scenario: runner.run(to_its_end(scenario))


def test_an_idle_connection_is_closed_and_one_that_waits_for_the_log_is_not(run, tls):
    async def scenario():
        log = SlowLog()
        opening = open_door(log, tls=tls, bearing=Bearing(keepalive_seconds=0.3))
        async with opening as door, door.connect() as idle, door.connect() as waiting:
            await waiting.write(play(door.keys.mint(NOW)))
            await log.until_waiting(1)
            assert await idle.rest() == b""
            log.gate.set()
            assert (await waiting.answer()).status == 204
            assert (await waiting.ask(play(door.keys.mint(NOW)))).status == 204
            assert await waiting.rest() == b""
            assert_reconciled(door)

    run(scenario())


def test_a_connection_that_is_used_outlives_its_keep_alive_time(run, tls):
    async def scenario():
        opening = open_door(tls=tls, bearing=Bearing(keepalive_seconds=1.0))
        async with opening as door, door.connect() as client, door.connect() as other:
            sid = door.keys.mint(NOW)
            while not other.reader.at_eof():  # more than one keep-alive time goes by
                assert (await client.ask(play(sid))).status == 204
                await asyncio.wait([asyncio.ensure_future(other.reader.read())], timeout=0.05)
            for _ in range(3):
                assert (await client.ask(play(sid))).status == 204

    run(scenario())


def test_a_body_that_stalls_is_given_up(run, tls):
    async def scenario():
        bearing = Bearing(body_seconds=0.1, lingering_seconds=0.1)
        async with open_door(bearing=bearing, tls=tls) as door, door.connect() as client:
            sid = door.keys.mint(NOW)
            await client.write(play(sid) + play(sid)[:-1])
            assert [(await client.answer()).status for _ in range(2)] == [204, 400]
            assert await client.rest() == b""
            assert_reconciled(door)

    run(scenario())


def test_a_stop_amid_a_pipeline_answers_what_is_on_the_log_in_order_and_says_which_answer_is_the_last(run, tls, way):
    async def scenario():
        log = SlowLog()
        async with open_door(log, tls=tls) as door, door.connect() as client:
            sid = door.keys.mint(NOW)
            await client.write(b"".join(play(sid, body=event("ping", number, 0)) for number in range(3)))
            await log.until_waiting(3 if way == "short" else 1)  # aiohttp begins one after the other
            door.door.drain()
            stopping = asyncio.create_task(door.runner.cleanup())
            await until(lambda: not door.runner.sites)
            log.gate.set()
            answers = []
            with suppress(asyncio.IncompleteReadError):
                while True:
                    answers.append(await client.answer())
            await stopping
            assert [answer.status for answer in answers] == [204] * len(answers)
            if way == "short":  # the other way is told by `deploy.process.serving` that it is over
                said = [answer.headers.get("connection") for answer in answers]
                assert said == [None, None, "close"]
            assert [orjson.loads(e.event)["playerTime"]["playhead"] for e in log.envelopes()] == [*range(len(answers))]
            assert len(answers) == 3 if way == "short" else len(answers) >= 1
            assert_reconciled(door)

    run(scenario())


def test_a_client_that_leaves_before_its_acknowledgement_costs_its_neighbours_nothing(run, tls):
    async def scenario():
        log = SlowLog()
        async with open_door(log, tls=tls) as door, door.connect() as other:
            sid = door.keys.mint(NOW)
            for _ in range(10):
                async with door.connect() as client:
                    await client.write(play(sid) * 2)
                    await log.until_waiting(1)
                    client.writer.transport.abort()
            await other.write(play(sid))
            log.gate.set()
            assert (await other.answer()).status == 204
            await until(lambda: not door.collector.counts.in_flight)
            assert door.collector.counts.events_accepted == len(log.records)
            assert_reconciled(door)

    run(scenario())


async def flood_without_reading(door, client):
    """Until the door holds this client: the kernel's buffers of both directions are full, then ours. The door's end."""
    assert (await client.ask(play(door.keys.mint(NOW)))).status == 204  # hands are shaken
    client.writer.transport.pause_reading()
    [held] = door.runner.server.connections
    transport = held.transport
    for side, option in ((client.writer.transport, SO_RCVBUF), (transport, SO_SNDBUF)):
        side.get_extra_info("socket").setsockopt(SOL_SOCKET, option, 4096)
    flood = play(door.keys.mint(NOW)) * 100
    async with asyncio.timeout(20):
        while not held._paused or client.writer.transport.get_write_buffer_size() < 1_000_000:
            if client.writer.transport.get_write_buffer_size() < 1_000_000:
                client.writer.write(flood)
            await asyncio.sleep(0)
    return transport


def test_a_client_that_does_not_read_is_not_read_either(run, tls, way):
    async def scenario():
        async with open_door(tls=tls) as door, door.connect() as client:
            transport = await flood_without_reading(door, client)
            if way == "short":
                [held] = door.runner.server.connections
                assert len(held._rest) < 1_000_000
                assert len(held._turns) <= MAX_TURNS
            received = door.collector.counts.received
            async with door.connect() as other:
                for _ in range(20):
                    assert (await other.ask(play(door.keys.mint(NOW)))).status == 204, "its neighbours are answered"
            assert door.collector.counts.received <= received + 20 + 64
            client.writer.transport.resume_reading()
            assert (await client.answer()).status == 204
            await until(lambda: door.collector.counts.received > received + 200)
            for end in (transport, client.writer.transport):
                end.abort()

    run(scenario())


def test_a_stop_does_not_wait_for_ever_for_a_client_that_does_not_read(run):
    async def scenario():
        async with open_door(shutdown_seconds=0.2) as door, door.connect() as client:
            transport = await flood_without_reading(door, client)
            door.door.drain()
            await asyncio.wait_for(door.runner.cleanup(), 10)
            for end in (transport, client.writer.transport):  # the end of a process does it
                end.abort()

    run(scenario())


class Relay:
    """Between a client and a door; passes on what the client sends byte by byte."""

    def __init__(self, port):
        self._port = port
        self.passed_on = 0

    @asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        door_reader, door_writer = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._drip(reader, door_writer))
            both.create_task(self._pour(door_reader, writer))

    async def _drip(self, reader, writer):
        while data := await reader.read(1):
            self.passed_on += 1
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async def _pour(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


def test_a_client_whose_bytes_come_one_by_one_is_answered_as_any(run, tls):
    """Under TLS its handshake and its records too."""

    async def scenario():
        async with open_door(tls=tls) as door:
            relay, sid = Relay(door.port), door.keys.mint(NOW)
            async with relay.listening() as port, connection(port, tls=tls) as client:
                await client.write(play(sid) + messages(sid, sid)["chunks"] + play(sid))
                assert [(await client.answer()).status for _ in range(3)] == [204, 400, 204]
                start = request("POST", "/api/v1/sessions", session_start(), {"Connection": "close"})
                assert (await client.ask(start)).status == 201
                assert await client.rest() == b""
            assert relay.passed_on > len(start)
            assert_reconciled(door)

    run(scenario())


def test_hundreds_of_connections_that_never_shake_hands_hold_nobody_up(run):
    async def scenario():
        async with open_door(tls=True, bearing=Bearing(keepalive_seconds=0.3)) as door:
            said = [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"POST /api/v1/sessions HTTP/1.1\r\n\r\n", b"\x00" * 600]
            silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(200)]
            for number, (_, writer) in enumerate(silent):
                writer.write(said[number % len(said)])
            async with door.connect() as client:
                for _ in range(20):
                    assert (await client.ask(play(door.keys.mint(NOW)))).status == 204
            for _, writer in silent:
                writer.transport.abort()
            assert door.collector.counts.received == 20
            assert_reconciled(door)

    run(scenario())


def test_a_record_carries_the_same_under_tls(run, tls):
    async def scenario():
        async with open_door(tls=tls) as door:
            assert (await door.event(door.keys.mint(NOW), PLAY)).status == 204
            [envelope] = door.log.envelopes()
            assert (orjson.loads(envelope.event), envelope.peer) == (PLAY, "127.0.0.0")

    run(scenario())
