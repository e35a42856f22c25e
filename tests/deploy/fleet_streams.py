"""Told events and truths in a few words, for the tests of the fleet's truth."""

from collections.abc import Iterable
from typing import Any

import orjson

from deploy.fleet.expectation import plain
from deploy.fleet.outcome import Timeouts
from deploy.fleet.truth import FOREVER, SessionTruth
from deploy.fleet.truth_records import Told, read_partition
from schemas.records import StoredRecord

BEGAN_AT = 1_767_225_600_000
SID = "010000" + f"{BEGAN_AT:012x}" + "ab" * 11 + "cd" * 12

Spoken = tuple[float, str, float] | tuple[float, str, float, dict[str, Any]]


def spoken(at: float, event_type: str, playhead: float, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """One document: `at` in seconds of the player's clock; `more` may hold params, qoeData, customMetadata."""
    return {
        "eventType": event_type,
        "playerTime": {"playhead": playhead, "ts": BEGAN_AT + round(at * 1000)},
        **(more or {}),
    }


def start(length: float = 100, at: float = 0, playhead: float = 0, **params: Any) -> dict[str, Any]:
    told = {
        "analytics.trackingServer": "t",
        "analytics.reportSuite": "r",
        "visitor.marketingCloudOrgId": "o",
        "media.id": "film",
        "media.length": length,
        "media.contentType": "vod",
        "media.playerName": "p",
        "media.channel": "c",
        "media.libraryVersion": "ios-media-5.0.1",
    }
    told |= {f"media.{key}": value for key, value in params.items()}
    return spoken(at, "sessionStart", playhead, {"params": told})


def record(offset: int, received_at: int, document: dict[str, Any] | bytes, **envelope: Any) -> StoredRecord:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    head = {"v": 1, "sid": SID, "receivedAt": received_at, "source": "collection", "peer": None} | envelope
    return StoredRecord(offset, received_at, head["sid"].encode(), orjson.dumps(head)[:-1] + b',"event":' + body + b"}")


def told(documents: Iterable[dict[str, Any]], apart_ms: int = 10, **envelope: Any) -> list[Told]:
    return read_partition(
        0, [record(i, BEGAN_AT + apart_ms * i, document, **envelope) for i, document in enumerate(documents)]
    )


def truth(
    first: dict[str, Any], *stream: Spoken, timeouts: Timeouts | None = None, apart_ms: int = 10, **envelope: Any
) -> SessionTruth:
    documents = [first, *(spoken(*one) for one in stream)]
    return SessionTruth(told(documents, apart_ms, **envelope), timeouts or Timeouts(), FOREVER)


def rows(session: SessionTruth, kind: str) -> list[dict[str, Any]]:
    return [plain(one.document) for one in session.rows if one.kind == kind]


def close(session: SessionTruth) -> dict[str, Any]:
    """The last session-close row, its three blocks and the extras in one dictionary."""
    document = rows(session, "session-close")[-1]
    reporting = document["mediaReporting"]
    ours = document["mediabeat"]
    return {
        **reporting["sessionDetails"],
        **reporting["qoeDataDetails"],
        **ours["extras"],
        "states": {state["name"]: state for state in reporting.get("states", [])},
        "closeReason": ours["closeReason"],
        "flags": ours["flags"],
        "endedAt": ours["endedAt"] - BEGAN_AT,
    }


def ads(session: SessionTruth) -> list[tuple[str, int, str]]:
    """Each ad-close: name, seconds, close reason."""
    return [
        (
            row["mediaReporting"]["advertisingDetails"]["name"],
            row["mediaReporting"]["advertisingDetails"]["timePlayed"],
            row["mediabeat"]["closeReason"],
        )
        for row in rows(session, "ad-close")
    ]


def chapters(session: SessionTruth) -> list[tuple[int, str]]:
    return [
        (row["mediaReporting"]["chapterDetails"]["timePlayed"], row["mediabeat"]["closeReason"])
        for row in rows(session, "chapter-close")
    ]


def ad_break(index: int = 1, second: float = 0) -> dict[str, Any]:
    return {"params": {"media.ad.podIndex": index, "media.ad.podSecond": second}}


def ad(name: str, length: float = 15, position: int = 1) -> dict[str, Any]:
    return {
        "params": {
            "media.ad.id": name,
            "media.ad.length": length,
            "media.ad.podPosition": position,
            "media.ad.playerName": "p",
        }
    }


def chapter(index: int = 1, offset: float = 0, length: float = 15) -> dict[str, Any]:
    return {
        "params": {
            "media.chapter.index": index,
            "media.chapter.offset": offset,
            "media.chapter.length": length,
        }
    }


def state(name: str) -> dict[str, Any]:
    return {"params": {"media.state.name": name}}
