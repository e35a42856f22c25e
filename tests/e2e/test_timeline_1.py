"""A documented session, end to end: posted over HTTP, its rows read back with `mediabeat tail`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import timeline_1
from tests.e2e.players import now_ms
from tests.e2e.running import Running

POD = "cc80e8d564c18a8365efb04ecedce221"


class Reports:
    """What the session left behind."""

    def __init__(self, mediabeat: Running) -> None:
        self.began_at = now_ms() - timeline_1.SPAN_MS
        first, *others = timeline_1.events(self.began_at)
        started = mediabeat.post("/api/v1/sessions", first)
        assert started.status == 201
        self.sid = started.sid
        answers = [mediabeat.post(f"/api/v1/sessions/{self.sid}/events", event) for event in others]
        assert {answer.status for answer in answers} == {204}
        self.closed = mediabeat.rows("session-close", sid=self.sid, count=1)
        self.rows = {
            topic: [line["value"] for line in mediabeat.all_lines(topic, self.sid)]
            for topic in ("session-start", "ad-start", "ad-close", "chapter-close", "session-close", "rejects")
        }


@pytest.fixture(scope="module")
def reports(mediabeat: Running) -> Iterator[Reports]:
    return Reports(mediabeat)


def block(row: dict[str, Any], name: str) -> dict[str, Any]:
    return row["mediaReporting"][name]


def test_it_left_exactly_the_rows_it_should(reports: Reports) -> None:
    assert {topic: len(rows) for topic, rows in reports.rows.items()} == {
        "session-start": 1,
        "ad-start": 3,
        "ad-close": 3,
        "chapter-close": 0,
        "session-close": 1,
        "rejects": 0,
    }
    ids = [row["_id"] for rows in reports.rows.values() for row in rows]
    assert sorted(ids) == sorted(
        [
            f"{reports.sid}:session-start:1:0",
            *(f"{reports.sid}:ad-{what}:{ad}:0" for what in ("start", "close") for ad in (1, 2, 3)),
            f"{reports.sid}:session-close:1:0",
        ]
    )


def test_the_start_row_says_what_was_to_be_watched(reports: Reports) -> None:
    (row,) = reports.rows["session-start"]

    details = block(row, "sessionDetails")
    assert row["eventType"] == "media.sessionStart"
    assert details["isViewed"] is True
    assert details["ID"] == reports.sid
    assert (details["name"], details["friendlyName"]) == ("VA API Sample Player", "ClickMe")
    assert (details["length"], details["contentType"]) == (60, "VOD")
    assert (details["playerName"], details["channel"]) == ("sample-html5-api-player", "sample-channel")
    assert row["mediabeat"]["startedAt"] == reports.began_at
    assert "endedAt" not in row["mediabeat"]


def test_each_ad_started_where_it_should(reports: Reports) -> None:
    found = [
        (
            block(row, "advertisingDetails")["name"],
            block(row, "advertisingDetails")["podPosition"],
            block(row, "advertisingPodDetails")["ID"],
            row["mediabeat"]["startedAt"] - reports.began_at,
            row.get("customMetadata"),
        )
        for row in reports.rows["ad-start"]
    ]

    assert found == [
        ("001", 1, f"{POD}_0", 0, {"myCustomData1": "CustomData1", "myCustomData2": "CustomData2"}),
        ("002", 1, f"{POD}_0", 15_000, None),
        ("003", 2, f"{POD}_1", 46_000, None),
    ]
    assert all(block(row, "advertisingDetails")["isStarted"] is True for row in reports.rows["ad-start"])


def test_each_ad_played_its_seconds(reports: Reports) -> None:
    found = [
        (
            block(row, "advertisingDetails")["name"],
            block(row, "advertisingDetails")["timePlayed"],
            block(row, "advertisingDetails").get("isCompleted"),
            row["mediabeat"]["extras"]["adMs"],
            row["mediabeat"]["closeReason"],
        )
        for row in reports.rows["ad-close"]
    ]

    assert found == [
        ("001", 15, True, 15_000, "complete"),
        ("002", 7, True, 7_000, "complete"),
        ("003", 8, True, 8_000, "complete"),
    ]


def test_the_close_row_has_every_number_exact(reports: Reports) -> None:
    (row,) = reports.rows["session-close"]

    details = block(row, "sessionDetails")
    expected = {
        "isPlayed": True,
        "isCompleted": True,
        "isDroppedBeforeStart": None,
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
        "hasProgress75": None,
        "hasProgress95": None,
        "hasSegmentView": True,
        "segment": "[0-1]",
        "averageMinuteAudience": 0.7459,
        "estimatedStreams": 1,
        "hasResume": None,
        "secondsSinceLastCall": 0,
        "isViewed": None,
    }
    assert {name: details.get(name) for name in expected} == pytest.approx(expected, abs=5e-5)
    assert row["mediabeat"]["closeReason"] == "complete"
    assert row["mediabeat"]["final"] is True
    assert row["mediabeat"].get("flags", []) == []


def test_the_close_row_has_the_quality_exact(reports: Reports) -> None:
    (row,) = reports.rows["session-close"]

    details = block(row, "qoeDataDetails")
    expected = {
        "bufferCount": 1,
        "bufferTime": 3,
        "hasBufferImpactedStreams": True,
        "stallCount": 0,
        "stallTime": 0,
        "errorCount": 0,
        "bitrateChangeCount": 0,
        "bitrateAverage": None,
        "timeToStart": None,
        "droppedFrames": None,
    }
    assert {name: details.get(name) for name in expected} == expected


def test_the_parts_make_up_the_whole_span_to_the_millisecond(reports: Reports) -> None:
    (row,) = reports.rows["session-close"]

    extras = row["mediabeat"]["extras"]
    parts = {name: extras[name] for name in ("contentMs", "adMs", "bufferMs", "pauseMs", "stallMs", "startingMs")}
    assert parts == {
        "contentMs": 45_000,
        "adMs": 30_000,
        "bufferMs": 3_000,
        "pauseMs": 10_000,
        "stallMs": 0,
        "startingMs": 0,
    }
    assert row["mediabeat"]["endedAt"] - row["mediabeat"]["startedAt"] == sum(parts.values()) == timeline_1.SPAN_MS
