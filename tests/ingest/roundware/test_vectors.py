"""The test vectors of the Roundware contract, by their numbers: what the door answers to each, over real HTTP.

Vectors 40 and 48 end in reports: they are tested where those are made, and end to end.
"""

import asyncio
import re

import pytest

from ingest.roundware.configuration import Configuration
from schemas.roundware import NUMBER_MAX
from tests.ingest.roundware.front import DEVICE, Front, open_front, open_log, session

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?").fullmatch
REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NO_TIMEZONE = ["Timezone must be in RFC822 GMT format (e.g. '-0800')"]
NOT_PROVIDED = {"detail": "Authentication credentials were not provided."}
DOCUMENTED = session(geo_listen_enabled=True, demo_stream_enabled=False, language="fr", timezone="-8000")
HEARTBEAT = {
    "event_type": "heartbeat",
    "client_time": "2017-05-06T22:55:15.114568",
    "latitude": 1.2345,
    "longitude": 2.3456,
    "tag_ids": "3,8",
    "data": "some random data",
}
STARTED = "2022-01-02T03:04:05.678Z"


async def refused(front: Front, path: str, body: object, status: int = 400) -> dict:
    answer = await front.post(path, body)
    assert answer.status == status, answer
    return answer.document


# Users and authentication.


async def test_vector_1_a_device_registers(front: Front) -> None:
    answer = await front.post("users/", DEVICE, token=None)

    assert answer.status == 200
    assert answer.document["username"].endswith("9281")
    assert re.fullmatch("[0-9a-f]{40}", answer.document["token"])
    assert (answer.document["device_id"], answer.document["client_type"]) == ("12891038109281", "phone")


async def test_vector_2_the_same_device_is_the_same_user(front: Front) -> None:
    first = await front.post("users/", DEVICE, token=None)
    again = await front.post("users/", DEVICE | {"client_type": "tablet"}, token=None)

    assert again.document == first.document
    assert again.document["client_type"] == "phone"


async def test_vector_3_a_device_registers_with_either_form(front: Front) -> None:
    first = await front.post("users/", DEVICE, token=None)

    assert (await front.multipart("users/", DEVICE, token=None)).document == first.document
    assert (await front.form("users/", DEVICE, token=None)).document == first.document


@pytest.mark.parametrize(
    "body",
    [
        {"device_id": "12891038109281"},
        {"client_type": "phone"},
        {"device_id": " ", "client_type": "phone"},
        {"device_id": "x" * 256, "client_type": "phone"},
        DEVICE | {"first_name": ""},
        {},
        [],
        None,
    ],
)
async def test_vector_4_a_registration_without_what_it_needs_is_refused(front: Front, body: object) -> None:
    answer = await front.post("users/", body, token=None)

    assert (answer.status, answer.document) == (400, {"non_field_errors": ["Invalid user request"]})


async def test_vector_5_nobody_opens_a_session_without_a_token(front: Front) -> None:
    answer = await front.post("sessions/", session(), token=None)

    assert (answer.status, answer.document) == (401, NOT_PROVIDED)
    assert answer.headers["www-authenticate"] == "Token"


async def test_vector_6_an_unknown_token_is_invalid_even_with_a_bad_body(front: Front) -> None:
    for body in (session(), {}):
        answer = await front.post("sessions/", body, token="4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4")

        assert (answer.status, answer.document) == (401, {"detail": "Invalid token."})
        assert answer.headers["www-authenticate"] == "Token"


async def test_vector_7_the_scheme_is_token_in_any_case_and_no_other(front: Front) -> None:
    for said in ("Bearer " + front.token, front.token):
        answer = await front.post("sessions/", session(), headers={"Authorization": said}, token=None)
        assert (answer.status, answer.document) == (401, NOT_PROVIDED)
    for scheme in ("TOKEN", "Token", "token"):
        headers = {"Authorization": f"{scheme} {front.token}"}
        assert (await front.post("sessions/", session(), headers=headers, token=None)).status == 200


async def test_vector_8_a_token_stands_alone_behind_its_scheme(front: Front) -> None:
    for said, text in (
        ("token", "Invalid token header. No credentials provided."),
        ("token a b", "Invalid token header. Token string should not contain spaces."),
    ):
        answer = await front.post("sessions/", session(), headers={"Authorization": said}, token=None)
        assert (answer.status, answer.document) == (401, {"detail": text})


# Sessions.


async def test_vector_9_the_documented_session(front: Front) -> None:
    answer = await front.post("sessions/", DOCUMENTED)
    document = answer.document

    assert answer.status == 200
    for name in ("client_system", "timezone", "geo_listen_enabled", "demo_stream_enabled", "project_id"):
        assert document[name] == DOCUMENTED[name]
    assert document["stoptime"] is None
    assert ISO(document["starttime"])
    assert (document["device_id"], document["client_type"]) == ("12891038109281", "phone")
    assert type(document["session_id"]) is int
    assert document["id"] == document["session_id"]
    assert (document["language"], document["language_id"]) == ("en", 1)


async def test_vector_9_a_configured_language_is_answered(log) -> None:
    async with open_front(log, Configuration(languages={"en": 1, "fr": 7})) as front:
        document = (await front.post("sessions/", DOCUMENTED)).document

    assert (document["language"], document["language_id"]) == ("fr", 7)


async def test_vector_10_what_is_missing_is_the_projects_or_the_default(front: Front) -> None:
    document = (await front.post("sessions/", session(client_system="iOS", timezone="-0500"))).document

    assert (document["language"], document["language_id"], document["geo_listen_enabled"]) == ("en", 1, True)
    assert (document["timezone"], document["client_system"], document["project_id"]) == ("-0500", "iOS", 1)
    assert document["id"] is not None


async def test_vector_11_the_client_overrules_its_project(front: Front) -> None:
    document = (await front.post("sessions/", session(timezone="-0500", geo_listen_enabled=False))).document

    assert document["geo_listen_enabled"] is False


async def test_vector_12_another_project_and_language(front: Front) -> None:
    asked = session(project_id=2, geo_listen_enabled=False, demo_stream_enabled=True, language="es", timezone="-0800")
    document = (await front.post("sessions/", asked)).document

    assert (document["language_id"], document["demo_stream_enabled"]) == (2, True)


@pytest.mark.parametrize("more", [{"geo_listen_enabled": False}, {}])
async def test_vector_13_the_web_clients_session(front: Front, more: dict) -> None:
    web = await front.register("00000000000000")
    answer = await front.post("sessions/", session(client_system="M" * 127, **more), token=web)

    assert answer.status == 200
    assert (answer.document["timezone"], answer.document["client_type"]) == ("0000", "web")
    assert type(answer.document["id"]) is int


async def test_vector_14_a_client_system_has_128_characters_at_most(front: Front) -> None:
    assert (await front.post("sessions/", session(client_system="M" * 128))).status == 200
    text = "Ensure this field has no more than 128 characters."
    assert await refused(front, "sessions/", session(client_system="M" * 129)) == {"client_system": [text]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "may not be null."), ("", "may not be blank."), ("  ", "may not be blank."), (True, "")],
)
async def test_vector_15_a_client_system_is_required(front: Front, value: object, text: str) -> None:
    assert await refused(front, "sessions/", {"project_id": 1}) == {"client_system": REQUIRED}
    told = [f"This field {text}"] if text else ["Not a valid string."]
    assert await refused(front, "sessions/", session(client_system=value)) == {"client_system": told}


async def test_vector_16_a_project_is_required(front: Front) -> None:
    asked = {"client_system": "iOS", "geo_listen_enabled": True}
    assert await refused(front, "sessions/", asked) == {"project_id": REQUIRED}
    assert await refused(front, "sessions/", {}) == {"project_id": REQUIRED, "client_system": REQUIRED}
    unknown = await refused(front, "sessions/", session(project_id=99))
    assert unknown == {"project_id": ['Invalid pk "99" - object does not exist.']}
    assert await refused(front, "sessions/", session(project_id="abc")) == {
        "project_id": ["A valid integer is required."]
    }


async def test_vector_17_a_timezone_is_four_digits(front: Front) -> None:
    for value in ("UTC", "05000", -500.5, "-08:00"):
        assert await refused(front, "sessions/", session(timezone=value)) == {"timezone": NO_TIMEZONE}
    assert await refused(front, "sessions/", session(timezone=-500)) == {"timezone": NO_TIMEZONE}
    for value in ("+0530", "0530", "0000", "-8000"):
        assert (await front.post("sessions/", session(timezone=value))).document["timezone"] == value
    assert await refused(front, "sessions/", session(timezone="")) == {"timezone": BLANK}


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ({"language": "en-US"}, 1),
        ({"language": "xx-YY"}, 1),
        ({"language": "es", "language_id": 1}, 2),
        ({"language": "eng"}, 1),
        ({"language_id": 2}, 2),
        ({"language_id": "2"}, 2),
    ],
    ids=str,
)
async def test_vector_18_languages(front: Front, asked: dict, number: int) -> None:
    assert (await front.post("sessions/", session(**asked))).document["language_id"] == number


async def test_vector_18_languages_that_cannot_be_meant_are_refused(front: Front) -> None:
    assert await refused(front, "sessions/", session(language=7)) == {"language": ["Not a valid string."]}
    for value in (9, "x", None):
        assert list(await refused(front, "sessions/", session(language_id=value))) == ["language_id"]


async def test_vector_19_booleans(front: Front) -> None:
    for value in ("true", "t", 1, "yes", "1", "On", "TRUE"):
        document = (await front.post("sessions/", session(geo_listen_enabled=value))).document
        assert document["geo_listen_enabled"] is True
    for value in ("maybe", 2, "", [], "tRUE"):
        told = await refused(front, "sessions/", session(geo_listen_enabled=value))
        assert told == {"geo_listen_enabled": ["Must be a valid boolean."]}
    assert list(await refused(front, "sessions/", session(geo_listen_enabled=None))) == ["geo_listen_enabled"]


async def test_vector_20_all_bad_fields_are_told_at_once(front: Front) -> None:
    bad = {
        "project_id": "x",
        "client_system": "",
        "timezone": "UTC",
        "geo_listen_enabled": "maybe",
        "demo_stream_enabled": 2,
        "language_id": 99,
        "stoptime": "soon",
        "client_type": "c" * 129,
    }

    assert set(await refused(front, "sessions/", bad)) == set(bad)


async def test_vector_21_what_is_the_servers_to_say_is_passed_over(front: Front) -> None:
    mine = {"id": 5, "session_id": 6, "device_id": "x", "starttime": "2000-01-01T00:00:00", "mood": "good"}
    document = (await front.post("sessions/", session(client_type="tablet", **mine))).document

    assert document["id"] > 10
    assert (document["device_id"], document["client_type"]) == ("12891038109281", "tablet")
    assert document["starttime"] > "2020"
    assert "mood" not in document


async def test_vector_22_a_path_needs_no_slash_at_its_end(front: Front) -> None:
    slashless = (await front.post("sessions", session())).document
    slashed = (await front.post("sessions/", session())).document

    own = {"id", "session_id", "starttime"}
    assert {k: v for k, v in slashless.items() if k not in own} == {k: v for k, v in slashed.items() if k not in own}


async def test_vector_23_one_session_is_shown(front: Front) -> None:
    posted = (await front.post("sessions/", DOCUMENTED)).document
    answer = await front.get(f"sessions/{posted['id']}/")

    assert (answer.status, answer.document) == (200, posted)
    for unknown in ("99999", "abc", "-1", "1e3", "9" * 30):
        answer = await front.get(f"sessions/{unknown}/")
        assert (answer.status, answer.document) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_vector_24_a_session_is_not_changed(front: Front, method: str) -> None:
    answer = await front.send(method, f"sessions/{await front.open()}/", session())

    assert (answer.status, answer.document) == (405, {"detail": f'Method "{method}" not allowed.'})
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_vector_25_filters_of_the_session_list(front: Front) -> None:
    await front.open()
    wanted = await front.open(
        project_id=2, geo_listen_enabled=False, demo_stream_enabled=True, language="es", timezone="-0800"
    )
    answer = await front.get("sessions/?project_id=2&language_id=2&geo_listen_enabled=false&demo_stream_enabled=true")

    assert answer.status == 200
    assert [found["id"] for found in answer.document] == [wanted]


async def test_vector_26_broken_json_and_other_types(front: Front) -> None:
    broken = await front.post("sessions/", b'{"project_id": 1,', headers={"Content-Type": "application/json"})
    plain = await front.post("sessions/", b"hello", headers={"Content-Type": "text/plain"})
    untyped = await front.post("sessions/", b"hello")

    assert (broken.status, broken.document["detail"][:19]) == (400, "JSON parse error - ")
    assert (plain.status, plain.document) == (415, {"detail": 'Unsupported media type "text/plain" in request.'})
    assert (untyped.status, untyped.document) == (415, {"detail": 'Unsupported media type "" in request.'})


@pytest.mark.parametrize(("doors", "posts"), [((0, 1), 1_000), ((5, 5), 200)], ids=["apart", "with one number"])
async def test_vector_27_two_doors_never_give_out_one_number_twice(tmp_path, doors: tuple, posts: int) -> None:
    async with open_log(tmp_path) as log, open_front(log, door=doors[0]) as one, open_front(log, door=doors[1]) as two:

        async def opened(front: Front) -> int:
            # A thousand at once may be more than a busy disk takes in time: that is said, and asked again.
            while (answer := await front.post("sessions/", session())).status == 503:
                pass
            return answer.document["id"]

        numbers = await asyncio.gather(*(opened((one, two)[n % 2]) for n in range(posts)))

    assert len(set(numbers)) == posts
    assert all(2 < number <= NUMBER_MAX for number in numbers)


# Events.


async def test_vector_28_the_documented_event(front: Front) -> None:
    number = await front.open()
    answer = await front.post("events/", HEARTBEAT | {"session_id": number})
    document = answer.document

    assert answer.status == 200
    for name in ("client_time", "data", "tag_ids", "event_type"):
        assert document[name] == HEARTBEAT[name]
    assert (document["latitude"], document["longitude"]) == ("1.2345", "2.3456")
    assert (type(document["id"]), document["session_id"]) == (int, number)
    assert ISO(document["server_time"])


async def test_vector_29_what_an_event_does_not_say_is_null(front: Front) -> None:
    asked = {"session_id": await front.open(), "event_type": "start_session", "client_time": "2026-11-21T03:56:37.422Z"}
    document = (await front.post("events/", asked)).document

    assert document["client_time"] == "2026-11-21T03:56:37.422Z"
    assert [document[name] for name in ("data", "latitude", "longitude", "tag_ids")] == [None] * 4


async def test_vector_30_coordinates_come_back_as_text(front: Front) -> None:
    asked = {"session_id": await front.open(), "event_type": "location_update", "latitude": 42.5, "longitude": -71}
    document = (await front.post("events/", asked)).document

    assert (document["latitude"], document["longitude"]) == ("42.5", "-71")


async def test_vector_31_tags_may_be_an_array(front: Front) -> None:
    asked = {"session_id": await front.open(), "event_type": "filter_stream", "tag_ids": [3, 8]}

    assert (await front.post("events/", asked)).document["tag_ids"] == "3,8"


async def test_vector_32_what_ios_sends(front: Front) -> None:
    number = await front.open()
    asked = {
        "session_id": number,
        "event_type": "client_error",
        "latitude": "42.1",
        "longitude": "",
        "tag_ids": "1,2,",
        "data": "",
        "client_time": "2015-03-13T13:00:09",
    }
    answer = await front.post("events/", asked)

    assert answer.status == 200
    assert (answer.document["tag_ids"], answer.document["data"]) == ("1,2,", "")
    document = (await front.documents())[-1]
    assert (document.latitude, document.longitude, document.tags) == (None, None, (1, 2))


async def test_vector_33_the_session_is_asked_for_before_the_type(front: Front) -> None:
    no_session = {"detail": "a session_id is required for this operation"}
    no_type = {"detail": "an event_type is required for this operation"}
    for body in ({"event_type": "x"}, {}, [], None):
        assert await refused(front, "events/", body) == no_session
    assert await refused(front, "events/", {"session_id": await front.open()}) == no_type


async def test_vector_34_an_unknown_session_has_no_events(front: Front) -> None:
    for number in (99999, None, 3, -1, await front.open() + 1):
        told = await refused(front, "events/", {"session_id": number, "event_type": "heartbeat"})
        assert told == {"detail": "Session matching query does not exist."}


async def test_vector_35_a_session_may_be_named_by_digits(front: Front) -> None:
    number = await front.open()
    document = (await front.post("events/", {"session_id": str(number), "event_type": "x"})).document

    assert document["session_id"] == number
    told = await refused(front, "events/", {"session_id": "abc", "event_type": "x"})
    assert told == {"detail": "Field 'id' expected a number but got 'abc'."}


async def test_vector_36_any_type_of_50_characters_is_taken(front: Front) -> None:
    number = await front.open()
    for event_type in ("never seen", "x" * 50):
        document = (await front.post("events/", {"session_id": number, "event_type": event_type})).document
        assert document["event_type"] == event_type
    for event_type in ("x" * 51, "", "  ", None):
        assert (
            "event_type"
            in (await refused(front, "events/", {"session_id": number, "event_type": event_type}))["detail"]
        )


async def test_vector_37_tags_are_stronger_than_tag_ids(front: Front) -> None:
    asked = {"session_id": await front.open(), "event_type": "x", "tags": "5", "tag_ids": "6"}

    assert (await front.post("events/", asked)).document["tag_ids"] == "5"


async def test_vector_38_an_event_may_be_a_form(front: Front) -> None:
    number = await front.open()
    answer = await front.form("events/", HEARTBEAT | {"session_id": number})
    parts = await front.multipart("events/", HEARTBEAT | {"session_id": number})

    assert answer.status == parts.status == 200
    assert (answer.document["latitude"], answer.document["tag_ids"]) == ("1.2345", "3,8")
    own = {"id", "server_time"}
    assert {k: v for k, v in parts.document.items() if k not in own} == {
        k: v for k, v in answer.document.items() if k not in own
    }


async def test_vector_39_filters_of_the_event_list(front: Front) -> None:
    number, other = await front.open(), await front.open()
    for of, event_type in ((number, "start_listen"), (number, "heartbeat"), (other, "start_listen")):
        await front.post("events/", {"session_id": of, "event_type": event_type})

    mine = (await front.get(f"events/?session_id={number}")).document
    listens = (await front.get("events/?event_type=LISTEN")).document

    assert [event["event_type"] for event in mine] == ["heartbeat", "start_listen"]
    assert {event["session_id"] for event in mine} == {number}
    assert [event["session_id"] for event in listens] == [other, number]


# Listen events, heartbeat, whole flow.


async def test_vector_41_a_listen_event_begins(front: Front) -> None:
    number = await front.open()
    answer = await front.post("listenevents/", {"starttime": STARTED, "session": number, "asset": 1})

    document = answer.document
    assert answer.status == 200
    assert type(document["id"]) is int
    assert document == {
        "id": document["id"],
        "duration_in_seconds": None,
        "start_time": "2022-01-02T03:04:05.678000",
        "session_id": number,
        "asset_id": 1,
        "project_id": 1,
    }


async def test_vector_42_a_listen_event_ends(front: Front) -> None:
    listen = await front.listen(await front.open())
    answer = await front.send("PATCH", f"listenevents/{listen}", {"duration_in_seconds": 12.345})

    assert (answer.status, answer.document["duration_in_seconds"]) == (200, 12.35)


async def test_vector_43_no_duration_is_lost_to_floating_point(front: Front) -> None:
    listen = await front.listen(await front.open())
    answer = await front.send("PATCH", f"listenevents/{listen}/", {"duration_in_seconds": 1.001})

    assert (answer.status, answer.document["duration_in_seconds"]) == (200, 1.0)
    assert (await front.documents())[-1].duration_seconds == "1.001"


async def test_vector_44_times_move_to_utc_and_what_is_missing_is_told(front: Front) -> None:
    number = await front.open()
    asked = {"starttime": "2022-01-02T03:04:05-05:00", "session": number, "asset": 1}

    assert (await front.post("listenevents/", asked)).document["start_time"] == "2022-01-02T08:04:05"
    for body in ({}, None):
        told = await refused(front, "listenevents/", body)
        assert told == {"starttime": REQUIRED, "session": REQUIRED, "asset": REQUIRED}
    unknown = await refused(front, "listenevents/", asked | {"session": 999})
    assert unknown == {"session": ['Invalid pk "999" - object does not exist.']}
    typed = await refused(front, "listenevents/", asked | {"asset": "abc"})
    assert typed == {"asset": ["Incorrect type. Expected pk value, received str."]}


async def test_vector_45_the_older_names_of_the_fields_are_taken(front: Front) -> None:
    asked = {"start_time": STARTED, "session_id": await front.open(), "asset_id": 4, "duration_in_seconds": 2}
    answer = await front.post("listenevents", asked)

    assert (answer.status, answer.document["asset_id"], answer.document["duration_in_seconds"]) == (200, 4, 2.0)


async def test_vector_46_a_listen_event_is_deleted_once(front: Front) -> None:
    listen = await front.listen(await front.open())

    assert (await front.send("DELETE", f"listenevents/{listen}/")).status == 204
    assert (await front.send("DELETE", f"listenevents/{listen}/")).status == 404
    for number in (listen, 12345, listen + 1):
        answer = await front.send("PATCH", f"listenevents/{number}/", {"duration_in_seconds": 1})
        assert (answer.status, answer.document) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("body", [{"session_id": 1}, {}, None, b"nonsense"], ids=str)
async def test_vector_47_a_heartbeat_is_listed_as_an_event(front: Front, body: object) -> None:
    number = await front.open()
    answer = await front.post(f"streams/{number}/heartbeat/", body)

    assert (answer.status, answer.document) == (200, {})
    listed = (await front.get(f"events/?session_id={number}")).document
    assert [event["event_type"] for event in listed] == ["heartbeat"]
    unknown = await front.post("streams/99/heartbeat/", {})
    assert (unknown.status, unknown.document) == (400, {"detail": "Session matching query does not exist."})
    assert (await front.post("streams/abc/heartbeat/", {})).status == 404


async def test_vector_48_the_answers_of_a_whole_run(front: Front) -> None:
    token = await front.register("V1StGXR8_Z5jdHi6B-myT")
    number = (await front.post("sessions/", session(), token=token)).document["id"]
    for event_type, more in (
        ("start_session", {}),
        ("play_stream", {}),
        ("location_update", {"latitude": 1.5, "longitude": 2.5}),
        ("filter_stream", {"tag_ids": [1]}),
    ):
        event = {"session_id": number, "event_type": event_type, **more}
        assert (await front.post("events/", event, token=token)).status == 200
    started = {"starttime": STARTED, "session": number, "asset": 9}
    listen = (await front.post("listenevents/", started, token=token)).document["id"]
    ended = await front.send("PATCH", f"listenevents/{listen}", {"duration_in_seconds": 1.2}, token=token)
    paused = await front.post("events/", {"session_id": number, "event_type": "pause_stream"}, token=token)

    assert (ended.status, ended.document["duration_in_seconds"], paused.status) == (200, 1.2, 200)


async def test_vector_49_a_page_of_an_allowed_origin_may_patch(log) -> None:
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}
    async with open_front(log, Configuration(origins=frozenset({"https://map.example"}))) as front:
        allowed = await front.send(
            "OPTIONS", "listenevents/1", headers=asked | {"Origin": "https://map.example"}, token=None
        )
        other = await front.send(
            "OPTIONS", "listenevents/1", headers=asked | {"Origin": "https://evil.example"}, token=None
        )
        shown = await front.get("sessions/", headers={"Origin": "https://map.example"})

    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "https://map.example"
    assert {"authorization", "content-type"} <= set(allowed.headers["access-control-allow-headers"].split(", "))
    assert "PATCH" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-max-age"] == "86400"
    assert not [name for name in other.headers if name.startswith("access-control-allow")]
    assert shown.headers["access-control-allow-origin"] == "https://map.example"


async def test_vector_49_without_a_list_any_page_may_ask(front: Front) -> None:
    for answer in (await front.get("sessions/"), await front.get("nothing/"), await front.get("sessions/", token=None)):
        assert answer.headers["access-control-allow-origin"] == "*"


PATHS = [
    "users",
    "sessions",
    "sessions/1",
    "events",
    "events/1",
    "listenevents",
    "listenevents/1",
    "streams",
    "streams/1",
    "streams/1/heartbeat",
    "streams/1/kill",
    "streams/1/isactive",
    "speakers",
    "projects/1",
    "projects/1/uiconfig",
    "x/y",
    "sessions/1/2",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_vector_50_nothing_is_created_and_nothing_is_empty(front: Front, method: str) -> None:
    # That no answer is 201 or 500, and each a JSON document, `send` asserts of every answer.
    for path in ("", *PATHS):
        for body, typed in ((None, {}), ({}, {}), ([], {}), (b"\xff", {"Content-Type": "application/json"})):
            answer = await front.send(method, path, body, headers=typed)
            assert answer.status in {200, 204, 400, 404, 405}
