"""How `mediabeat run` begins, shows itself and ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.e2e.players import event, now_ms, start
from tests.e2e.running import PATIENCE_SECONDS, TLS, Running, environment, eventually, mediabeat, request, running


def a_session(process: Running, began_at: int | None = None) -> str:
    answer = process.post("/api/v1/sessions", start(began_at or now_ms()))
    assert answer.status == 201
    return answer.sid


def test_once_ready_it_is_alive_ready_and_says_where_it_is(tmp_path: Path) -> None:
    began = time.monotonic()
    with running(tmp_path / "data") as process:
        # A bound for the slowest of machines; the figure itself is in the bench.
        assert time.monotonic() - began < 30
        assert request(process.admin, "GET", "/livez").status == 200
        ready = request(process.admin, "GET", "/readyz")
        assert (ready.status, orjson.loads(ready.body)) == (200, {"ready": True, "reasons": []})
        assert str(tmp_path / "data") in process.banner


def test_the_page_says_what_runs_and_where(mediabeat: Running) -> None:
    page = mediabeat.request("GET", "/")

    text = page.body.decode()
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert f"{mediabeat.url}/api/v1/sessions" in text
    assert str(mediabeat.data) in text
    assert f"{mediabeat.admin}/readyz" in text
    assert "$" not in text.replace("$URL", "").replace("$SID", "").replace("$T", "").replace("$(", "").replace(
        "$1", ""
    ).replace("$2", "").replace("$3", "")


def test_the_session_of_the_banner_works_when_pasted(mediabeat: Running) -> None:
    session = mediabeat.banner[mediabeat.banner.index("URL=") : mediabeat.banner.index("Its report")]

    pasted = subprocess.run(
        ["sh"], input=session + "echo $SID\n", capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )

    *events, sid = pasted.stdout.splitlines()
    assert [line.split()[1] for line in events] == ["204"] * 7
    (row,) = mediabeat.rows("session-close", sid=sid, count=1)
    details = row["mediaReporting"]["sessionDetails"]
    assert (details["timePlayed"], details["pauseCount"], details["pauseTime"]) == (30, 1, 8)


def test_a_browser_may_post_from_any_page(mediabeat: Running) -> None:
    asked = {
        "Origin": "https://player.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = mediabeat.request("OPTIONS", "/api/v1/sessions", headers=asked)
    answer = mediabeat.post("/api/v1/sessions", start(now_ms()))

    assert preflight.status in {200, 204}
    assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for each in (preflight, answer):
        assert each.headers["access-control-allow-origin"] == "*"
        assert each.headers["access-control-expose-headers"] == "Location"


def test_with_a_certificate_it_speaks_https(tmp_path: Path) -> None:
    files = ("--tls-cert", str(TLS / "cert.pem"), "--tls-key", str(TLS / "key.pem"))
    with running(tmp_path / "data", *files) as process:
        assert process.url.startswith("https://")
        sid = a_session(process)
        assert process.post(f"/api/v1/sessions/{sid}/events", event("play", now_ms())).status == 204


def test_every_request_is_accepted_rejected_or_failed(tmp_path: Path) -> None:
    with running(tmp_path / "data") as process:
        sid = a_session(process)
        events = f"/api/v1/sessions/{sid}/events"
        statuses = [
            process.post(events, event("play", now_ms())).status,
            process.post(events, {"eventType": "play"}).status,
            process.post(events, b"{").status,
            process.post(events, b" " * 70_000).status,
            process.post("/api/v1/sessions/" + "0" * 64 + "/events", event("play", now_ms())).status,
            process.post("/api/v1/downloaded", []).status,
            process.request("GET", "/api/v1/schemas/play").status,
            process.request("GET", "/nowhere").status,
            process.request("PATCH", "/api/v1/sessions").status,
        ]

        figures = process.figures()

    assert statuses == [204, 400, 400, 413, 404, 400, 200, 404, 405]
    received, accepted, rejected, failed = (
        figures[f"mediabeat_requests_{name}_total"] for name in ("received", "accepted", "rejected", "failed")
    )
    assert (received, accepted, rejected, failed) == (10, 3, 7, 0)
    assert received == accepted + rejected + failed
    assert sum(value for name, value in figures.items() if name.startswith("mediabeat_requests_answered_total")) == 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_accepted_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "data") as process:
        sid = a_session(process)
        address = urlsplit(process.url)
        body = orjson.dumps(event("play", now_ms()))
        with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as slow:
            head = f"POST /api/v1/sessions/{sid}/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:10])
            eventually(lambda: process.figures()["mediabeat_requests_in_flight"] == 1)

            process.process.send_signal(number)

            not_ready = eventually(lambda: (a := request(process.admin, "GET", "/readyz")).status == 503 and a)
            assert orjson.loads(not_ready.body) == {"ready": False, "reasons": ["stopping"]}
            slow.sendall(body[10:])
            assert slow.recv(4096).startswith(b"HTTP/1.1 204 ")
        assert process.process.wait(PATIENCE_SECONDS) == 0

    with running(tmp_path / "data") as again:
        assert len(again.all_lines("events", sid)) == 2


def test_a_request_that_never_ends_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--grace-stop", "1") as process:
        address = urlsplit(process.url)
        with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as stuck:
            stuck.sendall(b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            eventually(lambda: process.figures()["mediabeat_requests_in_flight"] == 1)

            assert process.stop() == 0


def refused(*flags: str) -> str:
    found = mediabeat(["run", *flags])
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("mediabeat run: ")
    assert found.stderr.count("\n") == 1, found.stderr
    return found.stderr


def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        sentence = refused("--port", port, "--data", str(tmp_path / "data"))

    assert port in sentence
    assert "--port" in sentence


def test_a_second_run_on_the_same_data_is_said_in_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path / "data") as process:
        sentence = refused("--port", "0", "--data", str(tmp_path / "data"))

        assert str(process.process.pid) in sentence
        assert "--data" in sentence
        assert a_session(process)


def test_a_data_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "--data" in refused("--port", "0", "--data", str(tmp_path / "file" / "data"))


def test_a_log_with_other_partitions_is_not_opened(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--partitions", "3"):
        pass

    assert "3 partitions" in refused("--port", "0", "--data", str(tmp_path / "data"), "--partitions", "4")


def test_the_directory_of_the_log_tells_its_partitions_when_nobody_else_does(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--partitions", "3") as process:
        sid = a_session(process)
        assert process.stop() == 0

    with running(tmp_path / "data") as again:
        assert again.post(f"/api/v1/sessions/{sid}/events", event("play", now_ms())).status == 204


def test_tail_ends_cleanly_when_its_reader_leaves(mediabeat: Running) -> None:
    a_session(mediabeat)
    with subprocess.Popen(
        [sys.executable, "-m", "deploy", "tail", "events", "--from-start", "--data", str(mediabeat.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline().startswith(b'{"partition":')
        tail.stdout.close()

        assert tail.wait(PATIENCE_SECONDS) == 0
        assert tail.stderr is not None
        assert tail.stderr.read() == b""


def test_ctrl_c_ends_a_tail_without_a_traceback(mediabeat: Running) -> None:
    a_session(mediabeat)
    with subprocess.Popen(
        [sys.executable, "-m", "deploy", "tail", "events", "--from-start", "--data", str(mediabeat.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.send_signal(signal.SIGINT)

        assert tail.wait(PATIENCE_SECONDS) == 130
        assert tail.stderr is not None
        assert tail.stderr.read() == b""
