"""The test vectors of the Media Collection API contract, by their names: what the door answers to each.

What the streams mean for reports is tested where they are folded; here every request gets its right status.
"""

import asyncio

import orjson
import pytest

from tests.ingest.doors import NOW, OpenDoor, assert_cors, assert_reconciled, event, open_door, request, session_start
from tests.ingest.logs import StutteringLog

QOE = {
    "media.qoe.bitrate": 100_000,
    "media.qoe.droppedFrames": 2,
    "media.qoe.framesPerSecond": 23.5,
    "media.qoe.timeToStart": 20,
}
MOBILE_IDENTITY = {
    "analytics.enableSSL": True,
    "analytics.visitorId": "vid",
    "analytics.aid": "aid",
    "visitor.marketingCloudUserId": "mid",
    "visitor.aamLocationHint": 9,
    "media.sdkVersion": "app_version",
    "media.libraryVersion": "ios-media-5.0.1",
    "visitor.customerIDs": {f"id_type{n}": {"id": f"id{n}", "authState": n - 1} for n in (1, 2, 3)},
}


def mobile_start(*, downloaded=False, playhead=0, ts=0, length=30, resume=False, **params):
    told = {
        "media.id": "mediaID",
        "media.name": "mediaName",
        "media.length": length,
        "media.contentType": "aod",
        "media.streamType": "audio",
        "media.resume": resume,
        "media.downloaded": downloaded,
    }
    metadata = {"media.show": "sampleshow", "key1": "value1", "key2": "tiếng Việt, кириллица"}
    return session_start(playhead, ts, **(MOBILE_IDENTITY | told | params)) | {"customMetadata": metadata}


def full_start(library="ios-media-5.0.1", *, downloaded=True):
    """The body of I-9 and A-1."""
    told = {
        "media.id": "media_id",
        "media.name": "name",
        "media.contentType": "vod",
        "media.streamType": "video",
        "media.libraryVersion": library,
    }
    start = mobile_start(length=1800, downloaded=downloaded, **told)
    return start | {"customMetadata": {"key1": "value1"}, "qoeData": QOE}


SIMPLE = [
    event("play"),
    event("play", 1, 1000),
    event("pauseStart", 5, 5000),
    event("ping", 5, 15_000),
    event("play", 5, 20_000),
    event("ping", 15, 30_000),
]
BUFFER = [
    event("bufferStart"),
    event("play", 0, 5000),
    event("play", 1, 6000),
    event("bufferStart", 5, 10_000),
    event("ping", 5, 20_000),
    event("play", 5, 25_000),
    event("ping", 15, 35_000),
    event("sessionComplete", 20, 40_000),
]


def state(kind, playhead, ts, name):
    return event(kind, playhead, ts, {"media.state.name": name})


STREAMS = {
    "I-1": [*SIMPLE, event("sessionComplete", 20, 35_000)],
    "I-2": [*SIMPLE, event("sessionEnd", 20, 35_000)],
    "I-3": BUFFER,
    "I-3, seeking": [e | {"eventType": "pauseStart"} if e["eventType"] == "bufferStart" else e for e in BUFFER],
    "I-10": [
        event("play"),
        event("play", 1, 1000),
        event("error", 5, 5000, qoeData={"media.qoe.errorID": "1000.2000.3000", "media.qoe.errorSource": "player"}),
        event("ping", 11, 11_000),
        event(
            "error", 20, 20_000, qoeData={"media.qoe.errorID": "custom.error.code", "media.qoe.errorSource": "player"}
        ),
        event("sessionComplete", 20, 20_000),
    ],
    "I-11": [
        state("stateStart", 0, 0, "customStateName"),
        state("stateEnd", 5, 5000, "customStateName"),
        state("stateStart", 10, 10_000, "mute"),
        state("stateStart", 10, 10_000, "fullscreen"),
        event("ping", 11, 11_000),
        state("stateEnd", 15, 15_000, "mute"),
        event("sessionComplete", 15, 15_000),
    ],
    "I-12": [
        event("play"),
        event("play", 1, 1000),
        event("pauseStart", 3, 3000),
        state("stateStart", 3, 603_000, "closedCaptioning"),
        state("stateEnd", 3, 1_203_000, "closedCaptioning"),
        *[event("ping", 3, ts) for ts in range(13_000, 1_803_000, 10_000)],
        event("sessionEnd", 3, 1_803_000),
    ],
    "I-15": [
        event("bitrateChange"),
        event("adSkip", qoeData=dict(zip(QOE, (48, 4, 60, 1), strict=True))),
    ],
    "A-9": [
        event(
            "error",
            qoeData=dict(zip(QOE, (1, 2, 3, 4), strict=True))
            | {"media.qoe.errorID": "error-id", "media.qoe.errorSource": "player"},
        ),
        event("bitrateChange"),
    ],
    "J-7": [event("ping", 10, 10_000)],
}


async def play_stream(door: OpenDoor, start, events) -> str:
    """Serial, on one connection, as the mobile clients send: 201, then 204 each."""
    async with door.connect() as client:
        started = await client.ask(request("POST", "/api/v1/sessions", start))
        assert started.status == 201, started
        path = f"{started.headers['location']}/events"
        for document in events:
            answer = await client.ask(request("POST", path, document, {"Content-type": "application/json"}))
            assert answer.status == 204, (document, answer)
    return started.sid


@pytest.mark.parametrize("name", STREAMS)
async def test_every_request_of_a_live_stream_is_taken(name):
    async with open_door() as door:
        await play_stream(door, mobile_start(), STREAMS[name])
        assert len(door.log.records) == 1 + len(STREAMS[name])
        assert_reconciled(door)


@pytest.mark.parametrize("name", ["I-1", "I-3", "I-12"])
async def test_the_same_stream_is_taken_as_an_offline_batch(name):
    async with open_door() as door:
        answer = await door.post("/api/v1/sessions", [mobile_start(downloaded=True), *STREAMS[name]])
        assert answer.status == 201
        assert len(door.log.records) == 1 + len(STREAMS[name])


async def test_I_9_as_the_first_element_of_an_array_is_taken_and_alone_it_is_not():
    async with open_door() as door:
        assert (await door.post("/api/v1/sessions", [full_start()])).status == 201
        assert (await door.post("/api/v1/sessions", full_start())).status == 400


async def test_I_12_goes_on_in_a_new_session_after_half_an_hour():
    again = [event("play", 3, 1_803_000), event("play", 3, 1_804_000), event("sessionComplete", 3, 1_806_000)]
    async with open_door() as door:
        first = await play_stream(door, mobile_start(), STREAMS["I-12"][:-1])
        door.clock.now += 1_803_000
        assert (await door.event(first, STREAMS["I-12"][-1])).status == 204, "exactly at half an hour"
        assert await play_stream(door, mobile_start(playhead=3, ts=1_803_000, resume=True), again) != first


async def test_I_13_ends_after_exactly_a_day_and_is_resumed():
    async with open_door() as door:
        first = await play_stream(door, mobile_start(), [event("ping", 86_390, 86_390_000)])
        door.clock.now += 86_400_000
        assert (await door.event(first, event("sessionEnd", 86_400, 86_400_000))).status == 204
        resumed = mobile_start(playhead=86_400, ts=86_400_000, length=30, resume=True)
        assert await play_stream(door, resumed, [event("sessionComplete", 86_420, 86_420_000)]) != first


async def test_I_13_as_a_batch_of_a_whole_day_is_taken():
    pings = [event("ping", second, second * 1000) for second in range(50, 86_400, 50)]
    whole = [mobile_start(downloaded=True), event("play"), *pings, event("sessionEnd", 86_400, 86_400_000)]
    async with open_door() as door:
        assert (await door.post("/api/v1/sessions", whole)).status == 201
        assert len(door.log.records) == len(whole)


async def test_A_1_is_answered_with_a_location_the_client_reads():
    async with open_door() as door:
        answer = await door.post("/api/v1/sessions", full_start("android-media-3.1.2", downloaded=False))
        assert answer.status == 201
        prefix, sid = answer.headers["location"][:17], answer.headers["location"][17:]
        assert prefix == "/api/v1/sessions/"
        assert len(sid) == 64
        assert int(sid, 16)


AD_BREAK = event(
    "adBreakStart",
    10,
    10_000,
    {"media.ad.podFriendlyName": "adbreak_name", "media.ad.podIndex": 1, "media.ad.podSecond": 10},
)
AD = event(
    "adStart",
    10,
    10_000,
    {
        "media.ad.id": "ad_id",
        "media.ad.name": "ad_name",
        "media.ad.length": 20,
        "media.ad.podPosition": 1,
        "media.ad.playerName": "player_name",
    },
)


async def test_A_2_a_play_and_a_break_after_A_1_are_taken():
    async with open_door() as door:
        await play_stream(door, full_start(downloaded=False), [event("play", 0, 100), AD_BREAK])


async def test_A_3_the_same_start_three_times_within_a_second_is_taken_each_time():
    async with open_door() as door:
        sids = {(await door.post("/api/v1/sessions", full_start(downloaded=False))).sid for _ in range(3)}
        assert len(sids) == 3


async def test_A_4_the_full_batch_is_taken_and_so_is_its_repetition():
    whole = [
        full_start("android-media-3.1.2"),
        event("play", 0, 100),
        AD_BREAK,
        AD,
        event("adComplete", 10, 30_000),
        event("adBreakComplete", 10, 30_000),
        event("ping", 45, 65_000),
        event("sessionComplete", 60, 80_000),
    ]
    async with open_door() as door:
        first = await door.post("/api/v1/sessions", whole)
        again = await door.post("/api/v1/sessions", whole)
        assert (first.status, again.status) == (201, 201)
        assert first.sid == again.sid


async def test_A_8_the_validation_token_is_passed_over():
    async with open_door() as door:
        headers = {"X-Adobe-AEP-Validation-Token": "integrationId12345"}
        assert (await door.post("/api/v1/sessions", full_start(downloaded=False), headers)).status == 201


async def test_A_11_a_session_that_failed_takes_no_other_with_it():
    log = StutteringLog(failures=3)
    first, second = ([full_start() | {"customMetadata": {"n": n}}, event("sessionEnd")] for n in ("1", "2"))
    async with open_door(log) as door:
        assert [(await door.post("/api/v1/sessions", first)).status for _ in range(3)] == [503] * 3
        assert (await door.post("/api/v1/sessions", second)).status == 201
        assert_reconciled(door)


async def test_J_1_the_preflight_of_a_browser_is_allowed():
    asked = {
        "Origin": "https://player.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with open_door() as door:
        for path in ("/api/v1/sessions", f"/api/v1/sessions/{door.keys.mint(NOW)}/events"):
            answer = await door.send("OPTIONS", path, headers=asked)
            assert 200 <= answer.status < 300
            assert_cors(answer)


BROWSER_START = event(
    "sessionStart",
    params={
        "media.id": "id",
        "media.name": "name",
        "media.length": 128,
        "media.contentType": "vod",
        "media.streamType": "video",
        "media.resume": False,
        "media.channel": "unknown",
        "media.playerName": "unknown",
        "analytics.trackingServer": "ts.example",
        "analytics.reportSuite": "rsid",
        "analytics.enableSSL": False,
        "visitor.marketingCloudOrgId": "org@AdobeOrg",
        "visitor.marketingCloudUserId": "mid",
        "media.libraryVersion": "js-3.1.0",
    },
)


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("J-2", {"Content-Type": "application/json", "Origin": "https://player.example"}),
        ("J-3", {"Content-Type": "text/plain;charset=UTF-8", "Origin": "https://player.example"}),
        ("J-11", {}),
    ],
)
async def test_a_browser_start_is_201_empty_and_its_location_readable(name, headers):
    async with open_door() as door:
        answer = await door.post("/api/v1/sessions", BROWSER_START, headers)
        assert (answer.status, answer.body) == (201, b"")
        assert answer.headers["location"].split("/")[4] == answer.sid
        assert_cors(answer)


async def test_J_10_the_same_body_three_times_gives_three_sessions():
    async with open_door() as door:
        answers = await asyncio.gather(*(door.post("/api/v1/sessions", BROWSER_START) for _ in range(3)))
        assert [answer.status for answer in answers] == [201] * 3
        assert len({answer.sid for answer in answers}) == 3


async def test_the_events_of_a_browser_come_three_at_a_time_on_three_connections():
    async with open_door() as door:
        sid = await door.start()
        for tick in range(5):
            events = [event("ping", tick, tick * 500 + n) for n in range(3)]
            answers = await asyncio.gather(*(door.event(sid, document) for document in events))
            assert [answer.status for answer in answers] == [204] * 3
        assert len(door.log.records) == 16


@pytest.mark.parametrize("content_type", ["VOD", "Live"])
@pytest.mark.parametrize("more", [{}, {"media.name": "name"}])
async def test_T_1_the_start_with_the_fewest_params_is_201(content_type, more):
    start = event(
        "sessionStart",
        params={
            "analytics.reportSuite": "rsid",
            "analytics.trackingServer": "ts.example",
            "media.channel": "N/A",
            "media.contentType": content_type,
            "media.id": "N/A",
            "media.length": 0,
            "media.playerName": "THEOplayer",
            "visitor.marketingCloudOrgId": "org",
            **more,
        },
        qoeData={},
    )
    async with open_door() as door:
        assert (await door.post("/api/v1/sessions", start)).status == 201


async def test_T_5_an_event_of_an_unknown_or_closed_session_lets_the_client_begin_anew():
    async with open_door() as door:
        sid = await door.start()
        door.closed.add(sid, NOW)
        assert (await door.event("a" * 64, event("play"))).status == 404
        assert (await door.event(sid, event("play"))).status == 410
        assert (await door.event(await door.start(), event("play"))).status == 204


def timeline_1():
    """MA timeline 1 as documented: pings, two ads of a pre-roll, a mid-roll, no play after it."""
    standard = {
        f"media.ad.{key}": key
        for key in ("advertiser", "campaignId", "creativeId", "siteId", "creativeURL", "placementId")
    }

    def ad(ts, name, length, position):
        params = {
            "media.ad.id": name,
            "media.ad.name": name,
            "media.ad.length": length,
            "media.ad.podPosition": position,
            "media.ad.playerName": "player",
        }
        return event("adStart", 0, ts, params | standard | {"media.ad.podFriendlyName": "ad_pod1"})

    def opening(ts, index, second):
        return event(
            "adBreakStart",
            second,
            ts,
            {"media.ad.podFriendlyName": "ad_pod1", "media.ad.podIndex": index, "media.ad.podSecond": second},
        )

    return [
        opening(0, 0, 0),
        ad(0, "ad_1", 15, 1),
        *[event("ping", 0, second * 1000, {}) for second in range(1, 15)],
        event("adComplete", 0, 15_000),
        ad(15_000, "ad_2", 7, 1),
        *[event("ping", 0, second * 1000, {}) for second in range(16, 22)],
        event("adComplete", 0, 22_000),
        event("adBreakComplete", 0, 22_000),
        event("play", 0, 22_000),
        event("ping", 8, 30_000),
        event("bufferStart", 11, 33_000),
        event("play", 11, 36_000),
        event("ping", 15, 40_000),
        opening(46_000, 1, 21),
        ad(46_000, "ad_3", 8, 2),
        event("adComplete", 21, 54_000),
        event("adBreakComplete", 21, 54_000),
        event("ping", 27, 60_000),
        event("pauseStart", 31, 64_000),
        event("ping", 31, 70_000),
        event("play", 31, 74_000),
        event("ping", 37, 80_000),
        event("sessionComplete", 45, 88_000),
    ]


async def test_D_1_timeline_1_is_taken_whole_and_by_a_strict_door_all_but_the_ad_starts():
    start = session_start(
        **{
            "media.contentType": "VOD",
            "media.length": 60.3333333333,
            "media.sdkVersion": "va-api-0.0.0",
            "analytics.enableSSL": False,
            "analytics.visitorId": "v",
            "media.name": "n",
        }
    )
    async with open_door() as door:
        await play_stream(door, start, timeline_1())
    async with open_door(profile="strict") as door:
        sid = await door.start()
        for document in timeline_1():
            expected = 400 if document["eventType"] == "adStart" else 204
            assert (await door.event(sid, document)).status == expected


async def test_D_4_the_quick_start_body_sent_as_a_form_is_201():
    body = orjson.dumps(session_start(**{"media.length": 60.39333333333333}), option=orjson.OPT_INDENT_2)
    async with open_door() as door:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "curl/8.5.0", "Accept": "*/*"}
        assert (await door.post("/api/v1/sessions", body, headers)).status == 201


async def test_D_6_the_example_of_the_definition_is_201():
    example = session_start(0, 1_699_523_820_000, **{"media.length": 128, "media.streamType": "video"})
    async with open_door() as door:
        assert (await door.post("/api/v1/sessions", example | {"qoeData": {}, "customMetadata": {}})).status == 201
