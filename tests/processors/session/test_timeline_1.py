"""The published timeline 1: two pre-roll ads, a buffering, a mid-roll ad, a pause, watched to the end."""

from typing import Any

import pytest

from processors.session.rules import Rules
from schemas.reports import RowKind
from tests.processors.session.drive import BASE, LATENCY, SID, Drive, at

POD = "cc80e8d564c18a8365efb04ecedce221"
START = {
    "media.id": "VA API Sample Player",
    "media.name": "ClickMe",
    "media.length": 60.3333333333333,
    "media.contentType": "VOD",
    "media.channel": "sample-channel",
    "media.playerName": "sample-html5-api-player",
    "media.sdkVersion": "va-api-0.0.0",
    "analytics.enableSSL": False,
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org",
}


def ad(number: int, length: int, position: int, pod: str) -> dict[str, Any]:
    return {
        "media.ad.id": f"00{number}",
        "media.ad.name": f"Ad {number}",
        "media.ad.length": length,
        "media.ad.podPosition": position,
        "media.ad.podFriendlyName": pod,
        "media.ad.playerName": "Sample Player",
        "media.ad.advertiser": "Ad Guys",
        "media.ad.campaignId": str(number),
        "media.ad.creativeId": "42",
        "media.ad.siteId": "XYZ",
        "media.ad.creativeURL": "https://example.com",
        "media.ad.placementId": "sample_placement",
    }


def pod(index: int, second: float) -> dict[str, Any]:
    name = f"ad_pod{index + 1}"
    return {"media.ad.podIndex": index, "media.ad.podSecond": second, "media.ad.podFriendlyName": name}


EVENTS = (
    at(0, "sessionStart", 0, START),
    at(0, "adBreakStart", 0, pod(0, 0)),
    at(0, "adStart", 0, ad(1, 15, 1, "ad_pod1"), metadata={"myCustomData1": "one", "myCustomData2": "two"}),
    at(1, "ping", 0),
    at(2, "ping", 0),
    at(3, "ping", 0),
    at(15, "adComplete", 0),
    at(15, "adStart", 0, ad(2, 7, 1, "ad_pod1")),
    at(20, "ping", 0),
    at(22, "adComplete", 0),
    at(22, "adBreakComplete", 0),
    at(22, "play", 0),
    at(30, "ping", 8),
    at(33, "bufferStart", 11),
    at(36, "play", 11),
    at(40, "ping", 15),
    at(46, "adBreakStart", 21, pod(1, 21)),
    at(46, "adStart", 21, ad(3, 8, 2, "ad_pod2")),
    at(50, "ping", 21),
    at(54, "adComplete", 21),
    at(54, "adBreakComplete", 21),
    at(60, "ping", 27),
    at(64, "pauseStart", 31),
    at(70, "ping", 31),
    at(74, "play", 31),
    at(80, "ping", 37),
    at(88, "sessionComplete", 45),
)
IDENTITY = {"reportSuite": "suite", "orgId": "org"}


@pytest.fixture(scope="module")
def told() -> Drive:
    return Drive().fold(*EVENTS)


def test_its_rows_come_in_order(told: Drive) -> None:
    assert [(row.kind, row.instance, row.revision) for row in told.rows] == [
        (RowKind.SESSION_START, 1, 0),
        (RowKind.AD_START, 1, 0),
        (RowKind.AD_CLOSE, 1, 0),
        (RowKind.AD_START, 2, 0),
        (RowKind.AD_CLOSE, 2, 0),
        (RowKind.AD_START, 3, 0),
        (RowKind.AD_CLOSE, 3, 0),
        (RowKind.SESSION_CLOSE, 1, 0),
    ]


def test_its_session_start_says_all_it_was_told(told: Drive) -> None:
    (row,) = told.of(RowKind.SESSION_START)
    fingerprint = row["mediabeat"]["extras"].pop("startHash")
    assert len(fingerprint) == 64
    assert row == {
        "_id": f"{SID}:session-start:1:0",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "eventType": "media.sessionStart",
        "mediaReporting": {
            "sessionDetails": {
                "ID": SID,
                "name": "VA API Sample Player",
                "friendlyName": "ClickMe",
                "length": 60,
                "contentType": "VOD",
                "streamType": "video",
                "playerName": "sample-html5-api-player",
                "channel": "sample-channel",
                "appVersion": "va-api-0.0.0",
                "pev3": "video",
                "isViewed": True,
            }
        },
        "mediabeat": {
            "kind": "session-start",
            "v": 1,
            "sessionId": SID,
            "instance": 1,
            "revision": 0,
            "identity": IDENTITY,
            "startedAt": BASE,
            "receivedAt": BASE + LATENCY,
            "source": "collection",
            "extras": {"lengthSeconds": 60.3333333333333},
        },
    }


def test_its_ads_start_at_once(told: Drive) -> None:
    rows = told.of(RowKind.AD_START)
    said = [
        (
            row["mediaReporting"]["advertisingDetails"]["name"],
            row["mediaReporting"]["advertisingDetails"]["podPosition"],
            row["mediaReporting"]["advertisingPodDetails"]["ID"],
            row["mediabeat"]["startedAt"] - BASE,
            row.get("customMetadata"),
        )
        for row in rows
    ]
    assert said == [
        ("001", 1, f"{POD}_0", 0, {"myCustomData1": "one", "myCustomData2": "two"}),
        ("002", 1, f"{POD}_0", 15_000, None),
        ("003", 2, f"{POD}_1", 46_000, None),
    ]
    assert all(row["mediaReporting"]["advertisingDetails"]["isStarted"] for row in rows)
    assert not any("endedAt" in row["mediabeat"] for row in rows)


def test_its_first_ad_closes_with_everything_it_was_told(told: Drive) -> None:
    row = told.of(RowKind.AD_CLOSE)[0]
    assert row["timestamp"] == "2026-01-01T00:00:15.000Z"
    assert row["eventType"] == "media.adComplete"
    assert row["mediaReporting"]["sessionDetails"]["pev3"] == "videoAd"
    assert row["mediaReporting"]["advertisingDetails"] == {
        "name": "001",
        "friendlyName": "Ad 1",
        "length": 15,
        "podPosition": 1,
        "playerName": "Sample Player",
        "advertiser": "Ad Guys",
        "campaignID": "1",
        "creativeID": "42",
        "siteID": "XYZ",
        "creativeURL": "https://example.com",
        "placementID": "sample_placement",
        "timePlayed": 15,
        "isCompleted": True,
    }
    assert row["mediaReporting"]["advertisingPodDetails"] == {
        "ID": f"{POD}_0",
        "index": 0,
        "offset": 0,
        "friendlyName": "ad_pod1",
    }
    assert row["mediabeat"]["closeReason"] == "complete"
    assert row["mediabeat"]["extras"] == {"adMs": 15_000}
    assert (row["mediabeat"]["startedAt"], row["mediabeat"]["endedAt"]) == (BASE, BASE + 15_000)


def test_its_ads_play_15_7_and_8_seconds_and_complete(told: Drive) -> None:
    assert [ad.of("name", "timePlayed", "isCompleted") for ad in told.ads] == [
        ("001", 15, True),
        ("002", 7, True),
        ("003", 8, True),
    ]


def test_its_close_has_every_number(told: Drive) -> None:
    (row,) = told.of(RowKind.SESSION_CLOSE)
    details = row["mediaReporting"]["sessionDetails"]
    dimensions = told.of(RowKind.SESSION_START)[0]["mediaReporting"]["sessionDetails"]
    assert details == {name: value for name, value in dimensions.items() if name != "isViewed"} | {
        "isPlayed": True,
        "isCompleted": True,
        "timePlayed": 45,
        "totalTimePlayed": 75,
        "uniqueTimePlayed": 45,
        "pauseCount": 1,
        "pauseTime": 10,
        "hasPauseImpactedStreams": True,
        "adCount": 3,
        "chapterCount": 0,
        "hasProgress10": True,
        "hasProgress25": True,
        "hasProgress50": True,
        "hasSegmentView": True,
        "segment": "[0-1]",
        "averageMinuteAudience": 0.7459,
        "estimatedStreams": 1,
        "secondsSinceLastCall": 0,
    }
    assert row["mediaReporting"]["qoeDataDetails"] == {
        "bufferCount": 1,
        "bufferTime": 3,
        "hasBufferImpactedStreams": True,
        "stallCount": 0,
        "stallTime": 0,
        "errorCount": 0,
        "bitrateChangeCount": 0,
    }
    assert "states" not in row["mediaReporting"]
    assert "customMetadata" not in row


def test_its_close_accounts_for_every_millisecond(told: Drive) -> None:
    own = told.of(RowKind.SESSION_CLOSE)[0]["mediabeat"]
    assert own == {
        "kind": "session-close",
        "v": 1,
        "sessionId": SID,
        "instance": 1,
        "revision": 0,
        "final": True,
        "closeReason": "complete",
        "identity": IDENTITY,
        "startedAt": BASE,
        "endedAt": BASE + 88_000,
        "receivedAt": BASE + 88_000 + LATENCY,
        "source": "collection",
        "extras": {
            "contentMs": 45_000,
            "mediaMs": 75_000,
            "adMs": 30_000,
            "pauseMs": 10_000,
            "bufferMs": 3_000,
            "stallMs": 0,
            "startingMs": 0,
            "breakGapMs": 0,
            "seekCount": 0,
            "largestGapMs": 12_000,
            "lengthSeconds": 60.3333333333333,
            "serverStartupMs": 0,
            "percentReached": 74.59,
            "percentUnique": 74.59,
            "markersReached": [10, 25, 50],
            "secondsSinceLastAction": 14,
        },
    }


def test_with_times_at_least_a_millisecond_apart_no_number_moves_by_more_than_5_ms_an_interval() -> None:
    spread = [event._replace(ts=event.ts + place) for place, event in enumerate(EVENTS)]
    numbers = Drive(Rules()).fold(*spread).close
    assert abs(numbers.extras["contentMs"] - 45_000) <= 5 * 4
    assert abs(numbers.extras["adMs"] - 30_000) <= 5 * 3
    assert abs(numbers.extras["pauseMs"] - 10_000) <= 5
    assert abs(numbers.extras["bufferMs"] - 3_000) <= 5
    assert numbers.of("timePlayed", "totalTimePlayed", "pauseTime", "bufferTime") == (45, 75, 10, 3)
