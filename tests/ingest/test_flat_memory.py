"""What a door holds after thousands of requests, sessions and connections is what it held after the first hundreds."""

import asyncio
import gc
from collections import Counter

import pytest

from tests.ingest.doors import NOW, assert_reconciled, connection, event, open_door, request, session_start, until
from tests.ingest.logs import MemoryLog
from tests.ingest.streams import messages, play

CONNECTIONS = 20
ROUNDS = 4


class ForgetfulLog(MemoryLog):
    """Says yes, and keeps nothing."""

    async def append(self, record):
        """So much for that."""

    async def append_all(self, records):
        """So much for those."""

    def offer(self, record):
        return True


async def visit(port, odd, number):
    """A player's whole visit on a connection of its own, among whose events stand all kinds of odd requests."""
    async with connection(port) as client:
        await client.ask(request("OPTIONS", "/api/v1/sessions"))
        sid = (await client.ask(request("POST", "/api/v1/sessions", session_start()))).sid
        for playhead in range(20):
            ping = event("ping", playhead, NOW)
            assert (await client.ask(play(sid, {"X-Visit": f"{number}"}, ping))).status == 204
        for name, data in odd.items():
            answer = await client.ask(data.replace(b"%b", sid.encode()))
            assert answer.status < 500, name
        await client.write(play(sid) * 3)
        for _ in range(3):
            assert (await client.answer()).status == 204
        if number % 3 == 0:  # others leave amid a request, or before their answer
            await client.write(play(sid)[: -number % 200])
            client.writer.transport.abort()


def held():
    """How many objects there are of each type that the collector knows, but for URLs: yarl keeps its newest few hundred."""
    gc.collect()
    found = Counter(type(one).__qualname__ for one in gc.get_objects())
    assert found.pop("URL", 0) < 1_000
    return found


@pytest.mark.parametrize("way", ["short", "ordinary"])
async def test_a_door_holds_nothing_of_requests_that_are_over(way):
    slow = {"a body of the limit", "a large body", "a batch"}
    odd = {name: data for name, data in messages("%b", "%b").items() if name not in slow}
    async with open_door(ForgetfulLog(), way=way) as door:
        counted = []
        for round_number in range(ROUNDS):
            numbers = range(round_number * CONNECTIONS, (round_number + 1) * CONNECTIONS)
            await asyncio.gather(*(visit(door.port, odd, number) for number in numbers))
            await until(lambda: not door.runner.server.connections and not door.collector.counts.in_flight)
            counted.append(held())
        requests = door.collector.counts.received
        assert requests > 20 * CONNECTIONS * ROUNDS
        assert_reconciled(door)
    early, late = counted[1], counted[-1]  # the first round fills what is bounded: caches, known heads and shapes
    grown = {name: late[name] - early[name] for name in late if late[name] - early[name] >= CONNECTIONS}
    assert grown == {}


REFUSALS = {
    "a session unknown": (404, request("POST", f"/api/v1/sessions/{'0' * 64}/events", event("ping"))),
    "a body too large": (413, request("POST", "/api/v1/sessions", b"x" * 100_000)),
    "a body broken off by its compression": (
        400,
        request("POST", "/api/v1/sessions", b"x", {"Content-Encoding": "gzip"}),
    ),
    "a document against its schema": (400, request("POST", "/api/v1/sessions", b"{}")),
}


@pytest.mark.parametrize("way", ["short", "ordinary"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_flood_of_refusals_leaves_the_collector_nothing_to_find(way, refusal):
    status, data = REFUSALS[refusal]
    async with open_door(way=way) as door, door.connect() as client:
        assert (await client.ask(data)).status == status
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(20):
                assert (await client.ask(data)).status == status
            gc.collect()
            found = Counter(type(one).__qualname__ for one in gc.garbage)
            assert found.total() < 2 * 20, found  # a refusal that is not freed at once leaves two dozen
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
