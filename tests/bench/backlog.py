"""A backlog of envelopes on the events topic, as doors would have left it: deep (few long sessions) or wide."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from ingest.session_id import SessionKeys
from schemas.codec import encode_envelope
from schemas.events import Envelope

STEP_MS = 10_000


@dataclass(frozen=True, slots=True)
class Shape:
    """`sessions` interleaved sessions of `events` events each: every event touches another session than the last."""

    name: str
    sessions: int
    events: int

    @property
    def total(self) -> int:
        return self.sessions * self.events


DEEP = Shape("deep", 2_000, 180)
WIDE = Shape("wide", 60_000, 6)


def envelopes(shape: Shape, ends_at: int) -> Iterator[tuple[str, bytes]]:
    """(session id, envelope) in arrival order; `receivedAt` 10 s apart in a session, the last at `ends_at`."""
    begins_at = ends_at - shape.events * STEP_MS
    keys = SessionKeys([b"a secret of the bench, 32 bytes or more"])
    ids = [keys.mint(begins_at) for _ in range(shape.sessions)]
    for step in range(shape.events):
        at = begins_at + step * STEP_MS
        for number, sid in enumerate(ids):
            event = orjson.dumps(_event(step, shape.events, at, number))
            yield sid, encode_envelope(Envelope(sid, at + number % 1000, "collection", "203.0.113.0", None, event))


def _event(step: int, events: int, at: int, number: int) -> dict[str, object]:
    """A plain viewing: start, play, pings every 10 s with a change of quality now and then, the end."""
    playhead = max(0, step - 1) * STEP_MS / 1000
    document: dict[str, object] = {"eventType": "ping", "playerTime": {"playhead": playhead, "ts": at}}
    if step == 0:
        document |= {"eventType": "sessionStart", "params": _params(number)}
    elif step == 1:
        document["eventType"] = "play"
    elif step == events - 1:
        document["eventType"] = "sessionEnd"
    elif step % 20 == 5:
        document["eventType"] = "bitrateChange"
    if step and step % 4 == 1:
        document["qoeData"] = {
            "media.qoe.bitrate": 1_200_000 + 100_000 * (step % 7),
            "media.qoe.droppedFrames": step // 10,
            "media.qoe.framesPerSecond": 25,
            "media.qoe.timeToStart": 640,
        }
    return document


def _params(number: int) -> dict[str, object]:
    return {
        "media.id": f"episode-{number % 500}",
        "media.name": f"The {number % 500}th episode",
        "media.length": 3600,
        "media.contentType": "vod",
        "media.channel": "channel one",
        "media.playerName": "bench player",
        "media.libraryVersion": "js-3.1.0",
        "analytics.trackingServer": "metrics.example",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
        "visitor.marketingCloudUserId": f"{number:038d}",
    }
