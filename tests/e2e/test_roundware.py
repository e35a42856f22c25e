"""Roundware clients against a real `mediabeat run`: every answer over HTTP, every row as `mediabeat tail` prints it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.e2e.roundware_client import Client, registered
from tests.e2e.running import Running, eventually, running

FLAGS = ("--roundware-idle-timeout", "3", "--heartbeat-interval", "0.5")
DOCUMENTED_TOKEN = "4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4"
CONFIGURATION = {
    "projects": [{"id": 1, "geo_listen_enabled": True}, {"id": 2, "geo_listen_enabled": False}],
    "tokens": [{"token": DOCUMENTED_TOKEN, "device_id": "12891038109281", "client_type": "iPhone"}],
}

DOCUMENTED = """curl --request POST \\
  --url http://localhost:8888/api/2/sessions/ \\
  --header 'authorization: token 4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4' \\
  --header 'content-type: application/json' \\
  --data '{
  "project_id": 1,
  "client_system": "iOS 8.1",
  "geo_listen_enabled": true,
  "demo_stream_enabled": false,
  "language": "fr",
  "timezone": "-8000"
}'"""
"""The example of the public documentation of `sessions/`, as it is printed there."""


@pytest.fixture(scope="module")
def mediabeat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("roundware")
    configuration = directory / "roundware.json"
    configuration.write_bytes(orjson.dumps(CONFIGURATION))
    with running(directory / "data", *FLAGS, "--roundware-file", str(configuration)) as process:
        yield process


def test_the_documented_command_opens_a_session_as_it_is_printed(mediabeat: Running) -> None:
    """But for the place: what it sends to localhost:8888 is led to where this door listens."""
    address = urlsplit(mediabeat.url)
    led = DOCUMENTED.replace(
        "curl", f"curl --silent --show-error --connect-to localhost:8888:{address.hostname}:{address.port}", 1
    )
    answered = subprocess.run(["/bin/sh", "-c", led], capture_output=True, text=True, timeout=30, check=True)
    shown = orjson.loads(answered.stdout)
    assert shown.pop("session_id") == shown["id"]
    assert isinstance(shown.pop("id"), int)
    assert shown.pop("starttime")[:4].isdigit()
    assert shown == {
        "client_system": "iOS 8.1",
        "client_type": "iPhone",
        "demo_stream_enabled": False,
        "device_id": "12891038109281",
        "geo_listen_enabled": True,
        "language": "en",
        "language_id": 1,
        "project_id": 1,
        "stoptime": None,
        "timezone": "-8000",
    }


def test_a_whole_run_is_answered_and_reported(mediabeat: Running) -> None:
    """Vector 48: listening is pause - play on our clock, one asset, as many asset-seconds as its client measured."""
    client = registered(mediabeat, "a whole run")
    number = client.session()
    sid = f"r:{number}"
    client.post("events/", session_id=number, event_type="start_session")
    client.post("events/", session_id=number, event_type="play_stream")
    client.post("events/", session_id=number, event_type="location_update", latitude=42.1, longitude=-71.2)
    client.post("events/", session_id=number, event_type="filter_stream", tag_ids=[3, 8])
    play = client.post("listenevents/", starttime="2022-01-02T03:04:05.678Z", session=number, asset=1)
    assert play["start_time"] == "2022-01-02T03:04:05.678000"
    time.sleep(1.2)  # the play itself
    assert (
        client.told("PATCH", f"listenevents/{play['id']}", {"duration_in_seconds": 1.2})["duration_in_seconds"] == 1.2
    )
    client.post("events/", session_id=number, event_type="pause_stream")

    [row] = mediabeat.rows("session-close", sid=sid, count=1)
    lines = mediabeat.all_lines("events", sid)
    told = {
        line["value"]["event"].get("eventType", line["value"]["event"]["kind"]): line["value"]["receivedAt"]
        for line in lines
    }
    listened = (told["pause_stream"] - told["play_stream"]) / 1000
    numbers = row["roundware"]
    assert listened >= 1.2
    assert numbers["listeningSeconds"] == listened
    assert numbers["sessionSeconds"] == (told["pause_stream"] - told["session"]) / 1000
    assert (numbers["assetSeconds"], numbers["heardSeconds"]) == (1.2, 1.2)
    assert numbers["assets"] == [{"asset": 1, "plays": 1, "seconds": 1.2, "estimated": 0}]
    assert numbers["firstPosition"] == numbers["lastPosition"] == {"latitude": 42.1, "longitude": -71.2}
    assert not numbers.get("flags")
    assert row["_id"] == f"{sid}:session-close:1:0"
    assert row["mediabeat"]["closeReason"] == "timeout"
    assert row["mediabeat"]["closedAt"] == told["pause_stream"] + 3000

    [start] = mediabeat.rows("session-start", sid=sid, count=1)
    assert (start["_id"], start["mediabeat"]["source"]) == (f"{sid}:session-start:1:0", "roundware")
    beats = [line["value"] for line in mediabeat.all_lines("heartbeat", sid)]
    assert beats, "the run lasts longer than two heartbeats are apart"
    assert {beat["mediabeat"]["final"] for beat in beats} == {False}


def test_what_comes_after_the_limit_opens_a_second_visit_and_may_revise_the_first(mediabeat: Running) -> None:
    """Vector 40, in the old client's way: no slashes, numbers as text."""
    client = registered(mediabeat, "comes back")
    number = client.session()
    sid = f"r:{number}"
    play = client.post("listenevents", starttime="2022-01-02T03:04:05Z", session=str(number), asset=7)
    client.post("events", session_id=str(number), event_type="heartbeat")
    [first] = mediabeat.rows("session-close", sid=sid, count=1)
    assert first["roundware"]["flags"][0] == "estimated"

    client.told("PATCH", f"listenevents/{play['id']}", {"duration_in_seconds": "0"})
    client.post("events", session_id=str(number), event_type="stop_session")
    rows = mediabeat.rows("session-close", sid=sid, count=3)
    assert [row["_id"] for row in rows] == [f"{sid}:session-close:{which}" for which in ("1:0", "1:1", "2:0")]
    assert [row["mediabeat"]["closeReason"] for row in rows] == ["timeout", "timeout", "explicit"]
    assert rows[1]["roundware"]["assets"] == [{"asset": 7, "plays": 1, "seconds": 0, "estimated": 0}]
    assert rows[2]["roundware"]["eventsByType"] == {"item.end": 1, "session.end": 1}


def listed(client: Client, path: str) -> list[int]:
    return [item["id"] for item in client.told("GET", path)]


def test_a_restart_keeps_tokens_sessions_and_what_the_lists_say(tmp_path: Path) -> None:
    """The second process has nothing in its memory: what it lists it has from the folded topic."""
    with running(tmp_path / "data", *FLAGS) as first:
        client = registered(first, "stays")
        number = client.session()
        event = client.post("events/", session_id=number, event_type="start_listen")["id"]
        play = client.post("listenevents/", starttime="2022-01-02T03:04:05Z", session=number, asset=3)["id"]
        gone = client.post("listenevents/", starttime="2022-01-02T03:04:05Z", session=number, asset=4)["id"]
        assert client.send("DELETE", f"listenevents/{gone}/").status == 204
        session = client.told("GET", f"sessions/{number}/")
        assert first.stop() == 0
    with running(tmp_path / "data", *FLAGS) as second:
        again = registered(second, "stays")
        assert again.token == client.token
        client.process = second
        assert listed(client, "sessions/") == [number]
        assert client.told("GET", f"sessions/{number}/") == session
        assert listed(client, f"events/?session_id={number}") == [event]
        assert listed(client, f"listenevents/?session={number}") == [play]
        assert client.send("PATCH", f"listenevents/{gone}/", {"duration_in_seconds": 2}).status == 404
        assert (
            client.told("PATCH", f"listenevents/{play}", {"duration_in_seconds": 0.25})["duration_in_seconds"] == 0.25
        )
        more = client.post("events/", session_id=number, event_type="stop_listen")["id"]
        assert listed(client, f"events/?session_id={number}") == [more, event]

        stranger = registered(second, "somebody else")
        assert listed(stranger, "sessions/") == []
        assert stranger.send("GET", f"sessions/{number}/").status == 404

        def folded() -> bool:
            found = client.told("GET", f"listenevents/{play}/")
            return bool(found["duration_in_seconds"] == 0.25)

        assert eventually(folded)
