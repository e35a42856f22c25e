"""What a browser's players send: a preflight, a session start, then events, nine in ten of them pings with quality."""

from random import Random

import orjson

HEADERS = (
    b"Host: 127.0.0.1\r\n"
    b"Connection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36\r\n"
    b"Accept: */*\r\n"
    b"Origin: https://player.example\r\n"
    b"Referer: https://player.example/\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\n"
)
UNCOMPRESSED = HEADERS.replace(b"Accept-Encoding: gzip, deflate, br, zstd\r\n", b"")
"""For a server that would compress an answer without a body: nobody shall pay for that either."""

PREFLIGHT = (
    b"OPTIONS /api/v1/sessions HTTP/1.1\r\n" + HEADERS + b"Access-Control-Request-Method: POST\r\n"
    b"Access-Control-Request-Headers: content-type\r\n\r\n"
)
START = {
    "analytics.trackingServer": "example.com",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org@AdobeOrg",
    "visitor.marketingCloudUserId": "12345678901234567890123456789012345678",
    "media.id": "a-film",
    "media.name": "A film of some length",
    "media.length": 5400,
    "media.contentType": "VOD",
    "media.playerName": "player",
    "media.channel": "channel",
    "media.sdkVersion": "bench",
}
_OTHERS = ("play", "pauseStart", "bufferStart", "bitrateChange")
_AD = {
    "media.ad.name": "An advertisement",
    "media.ad.id": "ad-1",
    "media.ad.length": 15,
    "media.ad.podPosition": 1,
    "media.ad.playerName": "player",
}


def post(path: bytes, body: bytes, headers: bytes = HEADERS) -> bytes:
    head = b"POST %b HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (path, headers, len(body)) + body


def session_start(now_ms: int) -> bytes:
    start = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": now_ms}, "params": START}
    return post(b"/api/v1/sessions", orjson.dumps(start))


def events(path: bytes, now_ms: int, seed: int, count: int, headers: bytes = HEADERS) -> list[bytes]:
    """Posts of one player, to be sent over and over. Their numbers differ in value and in length, as in life."""
    chance = Random(seed)
    return [post(path, _event(chance, now_ms + 1000 * number), headers) for number in range(count)]


def _event(chance: Random, now_ms: int) -> bytes:
    drawn = chance.random()
    kind = "ping" if drawn < 0.9 else "adStart" if drawn < 0.92 else chance.choice(_OTHERS)
    document = {
        "eventType": kind,
        "playerTime": {"playhead": round(chance.uniform(0, 5400), chance.randint(2, 6)), "ts": now_ms},
        "params": _AD if kind == "adStart" else {},
        "qoeData": {
            "media.qoe.bitrate": chance.choice([400_000, 1_250_000, 2_500_000, 6_000_000]),
            "media.qoe.droppedFrames": chance.randint(0, 120),
            "media.qoe.framesPerSecond": chance.choice([24, 25, 30, 50]),
            "media.qoe.timeToStart": chance.randint(90, 3000),
        },
    }
    return orjson.dumps(document)
