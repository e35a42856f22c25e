"""The short way beside pure aiohttp: the same bytes in any pieces are answered by the same bytes, and counted alike."""

import asyncio
import gzip
import random
import re
from contextlib import suppress
from itertools import permutations, product

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import express
from ingest.app import Bearing
from ingest.express import ExpressConnection
from schemas.records import LogUnavailable
from tests.ingest.doors import NOW, PLAY, assert_reconciled, batch, event, open_door, request, session_start, until
from tests.ingest.logs import AwayLog, MemoryLog

ALIKE = re.compile(rb"Date: [^\r]*|[0-9a-f]{64}")
"""What may differ between two doors: the second in which they answered, and the ids that they minted."""


class HeldLog(MemoryLog):
    """Answers `begin` when the test says so, all that wait with one future."""

    def __init__(self) -> None:
        super().__init__()
        self.future = None

    def begin(self, record):
        self.records.append(record)
        self.future = self.future or asyncio.get_running_loop().create_future()
        return self.future

    def settle(self, reason=None):
        future, self.future = self.future, None
        future.set_result(reason)


class StrangeLog(MemoryLog):
    """Raises at once, as a log without room does."""

    def __init__(self, error) -> None:
        super().__init__()
        self.error = error
        self.begun = 0

    async def append(self, record):
        raise self.error

    def begin(self, record):
        self.begun += 1
        raise self.error


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

LAST = {
    "the end": b"",
    "a close": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two like lengths": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"POST /api/v1/sessions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 2\r\n\r\n{}",
    "a folded line": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "a bare feed": b"POST /api/v1/sessions HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
    "a bare return": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nA: b\rc\r\nContent-Length: 2\r\n\r\n{}",
    "a zero byte": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nA: \x00\r\nContent-Length: 2\r\n\r\n{}",
    "a signed length": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
    "HTTP/1.0": b"POST /api/v1/sessions HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "half a head": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-",
    "half a body": b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{}",
}


async def rest(reader):
    """Everything until the end of the connection; what came before a reset too."""
    answers = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                answers += chunk
    return answers + bytes(reader._buffer)


async def told(door, data, cuts=()):
    """Everything the door answers to these bytes, sent in pieces, as far as two doors must agree about it."""
    async with door.connect() as client:
        at = 0
        for cut in [*sorted(cuts), len(data)]:
            await client.write(data[at:cut])
            at = max(at, cut)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with suppress(OSError):  # it has hung up already
            client.writer.write_eof()
        answers = await rest(client.reader)
    await until(lambda: not door.collector.counts.in_flight)
    return ALIKE.sub(b"#", answers)


class Pair:
    """Two doors that differ in the way alone, and one loop for both."""

    def __init__(self, runner, short, ordinary):
        self.runner, self.short, self.ordinary = runner, short, ordinary
        self.sid, self.closed = short.keys.mint(NOW), short.keys.mint(NOW)
        for door in (short, ordinary):
            door.closed.add(self.closed, NOW)
        self.messages = messages(self.sid, self.closed)

    def assert_alike(self, data, cuts=()):
        async def both():
            for door in (self.short, self.ordinary):
                door.collector.counts.answered.clear()
                door.log.records.clear()
            answers = [await told(door, data, cuts) for door in (self.short, self.ordinary)]
            return answers, [door.collector.counts.answered for door in (self.short, self.ordinary)]

        (short, ordinary), (counted, counted_ordinary) = self.runner.run(both())
        assert without_close(short) == without_close(ordinary)
        assert counted == counted_ordinary
        assert len(self.short.log.records) == len(self.ordinary.log.records)
        return short


def without_close(answers):
    # Which answer is the last before a close depends on whether aiohttp has seen the end by then.
    return answers.replace(b"Connection: close\r\n", b"")


@pytest.fixture(scope="module")
def pair():
    bearing = Bearing(body_seconds=0.2, lingering_seconds=0.05)
    with asyncio.Runner() as runner:
        openings = [open_door(bearing=bearing, way=way) for way in ("short", "ordinary")]
        doors = [runner.run(opening.__aenter__()) for opening in openings]
        yield Pair(runner, *doors)
        for opening in openings:
            runner.run(opening.__aexit__(None, None, None))


class Witness:
    """Sees what is handed over."""

    def __init__(self, monkeypatch):
        self.handed_over = []
        given = ExpressConnection._hand_over

        def seen(connection, data):
            self.handed_over.append(data)
            given(connection, data)

        monkeypatch.setattr(ExpressConnection, "_hand_over", seen)


@pytest.mark.parametrize("name", COMMON)
async def test_what_fleets_send_all_day_takes_the_short_way(name, monkeypatch):
    witness = Witness(monkeypatch)
    async with open_door(way="short") as door, door.connect() as client:
        sent = messages(door.keys.mint(NOW), door.keys.mint(NOW))[name]
        for data in (sent, sent * 3):
            await client.write(data)
            for _ in range(len(data) // len(sent)):
                assert (await client.answer()).status in {201, 204}
    assert witness.handed_over == []
    assert_reconciled(door)


@pytest.mark.parametrize("name", set(messages("0" * 64, "")) - set(COMMON))
async def test_what_is_odd_goes_to_aiohttp_untouched_and_the_connection_comes_back(name, monkeypatch):
    witness = Witness(monkeypatch)
    async with open_door(way="short") as door, door.connect() as client:
        sid, closed = door.keys.mint(NOW), door.keys.mint(NOW)
        door.closed.add(closed, NOW)
        odd = messages(sid, closed)[name]
        assert (await client.ask(play(sid))).status == 204
        await client.ask(odd)
        assert witness.handed_over
        assert odd.startswith(witness.handed_over[-1])
        assert witness.handed_over[-1].startswith(odd[:40])
        witness.handed_over.clear()
        await asyncio.sleep(0)
        assert (await client.ask(play(sid))).status == 204
        assert witness.handed_over == []
    assert_reconciled(door)


@pytest.mark.parametrize("names", [*permutations(("a play", "a start", "no event", "chunks"))])
def test_ordinary_and_odd_requests_in_every_order_are_answered_alike(pair, names):
    pair.assert_alike(b"".join(pair.messages[name] for name in names))


@pytest.mark.parametrize("name", messages("0" * 64, ""))
def test_each_request_between_common_ones_is_answered_alike(pair, name):
    one, odd = pair.messages["a play"], pair.messages[name]
    answers = pair.assert_alike(one + odd + one + pair.messages["a preflight"])
    assert answers.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize(("name", "before"), [*product(LAST, ("", "a play", "no event"))])
def test_each_last_request_is_answered_alike(pair, name, before):
    pair.assert_alike(pair.messages.get(before, b"") + LAST[name])


def test_every_split_of_the_bytes_is_answered_alike(pair):
    data = pair.messages["a play"] + pair.messages["a preflight"] + pair.messages["no event"] + pair.messages["a play"]
    expected = pair.runner.run(told(pair.ordinary, data))

    async def split(cut):
        return await told(pair.short, data, [cut])

    async def all_splits():
        found = []
        for first in range(0, len(data), 32):
            found += await asyncio.gather(*(split(cut) for cut in range(first, min(first + 32, len(data)))))
        return found

    assert {without_close(answers) for answers in pair.runner.run(all_splits())} == {without_close(expected)}


def test_bytes_that_come_one_by_one_are_answered_alike(pair):
    data = pair.messages["a play"] + pair.messages["chunks"] + pair.messages["a start"] + LAST["no host"]
    pair.assert_alike(data, range(len(data)))


def test_streams_drawn_at_random_are_answered_alike(pair):
    chance = random.Random(5)
    names = list(pair.messages)
    for _ in range(60):
        data = b"".join(pair.messages[chance.choice(names)] for _ in range(chance.randrange(1, 9)))
        data += LAST[chance.choice(list(LAST))]
        pair.assert_alike(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))])


SNIPPETS = [
    *(b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b":", b" ", b"\t", b"\r\n\r\n", b"0", b"HTTP/1.1"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
    *(b"Host: y\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b" folded\r\n", b"x" * 5000),
]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_common_requests_that_were_tampered_with_are_answered_alike(pair, data):
    sent = pair.messages[data.draw(st.sampled_from(COMMON[:5]))]
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(sent)))
        added = data.draw(st.sampled_from(SNIPPETS) | st.binary(max_size=2))
        sent = sent[:at] + added + sent[at + data.draw(st.sampled_from([0, 0, 1, 5])) :]
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=2))
    pair.assert_alike(pair.messages["a play"] + sent + pair.messages["a play"], cuts)


async def test_answers_stay_in_order_behind_one_that_waits_for_the_log():
    log = HeldLog()
    async with open_door(log, way="short") as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        preflight = request("OPTIONS", "/api/v1/sessions")
        await client.write(
            play(sid) + preflight + play(sid, body=b"{") + request("POST", "/api/v1/sessions", session_start())
        )
        await until(lambda: log.records)
        assert door.collector.counts.in_flight == 1
        log.settle()
        answers = [await client.answer() for _ in range(4)]
        assert [answer.status for answer in answers[:3]] == [204, 204, 400]
        assert "access-control-max-age" in answers[1].headers
        assert answers[3].status == 201
    assert_reconciled(door)


async def test_requests_that_share_their_outcome_share_it_when_it_is_unknown():
    log = HeldLog()
    async with open_door(log, way="short") as door, door.connect() as client, door.connect() as other:
        sid = door.keys.mint(NOW)
        await client.write(play(sid) * 2)
        await other.write(request("POST", "/api/v1/sessions", session_start()))
        await until(lambda: len(log.records) == 3)
        log.settle("the broker went away")
        for answer in (await client.answer(), await client.answer(), await other.answer()):
            assert answer.status == 503
            assert answer.document["code"] == "overloaded"
            assert answer.headers["retry-after"]
        assert door.collector.counts.append_outcomes_unknown == 3
        assert door.collector.counts.events_accepted == 0
    assert_reconciled(door)


@pytest.mark.parametrize("error", [LogUnavailable("no room"), RuntimeError("a fault of ours")])
async def test_what_the_log_refuses_at_once_is_503_and_not_begun_again(error):
    async with open_door(StrangeLog(error), way="short") as door, door.connect() as client:
        assert (await client.ask(play(door.keys.mint(NOW)))).status == 503
        assert door.log.begun == 1
        assert door.collector.counts.append_outcomes_unknown == 1
    assert_reconciled(door)


@pytest.mark.parametrize("sent", [play("%s"), request("POST", "/api/v1/sessions", session_start())])
async def test_a_503_is_the_same_on_both_ways(sent):
    answers = []
    for way in ("short", "ordinary"):
        async with open_door(AwayLog(), way=way) as door:
            data = sent.replace(b"%s", door.keys.mint(NOW).encode())
            answers.append(without_close(await told(door, data)))
            assert door.collector.counts.append_outcomes_unknown == 1
            assert_reconciled(door)
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 503 ")


async def test_an_answer_of_the_log_that_comes_too_late_changes_nothing():
    log = HeldLog()
    async with open_door(log, way="short", append_seconds=0.05) as door, door.connect() as client:
        assert (await client.ask(play(door.keys.mint(NOW)))).status == 503
        log.settle()
        assert (await client.ask(request("OPTIONS", "/api/v1/sessions"))).status == 204
        assert door.collector.counts.events_accepted == 0
    assert_reconciled(door)


async def test_a_client_that_leaves_before_its_acknowledgement_costs_its_neighbours_nothing():
    log = HeldLog()
    async with open_door(log, way="short") as door, door.connect() as other:
        sid = door.keys.mint(NOW)
        async with door.connect() as client:
            await client.write(play(sid))
            await until(lambda: log.records)
            client.writer.transport.abort()
        await other.write(play(sid))
        await until(lambda: len(log.records) == 2)
        log.settle()
        assert (await other.answer()).status == 204
        assert door.collector.counts.answered == {("events", 204): 2}
    assert_reconciled(door)


async def test_a_client_that_does_not_read_is_not_read_either():
    async with open_door(way="short") as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1024)
        flood = play(door.keys.mint(NOW)) * 500
        try:
            # The kernel's buffers of both directions fill, then ours; after that nothing moves.
            for _ in range(2000):
                writer.write(flood)
                if writer.transport.get_write_buffer_size() > 4_000_000:
                    break
                await asyncio.sleep(0)
            await until(lambda: any(c._is_held and c._paused for c in door.runner.server.connections))
            [connection] = door.runner.server.connections
            assert len(connection._rest) < 1_000_000
            assert len(connection._turns) <= express.MAX_TURNS
            received = door.collector.counts.received
            assert (await door.event(door.keys.mint(NOW), PLAY)).status == 204, "its neighbours are answered"
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
                while door.collector.counts.received <= received + 1:
                    await reader.read(65_536)
        finally:
            writer.transport.abort()


async def test_a_body_that_stalls_is_given_to_aiohttp_and_given_up():
    bearing = Bearing(body_seconds=0.1, lingering_seconds=0.1)
    async with open_door(way="short", bearing=bearing) as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        await client.write(play(sid) + play(sid)[:-1])
        assert (await client.answer()).status == 204
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert_reconciled(door)


async def test_an_idle_connection_is_closed_and_a_waiting_one_is_not():
    log = HeldLog()
    opening = open_door(log, way="short", bearing=Bearing(keepalive_seconds=0.2))
    async with opening as door, door.connect() as idle, door.connect() as waiting:
        await waiting.write(play(door.keys.mint(NOW)))
        await until(lambda: log.records)
        assert await idle.rest() == b""
        log.settle()
        assert (await waiting.answer()).status == 204
        assert await waiting.rest() == b""


async def test_a_stop_amid_a_pipeline_answers_what_was_taken_and_says_which_answer_is_the_last():
    log = HeldLog()
    async with open_door(log, way="short") as door, door.connect() as client:
        sid = door.keys.mint(NOW)
        await client.write(play(sid) * 3)
        await until(lambda: len(log.records) == 3)
        door.door.drain()
        stopping = asyncio.create_task(door.runner.cleanup())
        await until(lambda: not door.runner.sites)
        log.settle()
        answers = [await client.answer() for _ in range(3)]
        assert [answer.status for answer in answers] == [204] * 3
        assert [answer.headers.get("connection") for answer in answers] == [None, None, "close"]
        assert await client.rest() == b""
        await stopping
    assert_reconciled(door)


async def test_a_draining_door_takes_nothing_the_short_way(monkeypatch):
    witness = Witness(monkeypatch)
    async with open_door(way="short") as door, door.connect() as client:
        door.door.drain()
        assert (await client.ask(play(door.keys.mint(NOW)))).status == 204
        assert len(witness.handed_over) == 1


async def test_the_bytes_published_are_the_same_on_both_ways():
    values = []
    for way in ("short", "ordinary"):
        async with open_door(way=way) as door:
            raw = b'\xef\xbb\xbf { "playerTime" : {"ts":1, "playhead":0.50},\n "eventType":"pl\\u0061y" }'
            sid = door.keys.mint(NOW)
            assert (await door.event(sid, raw)).status == 204
            assert (await door.post("/api/v1/sessions", session_start())).status == 201
            values.append([ALIKE.sub(b"#", record.value) for record in door.log.records])
            assert door.collector.counts.bytes_accepted == len(raw) - 3 + len(orjson.dumps(session_start()))
    assert values[0] == values[1]
