"""Hundreds of clients that dawdle, flood, never read or never leave: every good request beside them is answered."""

import asyncio
from contextlib import suppress

import pytest

from ingest.app import Bearing
from tests.ingest.doors import NOW, PLAY, assert_reconciled, connection, open_door, request, session_start, until

pytestmark = pytest.mark.usefixtures("way")

HOSTILE = 500
DRIP_SECONDS = 0.02
PATIENCE_SECONDS = 90
HEAD = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\n"
FLOOD = request("POST", f"/api/v1/sessions/{'0' * 64}/events", PLAY) * 40


async def idles(_write):
    await asyncio.Event().wait()


async def drips_a_head(write):
    for byte in HEAD * 1000:
        await write(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def drips_a_body(write):
    await write(HEAD + b"Content-Length: 60000\r\n\r\n")
    while True:
        await write(b" ")
        await asyncio.sleep(DRIP_SECONDS)


async def stops_amid_a_body(write):
    await write(HEAD + b"Content-Length: 60000\r\n\r\n{")
    await asyncio.Event().wait()


async def floods_with_headers(write):
    await write(HEAD)
    while True:
        await write(b"A: b\r\n" * 100)


async def never_reads(write):
    while True:
        await write(FLOOD)


async def sends_noise(write):
    await write(b"\x16\x03\x01" * 100 + b"\r\n\r\n")
    await asyncio.Event().wait()


KINDS = (
    *(idles, drips_a_head, drips_a_body, stops_amid_a_body),
    *(floods_with_headers, never_reads, sends_noise),
)


class Hostile:
    """One client of a kind, whose reading side is shut off from the start."""

    def __init__(self, port, kind):
        self._port, self._kind = port, kind
        self.connected = asyncio.Event()

    async def run(self):
        with suppress(ConnectionError):
            # Nothing is ever taken out of the reader: when its buffer is full, the kernel's fills too.
            _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1)
            self.connected.set()

            async def write(data):
                writer.write(data)
                await writer.drain()

            try:
                await self._kind(write)
            finally:
                writer.transport.abort()


async def good_client(port, sid, count):
    statuses = []
    async with connection(port) as client:
        statuses.append((await client.ask(request("OPTIONS", "/api/v1/sessions"))).status)
        statuses.append((await client.ask(request("POST", "/api/v1/sessions", session_start()))).status)
        for _ in range(count):
            statuses.append((await client.ask(request("POST", f"/api/v1/sessions/{sid}/events", PLAY))).status)
            await asyncio.sleep(0)
    return statuses


async def test_every_good_request_is_answered_among_hundreds_of_hostile_connections():
    # Long enough that no good client is ever taken for an idle one, however busy the machine.
    bearing = Bearing(body_seconds=4.0, keepalive_seconds=4.0, lingering_seconds=0.1)
    async with open_door(bearing=bearing) as door:
        clients = [Hostile(door.port, KINDS[number % len(KINDS)]) for number in range(HOSTILE)]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*(client.connected.wait() for client in clients))
            answered = await asyncio.gather(*(good_client(door.port, door.keys.mint(NOW), 20) for _ in range(20)))
            assert answered == [[204, 201, *[204] * 20]] * 20
            assert len(door.log.records) == 20 * 21
            async with asyncio.timeout(PATIENCE_SECONDS):  # its timers rid the door of all that only wait
                while len(door.runner.server.connections) > 2 * HOSTILE / len(KINDS):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: not door.collector.counts.in_flight)
        assert_reconciled(door)
        assert not any(status >= 500 for _, status in door.collector.counts.answered)


async def test_however_many_clients_ask_ahead_they_have_one_answer_in_a_turn_together():
    async with open_door() as door:
        answered = door.collector.counts.answered
        flood = asyncio.gather(*(Hostile(door.port, never_reads).run() for _ in range(60)))
        try:
            await until(lambda: sum(answered.values()) > 200)
            async with connection(door.port) as client:
                assert (await client.ask(request("OPTIONS", "/api/v1/sessions"))).status == 204
                for _ in range(10):
                    before = sum(answered.values())
                    assert (await client.ask(request("POST", "/api/v1/sessions", session_start()))).status == 201
                    assert sum(answered.values()) - before < 30
        finally:
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
