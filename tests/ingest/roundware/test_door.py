"""What no vector says: whose is what, several doors, a log that is away, refused bodies, counts."""

import asyncio

import orjson
import pytest
from jsonschema import Draft202012Validator

from ingest.roundware.configuration import Configuration, IssuedToken, Project
from ingest.roundware.tokens import TokenKeys, user_of
from schemas import roundware, topics
from schemas.records import LogUnavailable, Record, StoredRecord
from schemas.roundware import Listen, changed
from tests.ingest.doors import SECRET, assert_cors, connection, request, session_start
from tests.ingest.logs import AwayLog
from tests.ingest.roundware.front import DEVICE, STAFF, Front, open_front, open_log, session
from tests.schemas.test_examples import own_schema

STARTED = {"starttime": "2022-01-02T03:04:05Z", "asset": 1}
STAFF_TOKEN = "staff" * 8


def reconciled(front: Front) -> bool:
    counts = front.collector.counts
    return counts.in_flight == 0 and counts.received == counts.answered.total()


class Flaky:
    """An embedded log that takes nothing while it is away."""

    def __init__(self, log) -> None:
        self._log = log
        self.away = False
        self.partitions = log.partitions

    async def append(self, record: Record) -> None:
        if self.away:
            raise LogUnavailable("away")
        await self._log.append(record)

    def begin(self, record: Record) -> "asyncio.Future[str | None]":
        return asyncio.ensure_future(self.append(record))

    def offer(self, record: Record) -> bool:
        return not self.away and self._log.offer(record)

    def unready(self) -> str | None:
        return None


# Whose is what.


async def test_a_device_sees_its_own_sessions_events_and_listen_events_only(log) -> None:
    async with open_front(log, STAFF) as front:
        other = await front.register("another device")
        mine = await front.open()
        event = (await front.post("events/", {"session_id": mine, "event_type": "x"})).document["id"]
        listen = await front.listen(mine)

        for path in (f"sessions/{mine}/", f"events/{event}/", f"listenevents/{listen}/"):
            assert (await front.get(path)).status == 200
            assert (await front.get(path, token=other)).status == 404
            assert (await front.get(path, token=STAFF_TOKEN)).status == 200
        for path in (
            "sessions/",
            "events/",
            "listenevents/",
            f"events/?session_id={mine}",
            f"listenevents/?session={mine}",
        ):
            assert len((await front.get(path)).document) == 1
            assert (await front.get(path, token=other)).document == []
            assert len((await front.get(path, token=STAFF_TOKEN)).document) == 1


async def test_anybody_may_post_to_a_session_and_its_owner_sees_it(front: Front) -> None:
    other, mine = await front.register("another device"), await front.open()
    event = (await front.post("events/", {"session_id": mine, "event_type": "x"}, token=other)).document["id"]

    for token in (front.token, other):
        assert [of["id"] for of in (await front.get(f"events/?session_id={mine}", token=token)).document] == [event]


async def test_a_session_of_a_door_that_does_not_know_its_user_has_no_device(log) -> None:
    async with open_front(log) as front:
        token = TokenKeys((SECRET,)).mint(user_of("a device that registered long ago"))
        document = (await front.post("sessions/", session(), token=token)).document

    assert (document["device_id"], document["client_type"]) == (None, None)


# Several doors, and lives of one.


async def told(front: Front, device: str) -> None:
    """Wait until a door has heard who registered at another."""
    async with asyncio.timeout(10):
        while front.room.folded.user(user_of(device)) is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


async def test_two_doors_that_hear_of_a_device_at_once_give_it_one_token(tmp_path) -> None:
    async with open_log(tmp_path) as log, open_front(log) as one, open_front(log) as two:
        answers = await asyncio.gather(*(front.post("users/", DEVICE | {"device_id": "d"}) for front in (one, two) * 5))

    assert len({(of.document["id"], of.document["username"], of.document["token"]) for of in answers}) == 1


async def test_a_token_is_known_to_every_door_and_after_a_restart(tmp_path) -> None:
    async with open_log(tmp_path) as log, open_front(log) as one, open_front(log) as two:
        token = await one.register("tablet", "first")
        await told(two, "tablet")
        assert await two.register("tablet", "second") == token
        assert (await two.post("sessions/", session(), token=token)).status == 200
    async with open_log(tmp_path) as log, open_front(log) as front:
        answer = await front.post("sessions/", session(), token=token)

    assert (answer.document["device_id"], answer.document["client_type"]) == ("tablet", "first")


async def test_what_one_door_accepted_another_answers_once_it_is_folded(tmp_path) -> None:
    async with open_log(tmp_path) as log, open_front(log) as one, open_front(log) as two:
        number = await one.open()
        listen = await one.listen(number)
        asking = [asyncio.ensure_future(two.get(path)) for path in (f"sessions/{number}/", f"listenevents/{listen}/")]
        patching = asyncio.ensure_future(two.send("PATCH", f"listenevents/{listen}", {"duration_in_seconds": 2}))
        await fold(log, one)
        answers = [await of for of in asking]
        patched = await patching

        assert [answer.status for answer in answers] == [200, 200]
        assert (patched.status, patched.document["duration_in_seconds"]) == (200, 2.0)
        assert (await two.documents())[-1].listen == listen


async def test_a_patch_whose_listen_event_is_not_folded_yet_is_asked_for_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ingest.roundware.desk.WAIT_SECONDS", 0.1)
    async with open_log(tmp_path) as log, open_front(log) as one:
        listen = await one.listen(await one.open())
        async with open_front(log) as two:
            young = await two.send("PATCH", f"listenevents/{listen}", {"duration_in_seconds": 2})
            monkeypatch.setattr("ingest.roundware.desk.UNFOLDED_MS", -60_000)
            old = await two.send("PATCH", f"listenevents/{listen}", {"duration_in_seconds": 2})

    assert (young.status, list(young.document)) == (503, ["detail"])
    assert young.headers["retry-after"] == "2"
    assert (old.status, old.document) == (404, {"detail": "Not found."})


async def fold(log, front: Front) -> None:
    """What a lane would write on the folded topic."""
    listens: dict[int, Listen] = {}
    for document in await front.documents():
        if isinstance(document, roundware.ListenChange):
            document = listens[document.listen] = changed(listens[document.listen], document)  # noqa: PLW2901
        if isinstance(document, Listen):
            listens[document.id] = document
        key = roundware.folded_key(document)
        partition = topics.partition_of(roundware.session_key(document.session), log.partitions)
        await log.append(Record(topics.ROUNDWARE.name, partition, key.encode(), roundware.encode(document)))


async def test_a_door_is_not_ready_before_it_has_read_the_folded_topic(log) -> None:
    async with open_front(log, follows=False) as front:
        assert front.room.unready() == ["the folded topic of the Roundware sessions is not read to its end yet"]
    async with open_front(log) as front:
        assert front.room.unready() == []


async def test_a_door_that_cannot_number_yet_says_so(log, monkeypatch) -> None:
    monkeypatch.setattr("ingest.roundware.desk.WAIT_SECONDS", 0.05)
    async with open_front(log, STAFF, follows=False) as front:
        answer = await front.post("sessions/", session(), token=STAFF_TOKEN)

    assert (answer.status, list(answer.document)) == (503, ["detail"])


# The log.


async def test_everything_that_was_accepted_is_on_the_log_in_one_envelope(front: Front) -> None:
    number = await front.open()
    body = b'{"session_id": %d, "event_type": "x", "latitude": 1.10, "extra": [1, 2]}' % number
    await front.post("events/", body, headers={"Content-Type": "application/json"})
    envelope = (await front.envelopes())[-1]

    assert (envelope.sid, envelope.source, envelope.batch) == (f"r:{number}", "roundware", None)
    assert envelope.event.endswith(b',"sent":' + body + b"}")
    assert orjson.loads(envelope.event)["latitudeText"] == "1.1"


async def test_every_document_is_as_its_schema_says(front: Front) -> None:
    number = await front.open(stoptime="2030-01-01T00:00:00.5Z")
    listen = await front.listen(number, duration_in_seconds="1e-9")
    told = {"event_type": "x", "latitude": "1", "longitude": 2, "tags": "1,x", "data": {"a": 1}, "client_time": "now"}
    await front.post("events/", told | {"session_id": number})
    await front.post("events/", {"session_id": number, "event_type": "y"})
    await front.post(f"streams/{number}/heartbeat/")
    await front.send("PATCH", f"listenevents/{listen}/", {"duration": 10**18})
    await front.send("PATCH", f"listenevents/{listen}/", {})
    await front.send("DELETE", f"listenevents/{listen}/")
    schema = Draft202012Validator(own_schema("roundware-document.v1"))
    written = [orjson.loads(envelope.event) for envelope in await front.envelopes()]

    assert len(written) == 8
    assert {of["kind"] for of in written} == set(roundware.Kind)
    for document in written:
        schema.validate(document)
        folded = {name: value for name, value in document.items() if name != "sent"}
        schema.validate(folded)
        assert not schema.is_valid(folded | {"user": None})


async def test_while_the_log_is_away_every_post_is_503_and_a_get_is_answered(tmp_path) -> None:
    async with open_log(tmp_path) as log:
        flaky = Flaky(log)
        async with open_front(log, STAFF, appends=flaky) as front:
            front = front._replace(token=STAFF_TOKEN)  # noqa: PLW2901
            number = await front.open()
            listen = await front.listen(number)
            flaky.away = True
            refused = [
                await front.post("sessions/", session()),
                await front.post("events/", {"session_id": number, "event_type": "x"}),
                await front.post("listenevents/", STARTED | {"session": number}),
                await front.send("PATCH", f"listenevents/{listen}/", {"duration_in_seconds": 1}),
                await front.send("DELETE", f"listenevents/{listen}/"),
                await front.post(f"streams/{number}/heartbeat/"),
                await front.post("users/", {"device_id": "new", "client_type": "web"}),
            ]
            shown = await front.get(f"listenevents/{listen}/")
            assert front.collector.counts.append_outcomes_unknown == len(refused)
            assert reconciled(front)

    assert {answer.status for answer in refused} == {503}
    assert all(list(answer.document) == ["detail"] and answer.headers["retry-after"] for answer in refused)
    assert (shown.status, shown.document["duration_in_seconds"]) == (200, None)


async def test_a_log_that_never_answers_is_503_within_the_bound(tmp_path) -> None:
    away = AwayLog(bound_seconds=60)
    async with open_log(tmp_path) as log, open_front(log, STAFF, appends=away, append_seconds=0.05) as front:
        answer = await front.post("users/", {"device_id": "new", "client_type": "web"}, token=None)

    assert answer.status == 503


# Refusals.


async def test_a_refused_body_is_kept_with_what_was_wrong(log) -> None:
    async with open_front(log) as front:
        await front.post("sessions/", {"project_id": 0})
        await front.post("events/", {"session_id": 9, "event_type": "x"})
        await front.post("sessions/", b"{", headers={"Content-Type": "application/json"})
        assert reconciled(front)
    rejects = [orjson.loads(record.value or b"") for record in await read(log, topics.REJECTS.name, 3)]

    assert [(of["endpoint"], of["code"], of["status"], of["sid"]) for of in rejects] == [
        ("/api/2/sessions/", "schema_violation", 400, None),
        ("/api/2/events/", "schema_violation", 400, None),
        ("/api/2/sessions/", "malformed_json", 400, None),
    ]
    assert [error["path"] for error in rejects[0]["errors"]] == ["project_id", "client_system"]
    assert rejects[2]["body"] == "{"


async def read(log, topic: str, count: int) -> list[StoredRecord]:
    """So many records, in the order in which they were written; waits for them."""
    found: list[StoredRecord] = []
    async for records in log.follow(topic):
        found += records or []
        if len(found) >= count:
            break
    return sorted(found, key=lambda record: record.offset)


async def test_a_body_that_is_too_large_is_413_with_one_string(log) -> None:
    async with open_front(log, max_event_bytes=2000) as front:
        answer = await front.post("events/", {"session_id": 1, "event_type": "x", "data": "x" * 3000})

    assert (answer.status, list(answer.document)) == (413, ["detail"])


async def test_a_text_that_grows_too_large_in_a_record_is_413_too(log) -> None:
    async with open_front(log, max_event_bytes=2000) as front:
        grown = {"session_id": await front.open(), "event_type": "x", "data": "\x01" * 1600}
        answer = await front.multipart("events/", grown)

    assert (answer.status, list(answer.document)) == (413, ["detail"])


@pytest.mark.parametrize(
    "path", ["nothing/", "sessions/1/2/", "users/1/", "login/", "streams/1/skipasset/", "projects/"]
)
async def test_what_is_not_there_is_404_in_the_same_shape(front: Front, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await front.send(method, path)
        assert (answer.status, answer.document) == (404, {"detail": "Not found."})


async def test_a_prefix_and_repeated_slashes_do_not_matter(front: Front) -> None:
    async with connection(front.port) as client:
        headers = {"Authorization": f"token {front.token}"}
        answer = await client.ask(request("GET", "/some/where//api/2//sessions//?page=1", None, headers))

    assert (answer.status, answer.document) == (200, [])


async def test_the_media_collection_beside_it_answers_as_ever(front: Front) -> None:
    async with connection(front.port) as client:
        created = await client.ask(request("POST", "/api/v1/sessions", session_start()))
        unknown = await client.ask(request("POST", "/api/v2/sessions", session_start()))

    assert (created.status, unknown.status) == (201, 404)
    assert_cors(unknown)
    assert "code" in unknown.document


async def test_requests_are_counted_by_what_they_asked_for(front: Front) -> None:
    await front.get("sessions/")
    await front.get("nothing/")
    await front.get("sessions/", token=None)
    await front.send("OPTIONS", "sessions/")

    answered = front.collector.counts.answered
    assert answered["roundware-sessions", 200] == 2
    assert (
        answered["roundware-sessions", 401] == answered["roundware-other", 404] == answered["roundware-users", 200] == 1
    )
    assert reconciled(front)


# Lists.


async def test_lists_have_pages(front: Front) -> None:
    numbers = sorted([await front.open() for _ in range(5)], reverse=True)
    pages = [(await front.get(f"sessions/?page={page}&page_size=2")).document for page in (1, 2, 3, 4)]

    assert [[of["id"] for of in page] for page in pages] == [numbers[:2], numbers[2:4], numbers[4:], []]


@pytest.mark.parametrize(
    "query",
    ["project_id=abc", "geo_listen_enabled=False", "starttime__gte=soon", "page=0", "page_size=x", "language_id="],
)
async def test_a_filter_of_sessions_that_cannot_be_read_is_refused(front: Front, query: str) -> None:
    answer = await front.get(f"sessions/?{query}")

    assert (answer.status, list(answer.document)) == (400, [query.partition("=")[0]])


@pytest.mark.parametrize("query", ["session_id=abc", "server_time__gt=x", "tag_ids=1,x", "page=-1"])
async def test_a_filter_of_events_that_cannot_be_read_is_refused(front: Front, query: str) -> None:
    answer = await front.get(f"events/?{query}")

    assert (answer.status, answer.document["detail"].partition(":")[0]) == (400, query.partition("=")[0])


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("client_system=iOS%208.1", True),
        ("client_system=iOS", False),
        ("timezone=%2B0100", True),
        ("timezone=-0100", False),
        ("starttime__gte=2020-01-01T00:00:00Z", True),
        ("starttime__lte=2020-01-01T00:00:00Z", False),
        ("stoptime=2030-01-01T00:00:00", True),
        ("stoptime=2031-01-01T00:00:00", False),
        ("device_id=12891038109281&client_type=phone", True),
        ("language=es", False),
        ("unheard=of", True),
    ],
)
async def test_filters_of_sessions(front: Front, query: str, *, is_found: bool) -> None:
    await front.open(timezone="+0100", stoptime="2030-01-01T00:00:00Z")

    assert bool((await front.get(f"sessions/?{query}")).document) == is_found


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("tag_ids=8", True),
        ("tag_ids=8,3", True),
        ("tag_ids=8,4", False),
        ("tag_ids=1", False),
        ("latitude=42.", True),
        ("longitude=42", False),
        ("server_time__gt=2020-01-01T00:00:00", True),
        ("server_time__lt=2020-01-01T00:00:00", False),
        ("server_time=20", True),
        ("event_type=STREAM", True),
    ],
)
async def test_filters_of_events(front: Front, query: str, *, is_found: bool) -> None:
    number = await front.open()
    told = {"session_id": number, "event_type": "filter_stream", "tag_ids": "3, 8,18", "latitude": 42.5, "longitude": 1}
    await front.post("events/", told)

    assert bool((await front.get(f"events/?{query}")).document) == is_found


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("asset=1", True),
        ("asset=2", False),
        ("project_id=1", True),
        ("duration__gte=2000000000", True),
        ("duration__gte=2000000001", False),
        ("duration__lte=2000000000", True),
        ("start_time__gte=2022-01-02T03:04:05.678", True),
        ("start_time__lte=2022-01-02T03:04:05", False),
        ("session=9", False),
    ],
)
async def test_filters_of_listen_events(front: Front, query: str, *, is_found: bool) -> None:
    await front.listen(await front.open(), duration_in_seconds=2)

    assert bool((await front.get(f"listenevents/?{query}")).document) == is_found


# Streams and stubs.


async def test_calls_below_streams_are_kept_as_events(front: Front) -> None:
    number = await front.open()
    answers = [
        await front.send("PATCH", f"streams/{number}/", {"latitude": 1, "longitude": 2, "tag_ids": "3"}),
        await front.send("PATCH", f"streams/{number}", {"tag_ids": "3,4"}),
        await front.post(f"streams/{number}/pause/"),
        await front.post(f"streams/{number}/resume/"),
        await front.get(f"streams/{number}/isactive/"),
        await front.post(f"streams/{number}/kill/"),
    ]
    kept = [(of.event_type, of.route) for of in (await front.documents())[1:]]

    assert [answer.document for answer in answers] == [
        {},
        {},
        {"success": True},
        {"success": True},
        {"stream_id": number, "active": True},
        {"stream_id": number, "success": True},
    ]
    assert kept == [(of, "streams") for of in ("move_listener", "modify_stream", "pause", "resume", "cleanup_session")]
    assert (await front.send("PATCH", f"streams/{number}/", {})).status == 400


async def test_there_is_a_stream_only_where_one_is_configured(log) -> None:
    async with open_front(log) as front:
        assert (await front.post("streams/", {"session_id": 1})).status == 404
    async with open_front(log, Configuration(stream_url="http://radio.example/stream")) as front:
        number = await front.open()
        answer = await front.post("streams/", {"session_id": number, "latitude": 1, "longitude": 2})
        assert answer.document == {"stream_id": number, "stream_url": "http://radio.example/stream"}
        assert (await front.post("streams/", {})).status == 400


async def test_a_stock_web_client_comes_up_without_any_file(log) -> None:
    async with open_front(log) as front:
        number = await front.open()
        for path, told in (
            (f"projects/1/uiconfig/?session_id={number}", {"listen": [], "speak": []}),
            ("speakers/?project_id=1", []),
            ("audiotracks/?project_id=1&active=true", []),
            ("timedassets/?project_id=1", []),
            ("assets/?project_id=1", []),
        ):
            answer = await front.get(path)
            assert (answer.status, answer.document) == (200, told)
        assert (await front.get("projects/1/")).status == 404


async def test_stubs_are_the_projects_own(log) -> None:
    one = Project(1, stubs={"project": {"id": 1}, "speakers": [{"id": 5}]})
    async with open_front(log, Configuration(projects={1: one, 2: Project(2)})) as front:
        assert (await front.get("projects/1/")).document == {"id": 1}
        assert (await front.get("speakers/?project_id=1")).document == [{"id": 5}]
        assert (await front.get("speakers/?project_id=2")).document == []
        assert (await front.get("speakers/?project_id=3")).status == 404
        assert (await front.get("projects/3/uiconfig/")).status == 404


# Events.


@pytest.mark.parametrize(
    ("told", "position", "quality"),
    [
        ({"latitude": 91, "longitude": 0}, (None, None), ("badPosition",)),
        ({"latitude": "north", "longitude": "2"}, (None, None), ("badPosition",)),
        ({"latitude": "1.5", "longitude": "-180"}, (1.5, -180.0), ()),
        ({"latitude": "", "longitude": ""}, (None, None), ()),
        ({"latitude": 1.5}, (None, None), ()),
        ({"latitude": True, "longitude": 1}, (None, None), ("badPosition",)),
    ],
)
async def test_what_is_no_coordinate_is_none_with_a_flag(
    front: Front, told: dict, position: tuple, quality: tuple
) -> None:
    answer = await front.post("events/", {"session_id": await front.open(), "event_type": "x", **told})
    document = (await front.documents())[-1]

    assert answer.status == 200
    assert (document.latitude, document.longitude) == position
    assert document.quality == quality


@pytest.mark.parametrize(
    ("told", "tags", "text", "quality"),
    [
        ({"tag_ids": ","}, (), ",", ()),
        ({"tag_ids": ",3"}, (3,), ",3", ()),
        ({"tag_ids": "[3, 8]"}, (3, 8), "[3, 8]", ()),
        ({"tag_ids": [3, "8", "x"]}, (3, 8), "3,8,x", ("badTags",)),
        ({"tag_ids": 5}, (5,), "5", ()),
        ({"tag_ids": None}, (), None, ()),
        ({"tag_ids": list(range(600))}, tuple(range(500)), ",".join(map(str, range(600))), ("badTags",)),
    ],
    ids=str,
)
async def test_tags_are_read_as_far_as_they_can_be(
    front: Front, told: dict, tags: tuple, text: str | None, quality: tuple
) -> None:
    answer = await front.post("events/", {"session_id": await front.open(), "event_type": "x", **told})
    document = (await front.documents())[-1]

    assert answer.document["tag_ids"] == text
    assert (document.tags, document.quality) == (tags, quality)


@pytest.mark.parametrize("told", [{"client_time": "x" * 51}, {"latitude": "1" * 51}, {"data": "\0"}, {"tag_ids": "\0"}])
async def test_text_that_cannot_be_kept_is_refused_by_name(front: Front, told: dict) -> None:
    answer = await front.post("events/", {"session_id": await front.open(), "event_type": "x", **told})

    assert answer.status == 400
    assert next(iter(told)) in answer.document["detail"]


async def test_data_may_be_anything(front: Front) -> None:
    number = await front.open()
    for data, text in (("plain", "plain"), ({"a": [1]}, '{"a":[1]}'), (7, "7"), (True, "true"), (None, None)):
        answer = await front.post("events/", {"session_id": number, "event_type": "x", "data": data})
        assert answer.document["data"] == text


async def test_a_session_whose_secret_is_gone_is_still_known_while_it_is_listed(tmp_path) -> None:
    async with open_log(tmp_path) as log:
        async with open_front(log, STAFF) as front:
            number = await front.open()
            await fold(log, front)
        async with open_front(log, STAFF, secrets=(b"another secret of this deployment",)) as front:
            event = {"session_id": number, "event_type": "x"}
            assert (await front.post("events/", event, token=STAFF_TOKEN)).status == 200


async def test_the_printed_example_of_the_documents_works_as_printed(log) -> None:
    token = "4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4"
    configuration = Configuration(tokens={token: IssuedToken(token, "12891038109281", "iPhone")})
    body = b"""{
  "project_id": 1,
  "client_system": "iOS 8.1",
  "geo_listen_enabled": true,
  "demo_stream_enabled": false,
  "language": "fr",
  "timezone": "-8000"
}"""
    headers = {"authorization": f"token {token}", "content-type": "application/json"}
    async with open_front(log, configuration) as front:
        answer = await front.post("sessions/", body, headers=headers, token=None)

    assert answer.status == 200
    assert (answer.document["device_id"], answer.document["client_type"]) == ("12891038109281", "iPhone")


async def test_a_refused_get_leaves_no_reject(log) -> None:
    async with open_front(log) as front:
        await front.get("sessions/?page=0")
        await front.post("sessions/", {})
    rejects = [orjson.loads(record.value or b"") for record in await read(log, topics.REJECTS.name, 1)]

    assert [of["body"] for of in rejects] == ["{}"]


async def test_a_change_that_a_lane_has_folded_first_is_not_counted_twice(log) -> None:
    async with open_front(log) as front:
        listen = await front.listen(await front.open())
        keep = front.room.desk.keep

        async def keep_and_fold(document, received_at, asked) -> None:
            await keep(document, received_at, asked)
            front.room.folded.put(changed(front.room.folded.listen(listen), document))

        front.room.desk.keep = keep_and_fold  # type: ignore[method-assign]
        await front.send("PATCH", f"listenevents/{listen}/", {"duration_in_seconds": 3})

    assert front.room.folded.listen(listen).updates == 1


async def test_a_door_that_is_full_says_so_in_the_same_shape(front: Front) -> None:
    front.door.admission._max_requests = 0
    answer = await front.post("sessions/", session())

    assert (answer.status, list(answer.document), answer.headers["retry-after"]) == (503, ["detail"], "2")
    assert reconciled(front)
