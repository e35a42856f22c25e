"""The load of the latency bench: sessions that start at a rate, and those started first that ping in turn at another."""

import time
from collections.abc import Callable
from typing import Any

import orjson
from confluent_kafka import Producer

from ingest.session_id import SessionKeys
from schemas import topics
from schemas.codec import encode_envelope
from schemas.events import Envelope

PARTITIONS = 12
LINGER_MS = 10  # as full as a busy door's batches
PING = (
    b'{"v":1,"sid":"%b","receivedAt":%d,"source":"collection","peer":"203.0.113.0",'
    b'"event":{"eventType":"ping","playerTime":{"playhead":%d,"ts":%d}}}'
)
START = {
    "eventType": "sessionStart",
    "params": {
        "media.id": "episode-1",
        "media.length": 3600,
        "media.contentType": "vod",
        "media.channel": "channel one",
        "media.playerName": "bench player",
        "analytics.trackingServer": "metrics.example",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
    },
}


class Load:
    """Events for the worker: sessions that start at a rate, and those started first that ping in turn at another."""

    def __init__(self, bootstrap: str) -> None:
        self.acknowledged: dict[str, float] = {}
        self._keys = SessionKeys([b"a secret of the bench, 32 bytes or more"])
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "linger.ms": LINGER_MS,
                "queue.buffering.max.messages": 500_000,
            }
        )
        self._sids: list[str] = []
        self._pings = 0

    def start(self, *, counted: bool) -> str:
        now = int(time.time() * 1000)
        sid = self._keys.mint(now)
        event = orjson.dumps(START | {"playerTime": {"playhead": 0, "ts": now}})
        value = encode_envelope(Envelope(sid, now, "collection", None, None, event))
        self._send(sid, value, self._told if counted else None)
        if not counted:
            self._sids.append(sid)
        return sid

    def ping(self) -> None:
        sid = self._sids[self._pings % len(self._sids)]
        self._pings += 1
        now = int(time.time() * 1000)
        self._send(sid, PING % (sid.encode(), now, now % 100_000, now), None)

    def poll(self, seconds: float = 0) -> None:
        self._producer.poll(seconds)

    def close(self) -> None:
        self._producer.flush(5)

    def _send(self, sid: str, value: bytes, told: Callable[[Any, Any], None] | None) -> None:
        place = topics.partition_of(sid, PARTITIONS)
        while True:
            try:
                self._producer.produce(topics.EVENTS.name, value, sid, partition=place, on_delivery=told)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _told(self, _: Any, message: Any) -> None:
        self.acknowledged[message.key().decode()] = time.monotonic()
