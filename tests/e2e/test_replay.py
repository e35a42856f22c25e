"""Rejects put back through the door after a fix."""

from pathlib import Path

import orjson

from tests.e2e.players import event, now_ms, start
from tests.e2e.running import Running, mediabeat, running

FAST = ("--reorder-window", "0.5")


def replay(process: Running, *flags: str) -> tuple[list[dict], str]:
    arguments = ["replay", "--from", "rejects", "--url", process.url, "--data", str(process.data), *flags]
    found = mediabeat(arguments)
    assert found.returncode == 0, found.stderr
    return [orjson.loads(line) for line in found.stdout.splitlines()], found.stderr.strip()


def test_after_the_fix_each_reject_goes_through_once(tmp_path: Path) -> None:
    began_at = now_ms() - 30_000
    sloppy_start = start(began_at)
    del sloppy_start["params"]["media.channel"]  # as real players do; the strict profile refuses it
    with running(tmp_path / "data", *FAST, "--profile", "strict") as strict:
        sid = strict.post("/api/v1/sessions", start(began_at)).sid
        path = f"/api/v1/sessions/{sid}/events"
        assert strict.post(path, event("play", began_at)).status == 204
        assert strict.post(path, event("ping", began_at + 10_000, 10, another="member")).status == 400
        assert strict.post("/api/v1/sessions", sloppy_start).status == 400
        assert len(strict.lines("rejects", count=2)) == 2
        assert strict.stop() == 0

    with running(tmp_path / "data", *FAST) as lenient:
        listed, summary = replay(lenient)
        assert (listed, summary) == ([], "2 sent: 2 accepted, 0 refused again; 0 not sent")
        assert [line["value"]["event"]["eventType"] for line in lenient.all_lines("events", sid)] == [
            "sessionStart",
            "play",
            "ping",
        ]
        assert len(lenient.lines("session-start", count=2)) == 2

        assert replay(lenient) == ([], "0 sent: 0 accepted, 0 refused again; 0 not sent")


def test_what_cannot_be_sent_is_listed(tmp_path: Path) -> None:
    with running(tmp_path / "data", *FAST) as process:
        sid = process.post("/api/v1/sessions", start(now_ms())).sid
        path = f"/api/v1/sessions/{sid}/events"
        assert process.post(path, b"x" * 70_000).status == 413
        assert process.post(path, {"eventType": "ping"}).status == 400
        assert process.post(path, event("sessionEnd", now_ms())).status == 204
        process.lines("rejects", count=2)
        process.rows("closed", sid=sid, count=1)

        listed, summary = replay(process)

        assert summary == "0 sent: 0 accepted, 0 refused again; 2 not sent"
        assert {(line["sid"], line["reason"]) for line in listed} == {
            (sid, "its body was cut when it was kept"),
            (sid, "its session is closed"),
        }


def test_a_code_and_a_time_choose_and_leave_the_rest_for_later(tmp_path: Path) -> None:
    with running(tmp_path / "data", *FAST) as process:
        assert process.post("/api/v1/sessions", b"{").status == 400
        assert process.post("/api/v1/sessions", {"eventType": "sessionStart"}).status == 400
        codes = [row["code"] for row in process.rows("rejects", count=2)]

        later, _ = replay(process, "--since", "2999-01-01")
        chosen, _ = replay(process, "--code", "malformed_json")
        rest, _ = replay(process, "--code", codes[1])
        third, _ = replay(process, "--code", "malformed_json", "--since", str(2**50))

    assert sorted(codes) == ["malformed_json", "schema_violation"]
    assert later == third == []
    assert [(line["code"], line["reason"].partition(":")[0]) for line in (*chosen, *rest)] == [
        ("malformed_json", "refused again with 400"),
        ("schema_violation", "refused again with 400"),
    ]


def test_a_door_that_takes_nothing_stops_the_replay_with_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path / "data", *FAST) as process:
        assert process.post("/api/v1/sessions", b"{").status == 400
        process.lines("rejects", count=1)

    found = mediabeat(
        ["replay", "--from", "rejects", "--url", process.url, "--data", str(process.data), "--patience", "0"]
    )

    assert found.returncode == 1
    assert found.stderr.startswith(f"mediabeat replay: {process.url} takes nothing")
    assert found.stderr.count("\n") == 1
