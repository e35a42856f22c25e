"""Whatever stands in whichever field: an answer with a reason, never a failure; and what is kept is as its schema says."""

import json
import random
from urllib.parse import urlencode

import orjson
import pytest
from jsonschema import Draft202012Validator

from tests.ingest.roundware.front import Front
from tests.schemas.test_examples import own_schema

NASTY = [
    None, True, False, 0, 1, -1, 2**53, 2**63, 2**64, 10**30, 0.5, 1e308, -0.0, "", " ", "0", "1", "-1", "1.0", "1e5", "abc",
    "\0", "é", "\U0001f600", "x" * 50, "x" * 129, "x" * 5000, "2022-01-02T03:04:05Z", "0001-01-01T00:00:00+14:00", "-0800", "t",
    "[1,2]", ",", [], [1, "2", None], [[[]]], {}, {"a": {"b": []}}, "Infinity", "NaN", "9" * 400, "en-US", "\u2028", "\u0663",
]  # fmt: skip
FIELDS = {
    "users/": ["device_id", "client_type", "first_name", "email"],
    "sessions/": [
        "project_id", "client_system", "geo_listen_enabled", "demo_stream_enabled", "language", "language_id", "timezone",
        "client_type", "stoptime",
    ],
    "events/": ["session_id", "event_type", "client_time", "latitude", "longitude", "tag_ids", "tags", "data"],
    "listenevents/": ["starttime", "session", "asset", "duration_in_seconds", "duration", "start_time", "session_id"],
}  # fmt: skip
QUERIES = [
    "project_id", "language_id", "geo_listen_enabled", "starttime__gte", "page", "page_size", "session_id", "event_type",
    "server_time__gt", "tag_ids", "session", "asset", "duration__lte", "start_time__lte", "stoptime", "starttime",
]  # fmt: skip


@pytest.mark.parametrize("path", FIELDS)
async def test_no_document_makes_the_door_fail(front: Front, path: str) -> None:
    chance, number = random.Random(path), await front.open()
    good = {
        "users/": {"device_id": "d", "client_type": "web"},
        "sessions/": {"project_id": 1, "client_system": "x"},
        "events/": {"session_id": number, "event_type": "x"},
        "listenevents/": {"session": number, "asset": 1, "starttime": "2022-01-02T03:04:05Z"},
    }[path]
    taken = 0
    for turn in range(250):
        document = good | {
            name: chance.choice(NASTY) for name in chance.sample(FIELDS[path], chance.choice((1, 1, 2, 4)))
        }
        # json writes integers of any length.
        typed = {"Content-Type": "application/json"}
        if turn % 5:
            answer = await front.post(path, json.dumps(document).encode(), headers=typed)
        else:
            answer = await front.form(path, document)
        assert answer.status in {200, 400}, (document, answer)
        taken += answer.status == 200
    schema = Draft202012Validator(own_schema("roundware-document.v1"))
    for envelope in await front.envelopes():
        schema.validate(orjson.loads(envelope.event))

    assert 20 < taken < 250


async def test_no_query_makes_the_door_fail(front: Front) -> None:
    chance, number = random.Random(5), await front.open()
    await front.listen(number, duration_in_seconds=2)
    await front.post("events/", {"session_id": number, "event_type": "x", "tag_ids": "3"})
    for _ in range(300):
        path = chance.choice(("sessions/", "events/", "listenevents/"))
        asked = {name: chance.choice(NASTY) for name in chance.sample(QUERIES, 2)}
        answer = await front.get(f"{path}?{urlencode(asked)[:3000]}")
        assert answer.status in {200, 400}, (asked, answer)


async def test_a_change_of_anything_to_anything_is_answered(front: Front) -> None:
    listen = await front.listen(await front.open())
    for value in NASTY:
        for name in ("duration_in_seconds", "duration"):
            body, typed = json.dumps({name: value}).encode(), {"Content-Type": "application/json"}
            answer = await front.send("PATCH", f"listenevents/{listen}/", body, headers=typed)
            assert answer.status in {200, 400}, (name, value, answer)
