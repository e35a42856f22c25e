import asyncio
import gzip
import hashlib

import orjson
import pytest

from ingest.app import Bearing
from ingest.session_id import SessionKeys
from schemas.events import EventType
from schemas.validation import published
from tests.ingest.doors import (
    LIFETIME_MS,
    NOW,
    PLAY,
    assert_cors,
    assert_reconciled,
    batch,
    event,
    open_door,
    session_start,
)
from tests.ingest.logs import AwayLog, FaultyLog, SilentLog, SlowLog

pytestmark = pytest.mark.usefixtures("way")


async def test_a_session_start_is_answered_201_empty_with_a_bare_path():
    async with open_door() as door:
        answer = await door.post("/api/v1/sessions", session_start())
        assert (answer.status, answer.body) == (201, b"")
        assert answer.headers["content-length"] == "0"
        assert answer.headers["location"] == f"/api/v1/sessions/{answer.sid}"
        assert door.keys.verify(answer.sid) == NOW
        assert_cors(answer)
        [envelope] = door.log.envelopes()
        assert (envelope.sid, envelope.received_at, envelope.source) == (answer.sid, NOW, "collection")


async def test_an_event_is_answered_204_without_a_body():
    async with open_door() as door:
        answer = await door.event(await door.start(), PLAY)
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
        assert_cors(answer)


async def test_the_published_bytes_are_the_received_bytes():
    raw = b'{ "playerTime" : {"ts":1.0e0, "playhead":0.50},\n "eventType":"pl\\u0061y", "x/y":"a\\/b" }'
    async with open_door() as door:
        sid = await door.start()
        assert (await door.event(sid, raw)).status == 204
        assert door.log.envelopes()[-1].event == raw


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/sessions/",
        "//api/v1/sessions",
        "/va/api/v1/sessions",
        "/a/deep/prefix/api/v1/sessions//",
        "///va///api///v1///sessions///",
        "/api/v1/sessions?debug=1",
        "/api/v1/api/v1/sessions",
        "http://door.example/va/api/v1/sessions",
    ],
)
async def test_prefixes_and_slashes_change_nothing_and_never_redirect(path):
    async with open_door() as door:
        answer = await door.post(path, session_start())
        assert answer.status == 201
        assert answer.headers["location"] == f"/api/v1/sessions/{answer.sid}"
        base, _, query = path.partition("?")
        events = await door.post(f"{base.rstrip('/')}//{answer.sid}/events/?{query}", PLAY)
        assert events.status == 204


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain;charset=UTF-8", "image/png", "\xff"])
async def test_any_content_type_or_none_will_do(content_type):
    async with open_door() as door:
        headers = {} if content_type is None else {"Content-type": content_type}
        assert (await door.post("/api/v1/sessions", session_start(), headers)).status == 201


async def test_a_byte_order_mark_is_taken_and_not_published():
    async with open_door() as door:
        sid = await door.start()
        assert (await door.event(sid, b"\xef\xbb\xbf" + orjson.dumps(PLAY))).status == 204
        assert door.log.envelopes()[-1].event == orjson.dumps(PLAY)
        answer = await door.post("/api/v1/sessions", b"\xef\xbb\xbf \n" + orjson.dumps(batch(PLAY)))
        assert answer.status == 201


@pytest.mark.parametrize("path", ["/api/v1/sessions", "/api/v1/downloaded", "/api/v1/downloads"])
async def test_a_preflight_is_allowed_for_a_day(path):
    async with open_door() as door:
        asked = {
            "Origin": "https://player.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-adobe-aep-validation-token",
        }
        answer = await door.send("OPTIONS", path, headers=asked)
        assert answer.status in {200, 204}
        assert int(answer.headers["access-control-max-age"]) >= 3600
        assert answer.headers["access-control-allow-headers"] == "content-type,x-adobe-aep-validation-token"
        assert_cors(answer)


async def test_a_preflight_echoes_no_strange_header_list():
    async with open_door() as door:
        answer = await door.send(
            "OPTIONS", "/api/v1/sessions", headers={"Access-Control-Request-Headers": "a<script>:\t\x80"}
        )
        assert answer.status == 204
        assert "script" not in answer.headers["access-control-allow-headers"]
        assert_cors(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/sessions", "POST"),
        ("HEAD", "/api/v1/sessions", "POST"),
        ("PUT", "/api/v1/sessions/", "POST"),
        ("DELETE", "/x/api/v1/downloaded", "POST"),
        ("PROPFIND", "/api/v1/sessions/1/events", "POST"),
        ("POST", "/api/v1/schemas/play", "GET"),
    ],
)
async def test_another_method_is_405_with_what_is_allowed(method, path, allowed):
    async with open_door() as door:
        answer = await door.send(method, path)
        assert answer.status == 405
        assert allowed in answer.headers["allow"].split(",")
        assert_cors(answer)
        assert_reconciled(door)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1",
        "/api/v1/session",
        "/api/v2/sessions",
        "/api/v1/sessions/1",
        "/api/v1/1/events",
        "/api/v1/schemas",
    ],
)
async def test_an_unknown_path_is_404(path):
    async with open_door() as door:
        for method in ("GET", "POST"):
            answer = await door.send(method, path)
            assert answer.status == 404
            assert answer.document["code"] == "not_found"
            assert_cors(answer)
        assert_reconciled(door)


@pytest.mark.parametrize("event_type", list(EventType))
async def test_the_schema_of_every_event_type_is_served(event_type):
    async with open_door() as door:
        answer = await door.send("GET", f"/va/api/v1/schemas/{event_type}")
        assert answer.status == 200
        assert answer.body == published(event_type)
        assert answer.headers["content-type"].startswith("application/json")
        assert "max-age" in answer.headers["cache-control"]
        assert_cors(answer)
        again = await door.send(
            "GET", f"/api/v1/schemas/{event_type}", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert (again.status, again.body) == (304, b"")
        head = await door.send("HEAD", f"/api/v1/schemas/{event_type}")
        assert (head.status, head.headers["etag"]) == (200, answer.headers["etag"])


async def test_the_schema_of_an_unknown_type_is_404():
    async with open_door() as door:
        answer = await door.send("GET", "/api/v1/schemas/seekStart")
        assert answer.status == 404
        assert answer.document["message"]
        assert_cors(answer)


async def test_a_400_names_the_place_and_the_rule():
    async with open_door() as door:
        answer = await door.post("/api/v1/sessions", session_start(**{"media.length": "long"}))
        assert answer.status == 400
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.document["code"] == "schema_violation"
        assert [(e["path"], e["rule"]) for e in answer.document["errors"]] == [("params.media.length", "type")]
        assert "params.media.length" in answer.document["message"]
        assert_cors(answer)
        batched = await door.post("/api/v1/sessions", batch(PLAY, PLAY, event("play", 0, "now")))
        assert batched.status == 400
        assert batched.document["code"] == "batch_rejected"
        assert batched.document["errors"][0]["path"] == "[3].playerTime.ts"
        assert door.log.records == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'\xff\xfe{"a":1}', "malformed_json"),
        ("{}".encode("utf-16"), "malformed_json"),
        (b'"play"', "schema_violation"),
        (b"null", "schema_violation"),
        (b"[]", "schema_violation"),
        (b"{}", "schema_violation"),
        (event("seekStart"), "unknown_event_type"),
        (session_start(), "wrong_endpoint"),
        (event("adStart"), "schema_violation"),
    ],
)
async def test_what_is_no_event_is_400_and_kept_nowhere(document, code):
    async with open_door() as door:
        sid = await door.start()
        answer = await door.event(sid, document)
        assert (answer.status, answer.document["code"]) == (400, code)
        assert len(door.log.records) == 1


@pytest.mark.parametrize("event_type", [t for t in EventType if t is not EventType.SESSION_START])
async def test_only_a_session_start_opens_a_session(event_type):
    params = {
        "media.ad.podIndex": 1,
        "media.ad.podSecond": 0,
        "media.ad.id": "a",
        "media.ad.length": 1,
        "media.ad.podPosition": 1,
        "media.ad.playerName": "p",
        "media.chapter.index": 1,
        "media.chapter.offset": 0,
        "media.chapter.length": 1,
        "media.state.name": "mute",
        "statesStart": [{"media.state.name": "mute"}],
    }
    async with open_door() as door:
        sid = await door.start()
        accepted = await door.event(sid, event(event_type, 0, 0, params))
        assert accepted.status == 204
        misplaced = await door.post("/api/v1/sessions", event(event_type, 0, 0, params))
        assert (misplaced.status, misplaced.document["code"]) == (400, "wrong_endpoint")


@pytest.mark.parametrize("sid", ["x", "0" * 64, "F" * 64, "..", "%2e%2e", "a" * 63, "%00", "é".encode().hex() * 16])
async def test_an_id_we_never_issued_is_404_whatever_comes_with_it(sid):
    async with open_door() as door:
        for body in (orjson.dumps(PLAY), b"{", b"x" * 100_000):
            answer = await door.post(f"/api/v1/sessions/{sid}/events", body)
            assert answer.status == 404
            assert_cors(answer)
        assert door.log.records == []


async def test_ids_of_every_secret_are_known_and_of_a_dropped_one_are_not():
    old, new = b"o" * 32, b"n" * 32
    sid_of_old, sid_of_new = SessionKeys([old]).mint(NOW), SessionKeys([new]).mint(NOW)
    async with open_door(secrets=(new, old)) as door:
        assert (await door.event(sid_of_old, PLAY)).status == 204
        assert (await door.event(sid_of_new, PLAY)).status == 204
    async with open_door(secrets=(new,)) as door:
        assert (await door.event(sid_of_old, PLAY)).status == 404
        assert (await door.event(sid_of_new, PLAY)).status == 204


async def test_an_id_is_taken_by_a_door_that_never_saw_its_start():
    async with open_door() as first:
        sid = await first.start()
    async with open_door() as second:
        assert (await second.event(sid, PLAY)).status == 204


async def test_a_session_that_the_workers_closed_is_410():
    async with open_door() as door:
        sid, other = await door.start(), await door.start()
        assert (await door.event(sid, event("sessionEnd"))).status == 204
        assert (await door.event(sid, event("sessionEnd"))).status == 204, "the door itself remembers no session"
        door.closed.add(sid, NOW)
        answer = await door.event(sid, PLAY)
        assert (answer.status, answer.document["code"]) == (410, "session_closed")
        assert_cors(answer)
        assert (await door.event(other, PLAY)).status == 204


async def test_an_id_older_than_any_session_can_be_is_410_by_arithmetic():
    async with open_door() as door:
        sid = await door.start()
        door.clock.now += LIFETIME_MS
        assert (await door.event(sid, PLAY)).status == 204
        door.clock.now += 1
        assert (await door.event(sid, PLAY)).status == 410


async def test_an_id_of_a_door_whose_clock_is_ahead_is_taken():
    async with open_door() as door:
        assert (await door.event(door.keys.mint(NOW + 600_000), PLAY)).status == 204


async def test_the_checks_come_in_the_order_id_size_closed_document():
    large, broken = b"[" * 70_000, b"{"
    async with open_door() as door:
        sid, closed = await door.start(), await door.start()
        door.closed.add(closed, NOW)
        assert (await door.event("0" * 64, large)).status == 404
        assert (await door.event(closed, large)).status == 413
        assert (await door.event(closed, broken)).status == 410
        assert (await door.event(sid, broken)).status == 400


async def test_an_event_of_just_the_limit_is_taken_and_one_byte_more_is_413():
    async with open_door(max_event_bytes=2000) as door:
        sid = await door.start()
        body = orjson.dumps(PLAY)
        assert (await door.event(sid, body + b" " * (2000 - len(body)))).status == 204
        answer = await door.event(sid, body + b" " * (2001 - len(body)))
        assert (answer.status, answer.document["code"]) == (413, "too_large")
        assert_cors(answer)
        start = orjson.dumps(session_start())
        assert (await door.post("/api/v1/sessions", start + b" " * (2001 - len(start)))).status == 413
        assert (await door.post("/api/v1/sessions", b" " * 2001)).status == 413


async def test_a_batch_has_limits_of_its_own():
    async with open_door(max_event_bytes=2000, max_batch_bytes=20_000, max_batch_events=50) as door:
        assert (await door.post("/api/v1/sessions", batch(*[PLAY] * 49))).status == 201
        assert (await door.post("/api/v1/sessions", batch(*[PLAY] * 50))).status == 413
        assert (await door.post("/api/v1/sessions", orjson.dumps(batch(PLAY)) + b" " * 20_000)).status == 413
        large = event("play", 0, 0, customMetadata={"k": "v" * 2000})
        answer = await door.post("/api/v1/downloaded", batch(PLAY, large))
        assert (answer.status, answer.document["code"]) == (413, "too_large")
        assert [(e["path"], e["rule"]) for e in answer.document["errors"]] == [("[2]", "maxBytes")]
        assert len(door.log.records) == 50


async def test_each_refusal_with_a_document_is_copied_to_the_rejects():
    async with open_door(bearing=Bearing(peer_privacy="truncated")) as door:
        sid = await door.start()
        await door.event(sid, b'{"eventType": 5}')
        await door.post("/x/api/v1/sessions", b"\xff\x00")
        await door.event("0" * 64, PLAY)
        door.closed.add(sid, NOW)
        await door.event(sid, PLAY)
        first, second = door.log.rejects()
        assert first == {
            "rejectedAt": NOW,
            "stage": "door",
            "code": "schema_violation",
            "status": 400,
            "sid": sid,
            "endpoint": f"/api/v1/sessions/{sid}/events",
            "errors": first["errors"],
            "peer": "127.0.0.0",
            "origin": None,
            "body": '{"eventType": 5}',
        }
        assert first["errors"][0]["path"] == "eventType"
        assert (second["endpoint"], second["sid"], second["bodyBase64"]) == ("/api/v1/sessions", None, "/wA=")


async def test_a_large_reject_is_cut_and_says_so():
    async with open_door() as door:
        sid = await door.start()
        await door.event(sid, "é".encode() * 40_000)
        [reject] = door.log.rejects()
        assert (reject["status"], reject["code"], reject["truncated"]) == (413, "too_large", True)
        assert reject["body"] == "é" * 32_768
        await door.post("/api/v1/downloaded", b'["' + "é".encode() * 40_000)
        reject = door.log.rejects()[1]
        assert (reject["status"], reject["truncated"]) == (400, True)
        assert reject["body"] == '["' + "é" * 32_767


async def test_a_log_that_is_away_is_503_with_retry_after_and_then_it_recovers():
    log = AwayLog()
    async with open_door(log) as door:
        sid = door.keys.mint(NOW)
        for answer in (
            await door.post("/api/v1/sessions", session_start()),
            await door.event(sid, PLAY),
            await door.post("/api/v1/sessions", batch(PLAY)),
        ):
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.document["code"] == "overloaded"
            assert_cors(answer)
        assert "the log is away" in door.door.unready()
        assert door.collector.counts.append_outcomes_unknown == 3
        assert (await door.event(sid, b"{")).status == 400, "what needs no log is answered as ever"
        assert door.collector.counts.rejects_dropped == 1
        log.away = False
        assert (await door.event(sid, PLAY)).status == 204
        assert "the log is away" not in door.door.unready()
        assert_reconciled(door)


async def test_a_log_that_never_answers_is_503_too():
    async with open_door(SilentLog(), append_seconds=0.05, batch_append_seconds=0.05) as door:
        assert (await door.post("/api/v1/sessions", session_start())).status == 503
        assert (await door.post("/api/v1/sessions", batch(PLAY))).status == 503
        assert_reconciled(door)


def test_the_wait_for_a_log_that_never_answers_ends_within_three_seconds():
    from ingest.collector import Rules

    assert Rules().append_seconds < 3


async def test_a_fault_of_ours_is_503_and_never_500():
    async with open_door(FaultyLog()) as door:
        answer = await door.post("/api/v1/sessions", session_start())
        assert answer.status == 503
        assert_cors(answer)
        assert (await door.post("/api/v1/sessions", b"{")).status == 400
        assert door.collector.counts.rejects_dropped == 1
        assert_reconciled(door)


async def test_more_requests_than_the_bound_are_refused_at_once_and_the_others_are_finished():
    log = SlowLog()
    async with open_door(log, bearing=Bearing(max_requests=4)) as door:
        sid = door.keys.mint(NOW)
        waiting = [asyncio.create_task(door.event(sid, PLAY)) for _ in range(4)]
        await log.until_waiting(4)
        assert any("too many" in reason for reason in door.door.unready())
        refused = await door.event(sid, PLAY)
        assert (refused.status, refused.document["code"]) == (503, "overloaded")
        assert_cors(refused)
        log.gate.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [204] * 4
        assert (await door.event(sid, PLAY)).status == 204
        assert_reconciled(door)


async def test_more_bytes_than_the_bound_are_refused_at_once():
    log = SlowLog()
    body = orjson.dumps(PLAY) + b" " * 40_000
    async with open_door(log, bearing=Bearing(max_bytes=100_000)) as door:
        sid = door.keys.mint(NOW)
        waiting = [asyncio.create_task(door.event(sid, body)) for _ in range(2)]
        await log.until_waiting(2)
        assert (await door.event(sid, body)).status == 503
        log.gate.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [204] * 2
        assert_reconciled(door)


async def test_there_is_always_room_for_the_largest_batch():
    async with open_door(max_batch_bytes=100_000_000) as door:
        door.door.admission.enter()
        door.door.admission.hold(100_000_000)
        door.door.admission.leave(100_000_000)


async def test_received_is_accepted_and_rejected_and_failed_by_endpoint_and_status():
    log = AwayLog()
    log.away = False
    async with open_door(log) as door:
        sid = await door.start()
        await door.event(sid, PLAY)
        await door.event(sid, b"{")
        await door.event("1", PLAY)
        await door.post("/api/v1/downloaded", batch(PLAY))
        await door.send("OPTIONS", "/api/v1/sessions")
        await door.send("GET", "/api/v1/schemas/play")
        await door.send("GET", "/favicon.ico")
        await door.send("GET", "/api/v1/sessions")
        log.away = True
        await door.event(sid, PLAY)
        counts = door.collector.counts
        assert dict(counts.answered) == {
            ("sessions", 201): 1,
            ("events", 204): 1,
            ("events", 400): 1,
            ("events", 404): 1,
            ("downloaded", 201): 1,
            ("preflight", 204): 1,
            ("schemas", 200): 1,
            ("other", 404): 1,
            ("other", 405): 1,
            ("events", 503): 1,
        }
        assert (counts.received, counts.accepted, counts.rejected, counts.failed) == (10, 5, 4, 1)
        assert counts.events_accepted == len(door.log.records) == 4
        assert_reconciled(door)


async def test_a_client_that_leaves_while_the_log_works_is_counted_as_it_went():
    log = SlowLog()
    async with open_door(log) as door:
        sid = door.keys.mint(NOW)
        async with door.connect() as client:
            await client.write(
                f"POST /api/v1/sessions/{sid}/events HTTP/1.1\r\nHost: d\r\nContent-Length: 60\r\n\r\n".encode()
                + orjson.dumps(PLAY).ljust(60)
            )
            await log.until_waiting(1)
        log.gate.set()
        await door.runner.cleanup()
        assert door.collector.counts.answered == {("events", 204): 1}
        assert len(log.records) == 1
        assert_reconciled(door)


async def test_a_stop_finishes_what_is_accepted():
    log = SlowLog()
    async with open_door(log) as door:
        waiting = asyncio.create_task(door.event(door.keys.mint(NOW), PLAY))
        await log.until_waiting(1)
        door.door.drain()
        assert "stopping" in door.door.unready()
        stopping = asyncio.create_task(door.runner.cleanup())
        await asyncio.sleep(0)
        assert not stopping.done()
        log.gate.set()
        assert (await waiting).status == 204
        await stopping
        assert_reconciled(door)


async def test_a_door_is_unready_until_it_knows_the_closed_sessions():
    async with open_door() as door:
        assert len(door.door.unready()) == 1
        door.closed.caught_up = True
        assert door.door.unready() == []


@pytest.mark.parametrize(("privacy", "shown"), [("full", "127.0.0.1"), ("truncated", "127.0.0.0"), ("none", None)])
async def test_records_carry_as_much_of_the_address_as_the_setting_allows(privacy, shown):
    async with open_door(bearing=Bearing(peer_privacy=privacy)) as door:
        await door.post("/api/v1/sessions", session_start(), {"X-Forwarded-For": "203.0.113.9"})
        assert door.log.envelopes()[0].peer == shown


async def test_what_we_send_is_not_known_by_its_framework():
    async with open_door() as door:
        assert (await door.send("GET", "/")).headers["server"] == "mediabeat"


async def test_the_etag_changes_with_the_document():
    etags = set()
    async with open_door() as door:
        for event_type in EventType:
            etags.add((await door.send("GET", f"/api/v1/schemas/{event_type}")).headers["etag"])
    assert len(etags) == len({hashlib.sha256(published(t) or b"").digest() for t in EventType})


async def test_gzip_is_taken_and_the_plain_text_published():
    async with open_door() as door:
        sid = await door.start()
        raw = orjson.dumps(PLAY)
        path = f"/api/v1/sessions/{sid}/events"
        assert (await door.post(path, gzip.compress(raw), {"Content-Encoding": "gzip"})).status == 204
        assert door.log.envelopes()[-1].event == raw
