"""What real players' platforms send takes the short way, from the first preflight to the last event."""

import pytest

from ingest import express
from tests.ingest.doors import NOW, PLAY, assert_reconciled, event, open_door, request, session_start, until

ORIGIN = {"Origin": "https://player.example", "Referer": "https://player.example/"}
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

# The headers of each beside Host and Content-Length, in the order in which it sends them.
CHROMIUM = {
    "Connection": "keep-alive",
    "sec-ch-ua-platform": '"Windows"',
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "sec-ch-ua": '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
    "Content-Type": "application/json",
    "sec-ch-ua-mobile": "?0",
    "Accept": "*/*",
    **ORIGIN,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en-US;q=0.9,en;q=0.8",
    "DNT": "1",
    "Sec-GPC": "1",
}
FIREFOX = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "*/*",
    "Accept-Language": "de,en-US;q=0.7,en;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Content-Type": "application/json",
    **ORIGIN,
    "Connection": "keep-alive",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "cross-site",
    "Priority": "u=4",
    "Pragma": "no-cache",
    "Cache-Control": "no-cache",
}
SAFARI = {
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Sec-Fetch-Site": "cross-site",
    "Accept-Language": "fr-FR,fr;q=0.9",
    "Accept-Encoding": "gzip, deflate, br",
    "Sec-Fetch-Mode": "cors",
    **ORIGIN,
    "User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Connection": "keep-alive",
    "Sec-Fetch-Dest": "empty",
    "Priority": "u=3, i",
}
OLD_BROWSER_SDK = FIREFOX | {"Content-Type": "text/plain;charset=UTF-8"}  # no preflight: a simple request
CHROMECAST = {
    "Connection": "keep-alive",
    "User-Agent": "Mozilla/5.0 (X11; Linux aarch64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 CrKey/1.56.500000 DeviceType/AndroidTV",
    "CAST-DEVICE-CAPABILITIES": '{"bluetooth_supported":false,"display_supported":true}',
    "content-type": "application/json",
    "Accept": "*/*",
    **ORIGIN,
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB",
}
OKHTTP = {
    "Content-Type": "application/json; charset=utf-8",
    "Connection": "Keep-Alive",
    "Accept-Encoding": "gzip",
    "User-Agent": "okhttp/4.12.0",
}
ANDROID = {  # HttpURLConnection, with the SDK's Assurance token
    "Content-Type": "application/json",
    "X-Adobe-AEP-Validation-Token": "0a1b2c3d-0000-4000-8000-0123456789ab",
    "Accept-Language": "en-US",
    "User-Agent": "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A.240205.004)",
    "Connection": "Keep-Alive",
    "Accept-Encoding": "gzip",
}
CFNETWORK = {
    "Content-type": "application/json",
    "Connection": "keep-alive",
    "Accept": "*/*",
    "User-Agent": "Player/7.1 CFNetwork/1568.200.51 Darwin/24.1.0",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br",
}
CURL = {"User-Agent": "curl/8.14.1", "Accept": "*/*", "Content-Type": "application/x-www-form-urlencoded"}

BROWSERS = {"Chromium": CHROMIUM, "Firefox": FIREFOX, "Safari": SAFARI, "Chromecast": CHROMECAST}
PLATFORMS = BROWSERS | {
    "an old browser SDK": OLD_BROWSER_SDK,
    "okhttp": OKHTTP,
    "Android": ANDROID,
    "CFNetwork": CFNETWORK,
    "curl": CURL,
}


def preflight(path, headers):
    sent = {name: value for name, value in headers.items() if name.lower() != "content-type"} | ASKS
    return request("OPTIONS", path, None, sent).replace(b"Content-Length: 0\r\n", b"")  # a browser states none


async def send(client, data, *, apart):
    """As one piece, or the head first and the body when the door has read that."""
    head, end, body = data.partition(b"\r\n\r\n")
    if apart:
        await client.write(head + end)
        return await client.ask(body) if body else await client.answer()
    return await client.ask(data)


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "the body apart"])
@pytest.mark.parametrize("name", PLATFORMS)
async def test_all_that_a_player_sends_takes_the_short_way(name, apart, monkeypatch):
    monkeypatch.setattr(express, "ASSEMBLY_SECONDS", 20.0)  # however slow this machine is just now
    headers = PLATFORMS[name]
    async with open_door(way="short") as door, door.connect() as client:
        counts = door.collector.counts
        if name in BROWSERS:
            answer = await send(client, preflight("/api/v1/sessions", headers), apart=apart)
            assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "content-type")
        answer = await send(client, request("POST", "/api/v1/sessions", session_start(), headers), apart=apart)
        assert answer.status == 201
        path = f"/api/v1/sessions/{answer.sid}/events"
        if name in BROWSERS:
            assert (await send(client, preflight(path, headers), apart=apart)).status == 204
        for document in (PLAY, *(event("ping", second, NOW + 1000 * second, {}) for second in range(1, 6))):
            assert (await send(client, request("POST", path, document, headers), apart=apart)).status == 204
        assert counts.ordinary == 0
        assert counts.received == 7 + 2 * (name in BROWSERS)
        assert_reconciled(door)


HOSTS = ("door.example", "DOOR.example:8080", "127.0.0.1:8080", "localhost", "door_pool", "[::1]:8080", "x--a.b-c.")


@pytest.mark.parametrize("host", HOSTS)
async def test_whatever_a_door_is_called_its_players_take_the_short_way(host):
    """`door_pool` is how nginx calls a group of doors of this name, unless it is told otherwise."""
    async with open_door(way="short") as door, door.connect() as client:
        data = request("POST", "/api/v1/sessions", session_start()).replace(b"door.example", host.encode())
        assert (await client.ask(data)).status == 201
        assert door.collector.counts.ordinary == 0


async def test_a_browser_opens_several_connections_for_one_session():
    async with open_door(way="short") as door, door.connect() as first, door.connect() as second:
        sid = (await first.ask(request("POST", "/api/v1/sessions", session_start(), CHROMIUM))).sid
        path = f"/api/v1/sessions/{sid}/events"
        for second_of_play in range(3):
            ping = event("ping", second_of_play, NOW)
            await first.write(request("POST", path, ping, CHROMIUM))
            await second.write(request("POST", path, ping, CHROMIUM))
            assert [(await client.answer()).status for client in (first, second)] == [204, 204]
        await until(lambda: len(door.log.records) == 7)
        assert door.collector.counts.ordinary == 0
        assert {record.key for record in door.log.records} == {sid.encode()}
