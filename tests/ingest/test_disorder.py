"""A log that answers in any order, all together or one by one, well or not: each client hears its own outcomes in turn."""

import asyncio
import random
from contextlib import suppress

import orjson
import pytest

from ingest.app import Bearing
from schemas.records import LogUnavailable
from tests.ingest.doors import NOW, assert_reconciled, event, open_door, request, session_start
from tests.ingest.logs import MemoryLog
from tests.ingest.streams import play

pytestmark = pytest.mark.usefixtures("way")

PLAYS = ("a play", "a play", "a play", "an odd play")
OTHERS = {"no event": 400, "an unknown id": 404, "a preflight": 204, "a start": 201}


class WhimsicalLog(MemoryLog):
    """Lets records share a future or not, and settles futures in any order, as `chance` has it.

    `outcomes`: by the playhead of an event (a start has none) what became of it: None is well.
    """

    def __init__(self, chance):
        super().__init__()
        self._chance = chance
        self._open = []
        self.outcomes = {}

    def begin(self, record):
        document = orjson.loads(record.value)["event"]
        is_start = document["eventType"] == "sessionStart"
        if not is_start and self._chance.random() < 0.05:
            self.outcomes[document["playerTime"]["playhead"]] = "no room"
            raise LogUnavailable("no room")
        self.records.append(record)
        shared = [one for one in self._open if one[2] is is_start]
        if shared and self._chance.random() < 0.5:
            future, playheads, _ = self._chance.choice(shared)
        else:
            future, playheads = asyncio.get_running_loop().create_future(), []
            self._open.append((future, playheads, is_start))
        playheads.append(document["playerTime"]["playhead"])
        return future

    async def append(self, record):
        reason = await asyncio.shield(self.begin(record))
        if reason is not None:
            raise LogUnavailable(reason)

    def settle_one(self):
        """Nothing where nothing waits. What begins a session goes well."""
        if not self._open:
            return
        future, playheads, is_start = self._open.pop(self._chance.randrange(len(self._open)))
        outcome = None if is_start else self._chance.choice([None, None, "away", LogUnavailable("away")])
        if not is_start:
            self.outcomes.update(dict.fromkeys(playheads, outcome))
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    async def settle_all(self):
        while True:
            self.settle_one()
            await asyncio.sleep(0)


class Asker:
    """One connection with requests of all kinds, sent in pieces."""

    def __init__(self, sid, numbers, chance):
        self.asked = []
        data = b""
        for _ in range(chance.randrange(1, 12)):
            kind = chance.choice([*PLAYS, *OTHERS])
            playhead = next(numbers)
            self.asked.append((kind, playhead))
            body = event("ping", playhead)
            data += {
                "a play": play(sid, body=body),
                "an odd play": play(sid, {"X": "a\tb"}, body),
                "no event": play(sid, body=b"{"),
                "an unknown id": play("0" * 64, body=body),
                "a preflight": request("OPTIONS", "/api/v1/sessions"),
                "a start": request("POST", "/api/v1/sessions", session_start()),
            }[kind]
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
        self.pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        self.leaves = chance.random() < 0.15
        self.answers = []

    async def hear(self, client):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while len(self.answers) < len(self.asked):
                self.answers.append((await client.answer()).status)

    def assert_answered(self, outcomes):
        expected = [OTHERS.get(kind) or (503 if outcomes.get(playhead) else 204) for kind, playhead in self.asked]
        assert self.answers == expected[: len(self.answers)]
        assert self.leaves or len(self.answers) == len(self.asked)
        for (kind, playhead), status in zip(self.asked, self.answers, strict=False):
            assert kind not in PLAYS or status != 204 or playhead in outcomes, "acknowledged, and never appended"


async def scenario(chance):
    log = WhimsicalLog(chance)
    async with open_door(log, bearing=Bearing(lingering_seconds=0.05)) as door:
        numbers, sid = iter(range(10_000)), door.keys.mint(NOW)
        askers = [Asker(sid, numbers, chance) for _ in range(chance.randrange(1, 5))]
        connecting = [door.connect() for _ in askers]
        clients = [await each.__aenter__() for each in connecting]
        hearing = [asyncio.create_task(one.hear(client)) for one, client in zip(askers, clients, strict=True)]
        unsent = [(one, client) for one, client in zip(askers, clients, strict=True) for _ in one.pieces]
        while unsent:
            one, client = unsent.pop(chance.randrange(len(unsent)))
            client.writer.write(one.pieces.pop(0))
            if one.leaves and not one.pieces:
                client.writer.transport.abort()
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                log.settle_one()
        settling = asyncio.create_task(log.settle_all())
        async with asyncio.timeout(20):
            await asyncio.gather(*hearing)
        for each in connecting:
            await each.__aexit__(None, None, None)
    settling.cancel()
    for one in askers:
        one.assert_answered(log.outcomes)
    well = [playhead for playhead, outcome in log.outcomes.items() if outcome is None]
    counts = door.collector.counts
    assert counts.events_accepted == len(well) + counts.answered["sessions", 201]
    assert_reconciled(door)


@pytest.mark.parametrize("seed", range(40))
def test_each_client_hears_what_became_of_its_own_requests_in_their_order(seed):
    asyncio.run(scenario(random.Random(seed)))
