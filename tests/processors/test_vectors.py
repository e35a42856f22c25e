"""The vectors of the clients' own test suites, folded as a lane folds them; each by its name.

Times are the vectors' own, in ms, put after one base. A vector says what a server must take; what must come out of it
is worked out by the report rules.
"""

from typing import Any

import orjson
import pytest

from schemas.events import BatchPlace
from tests.processors.partition import HOUR, MINUTE, START_PARAMS, T0, Partition, document, reports, sid_of

A, B = sid_of(1), sid_of(2)
LIBRARY = {"media.libraryVersion": "ios-media-5.0.1"}
S0 = {
    "media.id": "mediaID",
    "media.name": "mediaName",
    "media.length": 30,
    "media.contentType": "aod",
    "media.streamType": "audio",
    "media.resume": False,
    "media.downloaded": False,
}
SHOW = {"media.show": "sampleshow", "key1": "value1", "key2": "мεδιя"}
Step = tuple[Any, ...]
SIMPLE: list[Step] = [
    ("sessionStart", 0, 0, {"params": S0, "customMetadata": SHOW}),
    ("play", 0, 0),
    ("play", 1, 1_000),
    ("pauseStart", 5, 5_000),
    ("ping", 5, 15_000),
    ("play", 5, 20_000),
    ("ping", 15, 30_000),
    ("sessionComplete", 20, 35_000),
]
BUFFERED: list[Step] = [
    SIMPLE[0],
    ("bufferStart", 0, 0),
    ("play", 0, 5_000),
    ("play", 1, 6_000),
    ("bufferStart", 5, 10_000),
    ("ping", 5, 20_000),
    ("play", 5, 25_000),
    ("ping", 15, 35_000),
    ("sessionComplete", 20, 40_000),
]


def live(steps: list[Step], sid: str = A, partition: Partition | None = None, **start: Any) -> Partition:
    """Post the steps as they happen, then let the window pass."""
    partition = partition or Partition()
    for event_type, playhead, ts, *members in steps:
        sent = dict(members[0]) if members else {}
        if event_type == "sessionStart":
            sent["params"] = START_PARAMS | LIBRARY | sent["params"] | start
        partition.post(sid, event_type, playhead, ts, **sent)
    partition.fold()
    partition.pass_time(steps[-1][2] + 5_001)
    return partition


def batch(steps: list[Step], sid: str = A) -> Partition:
    """The same steps as one offline batch."""
    partition = Partition()
    for position, (event_type, playhead, ts, *members) in enumerate(steps):
        sent = dict(members[0]) if members else {}
        if event_type == "sessionStart":
            sent["params"] = START_PARAMS | LIBRARY | sent["params"] | {"media.downloaded": True}
        body = orjson.dumps(document(event_type, playhead, T0 + ts, **sent))
        partition.put(sid, body, T0 + 20 * HOUR, batch=BatchPlace(sid, position, len(steps)))
    partition.fold()
    return partition


def close_of(partition: Partition, sid: str = A) -> dict[str, Any]:
    """The one session-close of a session, nothing of it rejected."""
    assert not partition.rejects()
    [close] = partition.rows("session-close", sid)
    return close


def times(close: dict[str, Any]) -> dict[str, int]:
    names = ("contentMs", "adMs", "pauseMs", "bufferMs", "startingMs")
    return {name: close["mediabeat"]["extras"][name] for name in names}


def test_i1_simple() -> None:
    close = close_of(live(SIMPLE))
    details = close["mediaReporting"]["sessionDetails"]
    assert times(close) == {"contentMs": 20_000, "adMs": 0, "pauseMs": 15_000, "bufferMs": 0, "startingMs": 0}
    assert (details["timePlayed"], details["pauseCount"], details["pauseTime"]) == (20, 1, 15)
    assert details["isCompleted"] is True
    assert close["customMetadata"]["key2"] == "мεδιя"


def test_i2_abandon() -> None:
    close = close_of(live([*SIMPLE[:-1], ("sessionEnd", 20, 35_000)]))
    assert times(close)["contentMs"] == 20_000
    assert close["mediabeat"]["closeReason"] == "end"
    assert "isCompleted" not in close["mediaReporting"]["sessionDetails"]


def test_i3_buffer() -> None:
    close = close_of(live(BUFFERED))
    assert times(close) == {"contentMs": 20_000, "adMs": 0, "pauseMs": 0, "bufferMs": 20_000, "startingMs": 0}
    assert close["mediaReporting"]["qoeDataDetails"]["bufferCount"] == 2


def test_i3_seek() -> None:
    seek = [("pauseStart", *step[1:]) if step[0] == "bufferStart" else step for step in BUFFERED]
    details = close_of(live(seek))["mediaReporting"]["sessionDetails"]
    assert (details["timePlayed"], details["pauseCount"], details["pauseTime"]) == (20, 2, 20)


def test_i9_full_session_start_in_a_batch() -> None:
    params = {
        "media.id": "media_id",
        "media.name": "media_name",
        "media.length": 1800,
        "media.contentType": "vod",
        "media.channel": "channel",
        "media.playerName": "player_name",
        "analytics.enableSSL": True,
        "analytics.trackingServer": "analytics_server",
        "analytics.reportSuite": "rsid",
        "analytics.visitorId": "vid",
        "analytics.aid": "aid",
        "visitor.marketingCloudOrgId": "orgId",
        "visitor.marketingCloudUserId": "mid",
        "visitor.aamLocationHint": 9,
        "media.sdkVersion": "app_version",
        "visitor.customerIDs": {f"id_type{n}": {"id": f"id{n}", "authState": n - 1} for n in (1, 2, 3)},
    }
    quality = {
        "media.qoe.bitrate": 100_000,
        "media.qoe.droppedFrames": 2,
        "media.qoe.framesPerSecond": 23.5,
        "media.qoe.timeToStart": 20,
    }
    start = ("sessionStart", 0, 0, {"params": params, "customMetadata": {"key1": "value1"}, "qoeData": quality})
    partition = batch([start])
    identity = close_of(partition)["mediabeat"]["identity"]
    assert identity["reportSuite"] == "rsid"
    assert identity["marketingCloudUserId"] == "mid"
    assert set(identity["customerIDs"]) == {"id_type1", "id_type2", "id_type3"}
    assert close_of(partition)["mediaReporting"]["qoeDataDetails"]["droppedFrames"] == 2


def test_i10_error() -> None:
    def wrong(error_id: str) -> dict[str, Any]:
        return {"qoeData": {"media.qoe.errorID": error_id, "media.qoe.errorSource": "player"}}

    steps: list[Step] = [
        *SIMPLE[:3],
        ("error", 5, 5_000, wrong("1000.2000.3000")),
        ("ping", 11, 11_000),
        ("error", 20, 20_000, wrong("custom.error.code")),
        ("sessionComplete", 20, 20_000),
    ]
    close = close_of(live(steps))
    quality = close["mediaReporting"]["qoeDataDetails"]
    assert quality["errorCount"] == 2
    assert quality["playerSdkErrors"] == ["1000.2000.3000", "custom.error.code"]
    assert times(close)["contentMs"] == 20_000


def test_i11_states() -> None:
    def state(name: str) -> dict[str, Any]:
        return {"params": {"media.state.name": name}}

    steps: list[Step] = [
        SIMPLE[0],
        ("play", 0, 0),
        ("stateStart", 0, 0, state("customStateName")),
        ("stateEnd", 5, 5_000, state("customStateName")),
        ("stateStart", 10, 10_000, state("mute")),
        ("stateStart", 10, 10_000, state("fullscreen")),
        ("ping", 11, 11_000),
        ("stateEnd", 15, 15_000, state("mute")),
        ("sessionComplete", 15, 15_000),
    ]
    close = close_of(live(steps))
    states = {entry["name"].casefold(): entry for entry in close["mediaReporting"]["states"]}
    assert {name: (entry["count"], entry["time"]) for name, entry in states.items()} == {
        "customstatename": (1, 5),
        "mute": (1, 5),
        "fullscreen": (1, 5),
    }


IDLE: list[Step] = [
    ("sessionStart", 0, 0, {"params": S0 | {"media.contentType": "vod", "media.streamType": "video"}}),
    ("play", 0, 0),
    ("play", 1, 1_000),
    ("pauseStart", 3, 3_000),
    *sorted(
        [
            ("stateStart", 3, 603_000, {"params": {"media.state.name": "closedCaptioning"}}),
            ("stateEnd", 3, 1_203_000, {"params": {"media.state.name": "closedCaptioning"}}),
            *[("ping", 3, ts) for ts in range(13_000, 1_793_001, 10_000)],
        ],
        key=lambda step: int(step[2]),
    ),
    ("sessionEnd", 3, 1_803_000),
]
RESUMED: list[Step] = [
    ("sessionStart", 3, 1_803_000, {"params": S0 | {"media.resume": True}}),
    ("play", 3, 1_803_000),
    ("play", 3, 1_804_000),
    ("sessionComplete", 3, 1_806_000),
]


def test_i12_idle_30_min() -> None:
    partition = live(IDLE)
    close = close_of(partition)
    assert close["mediabeat"]["closeReason"] == "end"
    assert (times(close)["contentMs"], times(close)["pauseMs"]) == (3_000, 1_800_000)
    assert close["mediaReporting"]["states"][0]["time"] == 600
    follower = sid_of(2, T0 + 1_803_000)
    live(RESUMED, follower, partition)
    resumed = close_of(partition, follower)
    assert resumed["mediaReporting"]["sessionDetails"]["hasResume"] is True
    # Three events at one playhead, three seconds in all: by the rules this end was a stall.
    assert resumed["mediabeat"]["extras"]["stallMs"] == 3_000


def test_i13_24_h() -> None:
    steps: list[Step] = [
        SIMPLE[0],
        ("play", 0, 0),
        ("play", 1, 1_000),
        *[("ping", n, n * 1_000) for n in range(11, 86_400, 10)],
        ("sessionEnd", 86_400, 86_400_000),
    ]
    partition = live(steps)
    close = close_of(partition)
    assert close["mediabeat"]["closeReason"] == "end"
    assert times(close)["contentMs"] == 86_400_000
    follower = sid_of(2, T0 + 86_400_000)
    live([("sessionStart", 86_400, 86_400_000, {"params": S0 | {"media.resume": True}})], follower, partition)
    assert len(partition.rows("session-start", follower)) == 1


def test_i15_lone_quality() -> None:
    quality = {"media.qoe.bitrate": 48, "media.qoe.droppedFrames": 4, "media.qoe.framesPerSecond": 60}
    steps: list[Step] = [
        *SIMPLE[:2],
        ("bitrateChange", 1, 1_000),
        ("adSkip", 2, 2_000, {"qoeData": quality | {"media.qoe.timeToStart": 1}}),
        ("sessionEnd", 3, 3_000),
    ]
    quality_row = close_of(live(steps))["mediaReporting"]["qoeDataDetails"]
    assert quality_row["bitrateChangeCount"] == 1
    assert quality_row["droppedFrames"] == 4


@pytest.mark.parametrize("steps", [SIMPLE, BUFFERED, IDLE], ids=["I-1", "I-3", "I-12"])
def test_an_ios_vector_as_a_batch_reports_what_it_reports_live(steps: list[Step]) -> None:
    [as_batch] = reports([close_of(batch(steps))])
    [as_live] = reports([close_of(live(steps))])
    for row in (as_batch, as_live):
        row["mediaReporting"]["sessionDetails"].pop("isDownloaded", None)
        row["mediabeat"]["extras"].pop("serverStartupMs", None)
    assert as_batch == as_live


def test_a4_full_batch() -> None:
    steps: list[Step] = [
        ("sessionStart", 0, 0, {"params": S0 | {"media.length": 60}, "qoeData": {"media.qoe.framesPerSecond": 23.5}}),
        ("play", 0, 100),
        (
            "adBreakStart",
            10,
            10_000,
            {"params": {"media.ad.podFriendlyName": "b", "media.ad.podIndex": 1, "media.ad.podSecond": 10}},
        ),
        (
            "adStart",
            10,
            10_000,
            {
                "params": {
                    "media.ad.id": "ad_id",
                    "media.ad.name": "ad_name",
                    "media.ad.length": 20,
                    "media.ad.podPosition": 1,
                    "media.ad.playerName": "player_name",
                }
            },
        ),
        ("adComplete", 10, 30_000),
        ("adBreakComplete", 10, 30_000),
        ("ping", 45, 65_000),
        ("sessionComplete", 60, 80_000),
    ]
    partition = batch(steps)
    close = close_of(partition)
    assert times(close) == {"contentMs": 59_900, "adMs": 20_000, "pauseMs": 0, "bufferMs": 0, "startingMs": 100}
    [ad] = partition.rows("ad-close")
    assert ad["mediaReporting"]["advertisingDetails"]["timePlayed"] == 20
    assert ad["mediaReporting"]["advertisingDetails"]["isCompleted"] is True
    assert close["mediaReporting"]["sessionDetails"]["isCompleted"] is True


def test_j10_the_same_start_three_times_is_three_sessions() -> None:
    partition = Partition()
    sids = [sid_of(number, T0 + 500 * number) for number in range(3)]
    for number, sid in enumerate(sids):
        partition.start(sid, received=500 * number)
    partition.post(sids[2], "play", 0, 2_000)
    partition.post(sids[2], "sessionComplete", 10, 12_000)
    partition.fold()
    partition.pass_time(12 * MINUTE)
    starts = partition.rows("session-start")
    assert [row["mediabeat"]["sessionId"] for row in starts] == sids
    assert len({row["mediabeat"]["extras"]["startHash"] for row in starts}) == 1
    flags = {sid: close_of(partition, sid)["mediabeat"].get("flags", []) for sid in sids}
    assert flags == {sids[0]: ["noEvents"], sids[1]: ["noEvents"], sids[2]: []}


def test_d1_timeline_1() -> None:
    def pod(index: int, second: int) -> dict[str, Any]:
        names = {"media.ad.podFriendlyName": f"ad_pod{index + 1}"}
        return {"params": names | {"media.ad.podIndex": index, "media.ad.podSecond": second}}

    def ad(number: int, length: int, position: int, pod_name: str) -> dict[str, Any]:
        names = {"media.ad.id": f"{number:03}", "media.ad.name": f"Ad {number}", "media.ad.podFriendlyName": pod_name}
        return {"params": names | {"media.ad.length": length, "media.ad.podPosition": position}}

    start = {"media.length": 60.3333333333333, "media.contentType": "VOD", "media.sdkVersion": "va-api-0.0.0"}
    steps: list[Step] = [
        ("sessionStart", 0, 0, {"params": start | {"media.libraryVersion": "none", "analytics.enableSSL": False}}),
        ("adBreakStart", 0, 0, pod(0, 0)),
        ("adStart", 0, 0, ad(1, 15, 1, "ad_pod1")),
        *[("ping", 0, ts) for ts in range(1_000, 15_000, 1_000)],
        ("adComplete", 0, 15_000),
        ("adStart", 0, 15_000, ad(2, 7, 1, "ad_pod1")),
        *[("ping", 0, ts) for ts in range(16_000, 22_000, 1_000)],
        ("adComplete", 0, 22_000),
        ("adBreakComplete", 0, 22_000),
        ("play", 0, 22_000),
        ("ping", 8, 30_000),
        ("bufferStart", 11, 33_000),
        ("play", 11, 36_000),
        ("ping", 15, 40_000),
        ("adBreakStart", 21, 46_000, pod(1, 21)),
        ("adStart", 21, 46_000, ad(3, 8, 2, "ad_pod2")),
        *[("ping", 21, ts) for ts in range(47_000, 54_000, 1_000)],
        ("adComplete", 21, 54_000),
        ("adBreakComplete", 21, 54_000),
        ("ping", 27, 60_000),
        ("pauseStart", 31, 64_000),
        ("ping", 31, 70_000),
        ("play", 31, 74_000),
        ("ping", 37, 80_000),
        ("sessionComplete", 45, 88_000),
    ]
    partition = live(steps)
    close = close_of(partition)
    details = close["mediaReporting"]["sessionDetails"]
    assert (details["timePlayed"], details["totalTimePlayed"], details["pauseTime"]) == (45, 75, 10)
    assert close["mediaReporting"]["qoeDataDetails"]["bufferTime"] == 3
    ads = [(row["mediaReporting"]["advertisingDetails"]["name"], row) for row in partition.rows("ad-close")]
    assert [(name, row["mediaReporting"]["advertisingDetails"]["timePlayed"]) for name, row in ads] == [
        ("001", 15),
        ("002", 7),
        ("003", 8),
    ]
