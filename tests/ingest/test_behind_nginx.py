"""Both ways behind a real nginx: what its clients are told is the same bytes, and what is kept is the same."""

import asyncio
import random
from collections import Counter

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.doors import WAYS, assert_reconciled, batch, chunked, event, request, session_start, until
from tests.ingest.nginx import LEAVING, MANNERS, nginx
from tests.ingest.pair import pair_of_doors, socket_of, told
from tests.ingest.streams import COMMON, LAST, NAMES, play, tampered, told_alike


@pytest.fixture(scope="module")
def pair():
    with pair_of_doors() as pair:
        yield pair


@pytest.fixture(scope="module")
def sockets(pair):
    with nginx({way: pair.doors[way].port for way in WAYS}) as home:
        yield home


@pytest.fixture(params=MANNERS)
def through(request, sockets):
    """How to connect to a door through nginx."""
    return lambda way: socket_of(sockets / f"{request.param}-{way}")


@pytest.fixture
def through_kept(sockets):
    return lambda way: socket_of(sockets / f"kept-{way}")


def under(prefix, data):
    return data.replace(b" /", b" " + prefix + b"/", 1)


@pytest.mark.parametrize("manner", MANNERS)
def test_each_request_between_common_ones_is_answered_alike(pair, sockets, manner):
    prefix = b"/va" if manner == "prefix" else b""
    one = under(prefix, pair.messages["a play"])
    for name in NAMES:
        data = one + under(prefix, pair.messages[name]) + one + under(prefix, pair.close)
        answers = pair.assert_alike(data, connect=lambda way: socket_of(sockets / f"{manner}-{way}"))
        assert answers.count(b"HTTP/1.1 204 No Content\r\n") >= 3, (name, answers)


def test_streams_drawn_at_random_are_answered_alike(pair, through):
    chance = random.Random(6)
    for _ in range(12):
        data = b"".join(pair.messages[chance.choice(NAMES)] for _ in range(chance.randrange(1, 9)))
        data += LAST[chance.choice(list(LAST))] + pair.close
        pair.assert_alike(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))], through)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_requests_that_were_tampered_with_are_answered_alike(pair, sockets, data):
    sent = data.draw(tampered([pair.messages[name] for name in COMMON[:5]]))
    manner = data.draw(st.sampled_from(["kept", "unbuffered", "old"]))
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=2))
    whole = pair.messages["a play"] + sent + pair.messages["a play"] + pair.close
    pair.assert_alike(whole, cuts, lambda way: socket_of(sockets / f"{manner}-{way}"))


@pytest.mark.parametrize("manner", ["kept", "unbuffered", "plain"])
def test_large_bodies_in_any_dress_are_answered_alike(pair, sockets, manner):
    events = batch(
        *(event("ping", second, 1000 * second) for second in range(10_000))
    )  # some 700 KB: more than buffers
    text = orjson.dumps(events)
    close = {"Connection": "close"}
    pieces = [text[at : at + 10_000] for at in range(0, len(text), 10_000)]
    for data in (
        request("POST", "/api/v1/downloaded", text, close),
        chunked("POST", "/api/v1/downloaded", pieces, close),
        chunked("POST", f"/api/v1/sessions/{pair.sid}/events", pieces, close),
        request("POST", f"/api/v1/sessions/{pair.sid}/events", text, close),
    ):
        answers = pair.assert_alike(data, connect=lambda way: socket_of(sockets / f"{manner}-{way}"))
        assert answers[:12] in {b"HTTP/1.1 201", b"HTTP/1.1 413"}


def test_a_client_that_waits_for_100_continue_gets_it_and_its_answer(pair, through_kept):
    head, _, body = play(pair.sid, {"Expect": "100-continue", "Connection": "close"}).partition(b"\r\n\r\n")

    async def ask(way):
        async with through_kept(way) as client:
            await client.write(head + b"\r\n\r\n")
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await client.write(body)
            return told_alike(await client.rest())

    async def both():
        return [await ask(way) for way in WAYS]

    short, ordinary = pair.runner.run(both())
    assert short == ordinary
    assert short.startswith(b"HTTP/1.1 204 ")


def test_the_location_comes_through_as_the_door_wrote_it(pair, sockets):
    """With nothing before it: players take a fixed part of it for the id, wherever the door stands."""
    start = request("POST", "/va/api/v1/sessions", session_start(), {"Connection": "close"})
    for manner in MANNERS:
        answers = pair.assert_alike(start, connect=lambda way, manner=manner: socket_of(sockets / f"{manner}-{way}"))
        assert b"Location: /api/v1/sessions/" in answers, manner


def test_common_requests_through_nginx_take_the_short_way_where_connections_are_kept(pair, sockets):
    counts = pair.doors["short"].collector.counts

    def ordinary(manner, prefix=b""):
        before = counts.ordinary
        data = b"".join(under(prefix, pair.messages[name]) for name in COMMON) + under(prefix, pair.close)
        pair.assert_alike(data, connect=lambda way: socket_of(sockets / f"{manner}-{way}"))
        return counts.ordinary - before

    every = len(COMMON) + 1  # nginx keeps what a client says of its connection to itself, so the last is common too
    assert (ordinary("kept"), ordinary("unbuffered"), ordinary("prefix", b"/va")) == (0, 0, 0)
    assert ordinary("old") == every


@pytest.mark.parametrize("way", WAYS)
def test_sessions_that_share_the_connections_to_the_door_are_not_mixed_up(pair, through_kept, way):
    door, players, events = pair.doors[way], 24, 12

    async def player(number):
        async with through_kept(way) as client:
            sid = (await client.ask(request("POST", "/api/v1/sessions", session_start()))).sid
            for playhead in range(events):
                answer = await client.ask(play(sid, body=event("ping", playhead, number)))
                assert answer.status == 204
            return number, sid

    async def all_players():
        return await asyncio.gather(*map(player, range(players)))

    first, ordinary = len(door.log.records), door.collector.counts.ordinary
    sids = dict(pair.runner.run(all_players()))
    assert (door.collector.counts.ordinary == ordinary) is (way == "short")
    found = Counter()
    for envelope in door.log.envelopes(first):
        document = orjson.loads(envelope.event)
        if document["eventType"] == "ping":
            assert sids[document["playerTime"]["ts"]] == envelope.sid
            found[envelope.sid] += 1
    assert found == dict.fromkeys(sids.values(), events)


@pytest.mark.parametrize("way", WAYS)
def test_clients_that_leave_before_their_answers_cost_their_neighbours_nothing(pair, sockets, way):
    async def leaves():
        async with socket_of(sockets / f"{LEAVING}-{way}") as client:
            await client.write(pair.messages["a play"] * 3)
            client.writer.transport.abort()

    async def all_of_them():
        await asyncio.gather(*(leaves() for _ in range(20)))
        answers = await told(
            socket_of(sockets / f"{LEAVING}-{way}"), pair.messages["a start"] + pair.close, shuts=False
        )
        await until(lambda: not pair.doors[way].collector.counts.in_flight)
        return answers

    answers = pair.runner.run(all_of_them())
    assert (answers.count(b"HTTP/1.1 201 "), answers.count(b"HTTP/1.1 204 ")) == (1, 1)
    assert_reconciled(pair.doors[way])
