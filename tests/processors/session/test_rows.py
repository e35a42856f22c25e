"""What stands on rows: dimensions, identity, metadata, extras; and the schemas they are held against."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.session import rows
from processors.session import rules as limits
from processors.session.rules import Rules
from schemas.events import Event
from schemas.reports import RowKind
from tests.processors.session.drive import SCHEMAS, SID, Drive, Numbers, at, drive, start
from tests.processors.session.test_timeline_1 import EVENTS

DIMENSIONS = {
    "media.id": ("name", "id"),
    "media.name": ("friendlyName", "Name"),
    "media.contentType": ("contentType", "VOD"),
    "media.streamType": ("streamType", "audio"),
    "media.playerName": ("playerName", "player"),
    "media.channel": ("channel", "one"),
    "media.sdkVersion": ("appVersion", "1.2"),
    "media.show": ("show", "show"),
    "media.season": ("season", "1"),
    "media.episode": ("episode", "2"),
    "media.assetId": ("assetID", "asset"),
    "media.genre": ("genre", "drama, crime"),
    "media.firstAirDate": ("firstAirDate", "2026-01-01"),
    "media.firstDigitalDate": ("firstDigitalDate", "2026-01-02"),
    "media.rating": ("rating", "PG"),
    "media.originator": ("originator", "o"),
    "media.network": ("network", "n"),
    "media.showType": ("showType", "0"),
    "media.adLoad": ("adLoad", "1"),
    "media.pass.mvpd": ("mvpd", "m"),
    "media.pass.auth": ("authorized", "TRUE"),
    "media.dayPart": ("dayPart", "night"),
    "media.feed": ("feed", "east"),
    "media.streamFormat": ("streamFormat", "HD"),
    "media.artist": ("artist", "a"),
    "media.album": ("album", "b"),
    "media.label": ("label", "c"),
    "media.author": ("author", "d"),
    "media.station": ("station", "e"),
    "media.publisher": ("publisher", "f"),
}
IDENTITY = {
    "analytics.reportSuite": ("reportSuite", "suite"),
    "analytics.trackingServer": ("trackingServer", "t.example"),
    "visitor.marketingCloudOrgId": ("orgId", "org"),
    "analytics.visitorId": ("visitorId", "vid"),
    "visitor.marketingCloudUserId": ("marketingCloudUserId", "mid"),
    "analytics.aid": ("aid", "aid"),
    "appInstallationId": ("appInstallationId", "app"),
}
CUSTOMERS = {"crm": {"id": "c-1", "authState": 1}, "mail": {"id": "m"}}


def told_everything() -> Event:
    params: dict[str, Any] = {key: value for key, (_, value) in (DIMENSIONS | IDENTITY).items()}
    params |= {"media.length": 59.5, "visitor.customerIDs": CUSTOMERS, "media.libraryVersion": "js-3.1.0"}
    params |= {"analytics.optOutShare": True, "analytics.optOutServerSideForwarding": False}
    return at(0, "sessionStart", 0, params, metadata={"k": "v"})


def test_every_dimension_of_a_start_stands_on_every_row() -> None:
    told = Drive().fold(
        told_everything(),
        at(0, "adBreakStart", 0, {"media.ad.podIndex": 0}),
        at(0, "adStart", 0, {"media.ad.id": "1"}),
        at(5, "adBreakComplete"),
        at(5, "chapterStart", 0, {"media.chapter.index": 1}),
        at(9, "chapterComplete"),
    )
    beat = told.heartbeat()
    told.fold(at(10, "sessionEnd"))
    said = dict(DIMENSIONS.values())
    said |= {"ID": SID, "length": 60, "genreList": ["drama", "crime"]}
    assert {row.kind for row in told.rows} | {beat.kind} == set(RowKind)
    for row in (*told.rows, beat):
        details = row.value["mediaReporting"]["sessionDetails"]
        assert {name: details[name] for name in said} == said
        assert details["pev3"] == ("audioAd" if row.kind in (RowKind.AD_START, RowKind.AD_CLOSE) else "audio")
        assert row.value["mediabeat"]["identity"] == dict(IDENTITY.values()) | {"customerIDs": CUSTOMERS}
        assert row.value["customMetadata"] == {"k": "v"}
    extras = told.rows[0].value["mediabeat"]["extras"]
    assert extras["lengthSeconds"] == told.close.extras["lengthSeconds"] == 59.5
    assert (extras["optOutShare"], extras["optOutServerSideForwarding"]) == (True, False)
    assert extras["libraryVersion"] == told.open.library_version == "js-3.1.0"


def test_isViewed_isStarted_and_hasResume_stand_where_they_belong() -> None:
    told = drive(
        start(0, resume=True),
        at(0, "adBreakStart", 0, {"media.ad.podIndex": 0}),
        at(0, "adStart", 0, {"media.ad.id": "1"}),
        at(5, "adBreakComplete"),
    )
    beat = told.heartbeat()
    told.fold(at(10, "sessionEnd"))
    flags = {
        row.kind: {
            name
            for block in row.value["mediaReporting"].values()
            for name in block
            if name in ("isViewed", "isStarted", "hasResume")
        }
        for row in (*told.rows, beat)
    }
    assert flags == {
        RowKind.SESSION_START: {"isViewed"},
        RowKind.AD_START: {"isStarted"},
        RowKind.AD_CLOSE: set(),
        RowKind.SESSION_CLOSE: {"hasResume"},
        RowKind.HEARTBEAT: set(),
    }


@pytest.mark.parametrize(("resume", "viewed"), [(True, None), (False, True)])
def test_a_resume_can_be_told_not_to_count_as_a_start(resume: bool, viewed: bool | None) -> None:
    told = drive(start(0, resume=resume), rules=Rules(resumed_is_start=False))
    assert told.rows[0].value["mediaReporting"]["sessionDetails"].get("isViewed") is viewed


def test_the_start_hash_is_of_the_canonical_document_without_its_ts() -> None:
    def fingerprint(event: Event) -> str:
        return drive(event).rows[0].value["mediabeat"]["extras"]["startHash"]

    first = told_everything()
    assert fingerprint(first) == fingerprint(first._replace(ts=first.ts + 500))
    assert fingerprint(first) != fingerprint(first._replace(playhead=1))
    canonical = {
        "customMetadata": first.custom_metadata,
        "eventType": "sessionStart",
        "params": dict(sorted(first.params.items())),
        "playerTime": {"playhead": 0},
        "qoeData": {},
    }
    assert fingerprint(first) == sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


def test_own_metadata_goes_before_the_sessions_on_ads_and_chapters_only() -> None:
    told = Drive().fold(
        start()._replace(custom_metadata={"a": "session"}),
        at(0, "chapterStart", 0, {"media.chapter.index": 1}, metadata={"a": "chapter"}),
        at(5, "chapterSkip", metadata={"a": "ignored"}),
        at(6, "sessionEnd", metadata={"a": "ignored"}),
    )
    assert told.of(RowKind.CHAPTER_CLOSE)[0]["customMetadata"] == {"a": "chapter"}
    assert told.close.value["customMetadata"] == {"a": "session"}


def test_what_is_empty_is_absent() -> None:
    close = drive(start(), at(1, "ping"), at(2, "sessionEnd")).close.value
    assert "customMetadata" not in close
    assert "states" not in close["mediaReporting"]
    assert "flags" not in close["mediabeat"]


def test_counts_and_times_are_always_on_a_close() -> None:
    close = drive(start(), at(1, "ping"), at(2, "sessionEnd")).close
    zeros = (
        "timePlayed totalTimePlayed uniqueTimePlayed pauseCount pauseTime adCount chapterCount bufferCount bufferTime"
    )
    zeros += " stallCount stallTime errorCount bitrateChangeCount secondsSinceLastCall"
    assert close.of(*zeros.split()) == (0,) * len(zeros.split())
    absent = ("bitrateAverage", "timeToStart", "droppedFrames", "framesPerSecond", "averageMinuteAudience")
    assert close.of(*absent) == (None,) * len(absent)


def test_texts_metadata_and_lists_beyond_their_limits_are_cut_and_flagged() -> None:
    event = start(0, show="s" * 5_000, genre=",".join("g" * 3 for _ in range(100)))
    event.params["visitor.customerIDs"] = {f"id{n}": {"id": "x"} for n in range(100)}
    keys = {f"key{n}": "v" for n in range(limits.MAX_METADATA_KEYS + 10)}
    row = drive(event._replace(custom_metadata=keys)).rows[0].value
    details = row["mediaReporting"]["sessionDetails"]
    assert details["show"] == "s" * limits.MAX_TEXT_BYTES
    assert len(details["genreList"]) == limits.MAX_GENRES
    assert len(row["mediabeat"]["identity"]["customerIDs"]) == limits.MAX_CUSTOMER_IDS
    assert len(row["customMetadata"]) == limits.MAX_METADATA_KEYS
    assert row["mediabeat"]["flags"] == ["truncated"]


def test_a_length_no_reader_could_hold_is_held() -> None:
    told = drive(start(0, length=1e308), at(0, "play"), at(5, "sessionEnd", 5))
    assert told.close["length"] == limits.NUMBER_LIMIT


@pytest.mark.parametrize("kind", list(RowKind))
def test_the_schema_of_a_row_is_sound_and_strict(kind: RowKind) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[kind])
    told = Drive().fold(*EVENTS[:-1], at(81, "chapterStart", 38, {"media.chapter.index": 1}))
    told.rows.append(told.heartbeat())
    told.fold(EVENTS[-1])
    (value,) = [row.value for row in told.rows if row.kind == kind][-1:]
    validator = jsonschema.Draft202012Validator(SCHEMAS[kind])
    assert list(validator.iter_errors(value)) == []
    for path in (("mediabeat",), ("mediaReporting",), ("mediaReporting", "sessionDetails"), ()):
        strange = json.loads(orjson.dumps(value))
        place = strange
        for step in path:
            place = place[step]
        place["unheardOf"] = 1
        assert list(validator.iter_errors(strange)) != []


def test_times_played_add_up_in_milliseconds_not_in_rounded_seconds() -> None:
    told = drive(
        start(),
        at(0, "play"),
        at(10.4, "adBreakStart", 10, {"media.ad.podIndex": 0}),
        at(10.4, "adStart", 10, {"media.ad.id": "1"}),
        at(15.8, "adBreakComplete", 10),
        at(15.8, "sessionEnd", 10),
    )
    assert told.close.of("timePlayed", "totalTimePlayed") == (10, 16)
    assert told.ads[0]["timePlayed"] == 5


def test_a_heartbeat_says_how_far_it_has_read() -> None:
    told = drive(start(), at(0, "play"), at(10, "ping", 10))
    first, second = told.heartbeat(), told.fold(at(20, "ping", 20)).heartbeat()
    assert [(row.instance, row.value["mediabeat"]["extras"]["foldedEvents"]) for row in (first, second)] == [
        (1, 3),
        (2, 4),
    ]
    value = second.value
    assert value["eventType"] == "media.ping"
    assert value["mediabeat"]["final"] is False
    assert "closeReason" not in value["mediabeat"]
    assert value["timestamp"] == "2026-01-01T00:00:20.000Z"
    assert Numbers(value).of("timePlayed", "isPlayed", "isDroppedBeforeStart") == (20, True, None)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, limits.LAST_TS))
@example(limits.LAST_TS)
@example(951_782_400_000 - 1)  # the last millisecond of 28 February 2000
@example(951_868_800_000)
def test_a_moment_is_written_as_the_calendar_has_it(milliseconds: int) -> None:
    held = max(0, min(milliseconds, limits.LAST_TS))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=held)
    assert rows._utc(milliseconds) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_no_more_days_are_remembered_than_are_worth_it() -> None:
    for day in range(rows._DAYS_REMEMBERED + 10):
        rows._utc(day * 86_400_000)
    assert len(rows._days) <= rows._DAYS_REMEMBERED
