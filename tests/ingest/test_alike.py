"""The short way beside pure aiohttp: the same bytes in any pieces are answered by the same bytes, and counted alike."""

import asyncio
import random
from itertools import permutations, product

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.doors import NOW, WAYS, assert_reconciled, open_door, request, session_start
from tests.ingest.logs import AwayLog
from tests.ingest.pair import LOOPS, pair_of_doors, told
from tests.ingest.streams import COMMON, LAST, NAMES, play, tampered, told_alike


@pytest.fixture(scope="module")
def pair():
    with pair_of_doors() as pair:
        yield pair


@pytest.fixture(scope="module", params=LOOPS)
def on_each_loop(request):
    with pair_of_doors(request.param) as pair:
        yield pair


@pytest.mark.parametrize("names", [*permutations(("a play", "a start", "no event", "chunks"))])
def test_ordinary_and_odd_requests_in_every_order_are_answered_alike(pair, names):
    pair.assert_alike(b"".join(pair.messages[name] for name in names))


@pytest.mark.parametrize("name", NAMES)
def test_each_request_between_common_ones_is_answered_alike(on_each_loop, name):
    pair = on_each_loop
    one, odd = pair.messages["a play"], pair.messages[name]
    answers = pair.assert_alike(one + odd + one + pair.messages["a preflight"])
    assert answers.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize("name", NAMES)
def test_each_request_before_every_other_is_answered_alike(pair, name):
    for other in NAMES:
        answers = pair.assert_alike(pair.messages[name] + pair.messages[other])
        assert answers.count(b"HTTP/1.1 ") == 2, other


@pytest.mark.parametrize(("name", "before"), [*product(LAST, ("", "a play", "no event"))])
def test_each_last_request_is_answered_alike(pair, name, before):
    pair.assert_alike(pair.messages.get(before, b"") + LAST[name])


@pytest.mark.parametrize("name", LAST)
def test_what_follows_a_request_that_could_be_misread_is_answered_alike(pair, name):
    """What would be smuggled in if one of the two ended it elsewhere."""
    pair.assert_alike(pair.messages["a play"] + LAST[name] + pair.messages["a play"] + pair.messages["a start"])


def test_every_split_of_the_bytes_is_answered_alike(pair):
    data = pair.messages["a preflight"] + pair.messages["a play"] + pair.messages["no event"]
    expected = pair.runner.run(told(pair.doors["ordinary"].connect(), data))

    async def all_splits():
        found = []
        for first in range(0, len(data), 32):
            cuts = range(first, min(first + 32, len(data)))
            found += await asyncio.gather(*(told(pair.doors["short"].connect(), data, [cut]) for cut in cuts))
        return found

    assert {told_alike(answers) for answers in pair.runner.run(all_splits())} == {told_alike(expected)}


def test_bytes_that_come_one_by_one_are_answered_alike(pair):
    data = pair.messages["a play"] + pair.messages["chunks"] + pair.messages["a start"] + LAST["no host"]
    pair.assert_alike(data, range(len(data)))


def test_streams_drawn_at_random_are_answered_alike(on_each_loop):
    pair = on_each_loop
    chance = random.Random(5)
    for _ in range(60):
        data = b"".join(pair.messages[chance.choice(NAMES)] for _ in range(chance.randrange(1, 9)))
        data += LAST[chance.choice(list(LAST))]
        pair.assert_alike(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))])


def test_requests_of_every_kind_are_answered_alike_over_tls():
    with pair_of_doors(tls=True) as pair:
        for name in NAMES:
            data = pair.messages["a play"] + pair.messages[name] + pair.messages["a start"] + pair.close
            assert pair.assert_alike(data).count(b"HTTP/1.1 ") == 4, name
            pair.assert_alike(data, range(0, len(data), 400))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_common_requests_that_were_tampered_with_are_answered_alike(pair, data):
    sent = data.draw(tampered([pair.messages[name] for name in COMMON[:5]]))
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=2))
    pair.assert_alike(pair.messages["a play"] + sent + pair.messages["a play"], cuts)


@pytest.mark.parametrize("sent", [play("%s"), request("POST", "/api/v1/sessions", session_start())])
async def test_a_503_is_the_same_on_both_ways(sent):
    answers = []
    for way in WAYS:
        async with open_door(AwayLog(), way=way) as door:
            data = sent.replace(b"%s", door.keys.mint(NOW).encode())
            answers.append(told_alike(await told(door.connect(), data)))
            assert door.collector.counts.append_outcomes_unknown == 1
            assert_reconciled(door)
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 503 ")


async def test_the_bytes_published_are_the_same_on_both_ways():
    values = []
    for way in WAYS:
        async with open_door(way=way) as door:
            raw = b'\xef\xbb\xbf { "playerTime" : {"ts":1, "playhead":0.50},\n "eventType":"pl\\u0061y" }'
            sid = door.keys.mint(NOW)
            assert (await door.event(sid, raw)).status == 204
            assert (await door.post("/api/v1/sessions", session_start())).status == 201
            values.append([told_alike(record.value) for record in door.log.records])
            assert door.collector.counts.bytes_accepted == len(raw) - 3 + len(orjson.dumps(session_start()))
    assert values[0] == values[1]
