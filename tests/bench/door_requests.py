"""What a browser's player sends: a preflight, a session start, then events with the same head over and over."""

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
_PING = (
    b'{"eventType":"ping","playerTime":{"playhead":%d.25,"ts":%d},"params":{},"qoeData":{"media.qoe.bitrate":2500000,'
    b'"media.qoe.droppedFrames":2,"media.qoe.framesPerSecond":25,"media.qoe.timeToStart":850}}'
)


def post(path: bytes, body: bytes) -> bytes:
    head = b"POST %b HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (path, HEADERS, len(body)) + body


def session_start(now_ms: int) -> bytes:
    start = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": now_ms}, "params": START}
    return post(b"/api/v1/sessions", orjson.dumps(start))


class Player:
    """The events of one session, each with its own playhead and time."""

    def __init__(self, location: bytes, now_ms: int) -> None:
        self._head = post(location + b"/events", b"").removesuffix(b"0\r\n\r\n")
        self._now_ms = now_ms
        self._playhead = 0

    def ping(self) -> bytes:
        self._playhead += 1
        body = _PING % (self._playhead, self._now_ms + 1000 * self._playhead)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
