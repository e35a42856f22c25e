"""What players send in these tests."""

import time
from typing import Any

START_PARAMS: dict[str, Any] = {
    "analytics.trackingServer": "example.com",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org@AdobeOrg",
    "media.id": "a-film",
    "media.length": 60,
    "media.contentType": "VOD",
    "media.playerName": "player",
    "media.channel": "channel",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event(kind: str, ts: int, playhead: float = 0, **members: Any) -> dict[str, Any]:
    return {"eventType": kind, "playerTime": {"playhead": playhead, "ts": ts}, **members}


def start(ts: int, **params: Any) -> dict[str, Any]:
    return event("sessionStart", ts, params=START_PARAMS | params)


def watched(began_at: int, seconds: int, **start_params: Any) -> list[dict[str, Any]]:
    """A whole session, watched from the beginning with a ping each second, to its completion."""
    return [
        start(began_at, **start_params),
        event("play", began_at),
        *(event("ping", began_at + 1000 * second, second) for second in range(1, seconds)),
        event("sessionComplete", began_at + 1000 * seconds, seconds),
    ]
