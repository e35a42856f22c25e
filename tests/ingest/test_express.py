"""What takes the short way, what does not, and what happens on it while the log, clients and stops are as they are."""

import asyncio

import pytest

from ingest.app import Bearing
from ingest.express import ExpressConnection
from schemas.records import LogUnavailable
from tests.ingest.doors import NOW, assert_reconciled, open_door, request, session_start, until
from tests.ingest.logs import MemoryLog
from tests.ingest.streams import COMMON, ODD, messages, play


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


@pytest.mark.parametrize("name", ODD)
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


@pytest.mark.parametrize("tls", [False, True])
async def test_one_connection_comes_back_after_each_odd_request(tls):
    async with open_door(way="short", tls=tls) as door, door.connect() as client:
        sid, closed, counts = door.keys.mint(NOW), door.keys.mint(NOW), door.collector.counts
        door.closed.add(closed, NOW)
        for number, name in enumerate(ODD, start=1):
            await client.ask(messages(sid, closed)[name])
            for _ in range(3):
                assert (await client.ask(play(sid))).status == 204
            assert counts.ordinary == number, name
        assert counts.received == 4 * len(ODD)


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
