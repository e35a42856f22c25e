"""The simulated players: what a seed decides, and how scripts are posted."""

import asyncio
from collections import Counter
from dataclasses import replace

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.fleet.posting import Fleet, Journal, Pace
from deploy.fleet.scripts import Post, Script, Waits, counts, scripts

BEGAN_AT = 1_767_225_600_000
QUICK = Waits(idle=2, grace=1, window=0.5, still=60)


def test_a_seed_decides_every_byte() -> None:
    first, again = (list(scripts(7, 60, BEGAN_AT, QUICK)) for _ in range(2))
    assert first == again
    assert first != list(scripts(8, 60, BEGAN_AT, QUICK))


def test_scripts_of_a_seed_do_not_depend_on_how_many_are_drawn() -> None:
    assert list(scripts(7, 60, BEGAN_AT, QUICK))[:20] == list(scripts(7, 20, BEGAN_AT, QUICK))


def test_a_few_hundred_sessions_hold_every_kind_of_event_and_of_ending() -> None:
    drawn = list(scripts(1, 400, BEGAN_AT, QUICK))
    kinds = counts(drawn)
    for kind in ("no events", "still", "pre-roll drop", "abandoned", "completed", "replayed", "offline"):
        assert any(kind in name for name in kinds), kind
    posts = [post for script in drawn for group in script.groups for post in group]
    types = Counter(orjson.loads(post.body)["eventType"] for post in posts)
    assert set(types) == {
        *("play", "ping", "pauseStart", "bufferStart", "bitrateChange", "error", "adBreakStart", "adBreakComplete"),
        *(
            "adStart",
            "adComplete",
            "adSkip",
            "chapterStart",
            "chapterComplete",
            "chapterSkip",
            "stateStart",
            "stateEnd",
        ),
        *("statesUpdate", "sessionComplete", "sessionEnd"),
    }
    assert any(post.copies == 2 for post in posts)
    assert any(post.rest_seconds > QUICK.idle + QUICK.grace for post in posts)
    assert {len(group) for script in drawn for group in script.groups if script.is_serial} == {1}
    assert max(len(group) for script in drawn for group in script.groups) == 3


def test_no_script_waits_for_a_long_timeout() -> None:
    posts = [post for script in scripts(1, 200, BEGAN_AT, Waits()) for group in script.groups for post in group]
    assert {post.rest_seconds for post in posts} == {0.0, 6.2}


class Door:
    """A front door that answers as it is told to, and remembers what it was sent."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.at_once = self.most_at_once = 0

    async def take(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.bodies.append(await request.read())
        await asyncio.sleep(0)
        self.at_once -= 1
        status = self.answers.pop(0) if self.answers else (204 if request.path.endswith("/events") else 201)
        headers = {201: {"Location": "/api/v1/sessions/" + "a" * 64}, 503: {"Retry-After": "0"}}.get(status)
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def post():
    """Post one script to a door; the journal."""
    servers = []

    async def run(script: Script, door: Door) -> Journal:
        app = web.Application()
        app.router.add_post("/{path:.*}", door.take)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        (journal,) = await Fleet([str(server.make_url("/"))], Pace(0), 5).run([script])
        return journal

    yield run
    for server in servers:
        await server.close()


SCRIPT = Script(
    0,
    "watched",
    "/api/v1/sessions",
    b'{"start":1}',
    1,
    is_serial=True,
    groups=((Post(b"1"),), (Post(b"2", copies=2),), (Post(b"3"),)),
)


async def test_a_serial_player_posts_one_event_at_a_time_in_order(post) -> None:
    door = Door()
    journal = await post(SCRIPT, door)
    assert door.bodies == [b'{"start":1}', b"1", b"2", b"2", b"3"]
    assert door.most_at_once == 1
    assert [body for _, body in journal.acknowledged] == door.bodies
    assert journal.statuses == {201: 1, 204: 4}


async def test_what_is_answered_503_is_posted_again_and_acknowledged_once(post) -> None:
    door = Door(201, 503, 503)
    journal = await post(SCRIPT, door)
    assert door.bodies.count(b"1") == 3
    assert [body for _, body in journal.acknowledged].count(b"1") == 1
    assert journal.statuses == {201: 1, 503: 2, 204: 4}


async def test_what_is_refused_for_good_is_not_acknowledged(post) -> None:
    journal = await post(SCRIPT, Door(201, 410))
    assert [body for _, body in journal.acknowledged] == [b'{"start":1}', b"2", b"2", b"3"]


async def test_a_parallel_player_posts_a_group_together_and_waits_for_it(post) -> None:
    door = Door()
    group = tuple(Post(body) for body in (b"1", b"2", b"3"))
    await post(replace(SCRIPT, is_serial=False, groups=(group, (Post(b"4"),))), door)
    assert sorted(door.bodies[1:4]) == [b"1", b"2", b"3"]
    assert door.bodies[4:] == [b"4"]


async def test_a_start_posted_twice_leaves_an_orphan(post) -> None:
    door = Door()
    journal = await post(replace(SCRIPT, starts=2), door)
    assert door.bodies[:2] == [b'{"start":1}'] * 2
    assert len(journal.sids) == 2
