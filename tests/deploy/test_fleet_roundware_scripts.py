"""The simulated Roundware clients: what a seed decides, and how their requests are posted."""

from collections import Counter
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.fleet.posting import Pace
from deploy.fleet.roundware.calls import Call, Form, Number, Script
from deploy.fleet.roundware.posting import Fleet, Journal
from deploy.fleet.roundware.scripts import script

BEGAN_AT = 1_767_225_600_000
SILENCE = 1.5


def drawn(seed: int, number: int) -> list[Script]:
    return [script(seed, index, BEGAN_AT, SILENCE) for index in range(number)]


def test_a_seed_decides_every_request() -> None:
    assert drawn(7, 60) == drawn(7, 60)
    assert drawn(7, 60) != drawn(8, 60)
    assert drawn(7, 60)[:20] == drawn(7, 20)


def test_a_few_hundred_sessions_hold_every_habit_of_three_generations() -> None:
    scripts = drawn(1, 400)
    calls = [call for one in scripts for call in one.calls]
    kinds = Counter(one.kind for one in scripts)
    for kind in ("nothing happens", "stop time told", "ended", "spoke on", "2 visits", "4 visits", "old ios", "form"):
        assert any(kind in name for name in kinds), kind
    assert {call.kind for call in calls} == {"session", "event", "beat", "listen", "listenChange", "listenDelete"}
    assert {one.form for one in scripts} == {"json", "urlencoded", "multipart"}
    patches = Counter(call.path.count("/") for call in calls if call.method == "PATCH" and "listen" in call.path)
    assert set(patches) == {2, 3}, "with the slash at the end and without"
    assert any(call.kind == "listen" and "session_id" in call.document for call in calls)
    assert any(isinstance(call.document.get("latitude"), float) for call in calls)
    assert any(isinstance(call.document.get("latitude"), str) for call in calls)
    assert any(call.document.get("session_id") == Number(as_text=True) for call in calls)
    assert any(call.rest_seconds > SILENCE for call in calls)
    assert any(call.copies == 2 for call in calls)
    assert any(not call.awaited for call in calls)
    unclosed = [one for one in scripts if sum(c.kind == "listen" for c in one.calls) > len(patched(one))]
    assert len(unclosed) > 50


def patched(one: Script) -> set[str]:
    return {call.path for call in one.calls if call.kind == "listenChange"}


def test_no_script_waits_for_a_long_silence() -> None:
    calls = [call for index in range(200) for call in script(1, index, BEGAN_AT, 1800).calls]
    assert max(call.rest_seconds for call in calls) < 5


class Door:
    """Answers like a Roundware door; `unwilling` requests are first turned away, `deaf` ones never answered."""

    def __init__(self, unwilling: int = 0) -> None:
        self.unwilling = unwilling
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.authorizations: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        if self.unwilling:
            self.unwilling -= 1
            return web.json_response({"detail": "later"}, status=503, headers={"Retry-After": "0"})
        if request.content_type == "application/json":
            document = orjson.loads(await request.read())
        else:
            document = dict(await request.post())
        self.told.append((request.method, request.path, document))
        self.authorizations.append(request.headers.get("Authorization"))
        if request.method == "DELETE":
            return web.Response(status=204)
        return web.json_response({"id": 100 + len(self.told), "token": "abc"})


async def posted(door: Door, *calls: Call, form: Form = "json", patient: bool = True) -> Journal:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", door.answer)
    device = {"device_id": "d", "client_type": "web"}
    async with TestServer(app) as server:
        fleet = Fleet([str(server.make_url("/"))], Pace(0), 2)
        only = Script(0, "a test", device, "TOKEN", form, is_patient=patient, calls=calls)
        [journal] = await fleet.run([only])
    return journal


OPENING = Call("POST", "/sessions/", "session", {"project_id": 1}, named="session")


async def test_numbers_of_answers_stand_in_later_requests() -> None:
    door = Door()
    journal = await posted(
        door,
        OPENING,
        Call("POST", "/listenevents", "listen", {"session": Number(as_text=True)}, named="sound1"),
        Call("PATCH", "/listenevents/{sound1}", "listenChange", {"duration_in_seconds": 1.5}),
        Call("DELETE", "/listenevents/{sound1}/", "listenDelete", {}),
    )
    assert [(method, path) for method, path, _ in door.told] == [
        ("POST", "/api/2/users/"),
        ("POST", "/api/2/sessions/"),
        ("POST", "/api/2/listenevents"),
        ("PATCH", "/api/2/listenevents/103"),
        ("DELETE", "/api/2/listenevents/103/"),
    ]
    assert door.told[2][2] == {"session": "102"}
    assert door.authorizations == [None, *4 * ["TOKEN abc"]]
    assert journal.sids == ["r:102"]
    assert [(one.kind, one.number) for one in journal.acknowledged] == [
        ("session", 102),
        ("listen", 103),
        ("listenChange", 103),
        ("listenDelete", 103),
    ]
    assert orjson.loads(orjson.dumps(journal.document()))["statuses"] == {"200": 4, "204": 1}


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_forms_say_everything_in_strings(form: Form) -> None:
    door = Door()
    journal = await posted(
        door, OPENING, Call("POST", "/events/", "event", {"session_id": Number(), "x": 1.5, "y": None}), form=form
    )
    assert door.told[2][2] == {"session_id": "102", "x": "1.5"}
    assert journal.acknowledged[1].sent == {"session_id": "102", "x": "1.5"}


async def test_what_was_turned_away_is_posted_again_by_the_patient_alone() -> None:
    journal = await posted(Door(unwilling=3), OPENING)
    assert journal.statuses == {503: 3, 200: 2}
    door = Door()
    event = Call("POST", "/events/", "event", {"session_id": Number()})
    later = Call("POST", "/events/", "event", {"session_id": Number(), "event_type": "second"})

    async def unwilling_for_events(request: web.Request) -> web.Response:
        door.unwilling = int(
            request.path.endswith("/events/") and not any("events" in path for _, path, _ in door.told)
        )
        return await Door.answer(door, request)

    door.answer = unwilling_for_events  # type: ignore[method-assign]
    journal = await posted(door, OPENING, event, later, patient=False)
    assert journal.statuses == {200: 2, 503: 2}
    assert len(journal.acknowledged) == 1


async def test_without_a_number_nothing_is_patched() -> None:
    journal = await posted(Door(), OPENING, Call("PATCH", "/listenevents/{sound1}", "listenChange", {}))
    assert journal.skipped == 1
    assert len(journal.acknowledged) == 1


async def test_copies_are_posted_one_after_the_other() -> None:
    door = Door()
    await posted(door, OPENING, Call("POST", "/events/", "event", {"event_type": "x"}, copies=2))
    assert [document for _, path, document in door.told if "events" in path] == 2 * [{"event_type": "x"}]
