"""Killed as a power cut would kill it: nothing acknowledged is lost, nothing counts twice."""

import threading
from collections import Counter
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from tests.e2e.players import event, now_ms, watched
from tests.e2e.running import Running, eventually, following, running

FAST = ("--reorder-window", "0.5")


def post_events(process: Running, sid: str, events: list[dict]) -> None:
    for each in events:
        assert process.post(f"/api/v1/sessions/{sid}/events", each).status == 204


def assert_every_row_is_there_once(process: Running, sid: str) -> None:
    for topic in ("session-start", "session-close", "heartbeat"):
        ids = Counter(line["value"]["_id"] for line in process.all_lines(topic, sid))
        assert set(ids.values()) <= {1}, ids


def test_a_session_goes_on_after_a_crash_in_its_middle(tmp_path: Path) -> None:
    began_at = now_ms() - 45_000
    first, *events = watched(began_at, 45)
    with running(tmp_path / "data", *FAST) as process:
        sid = process.post("/api/v1/sessions", first).sid
        post_events(process, sid, events[:20])
        process.kill()

    with running(tmp_path / "data", *FAST) as again:
        post_events(again, sid, events[20:])
        (close,) = again.rows("session-close", sid=sid, count=1)

        details = close["mediaReporting"]["sessionDetails"]
        assert (details["timePlayed"], details["uniqueTimePlayed"]) == (45, 45)
        assert close["mediabeat"]["extras"]["contentMs"] == 45_000
        assert "flags" not in close["mediabeat"]
        assert len(again.all_lines("events", sid)) == 1 + len(events)
        assert_every_row_is_there_once(again, sid)
        assert again.all_lines("rejects") == []


def test_an_event_sent_again_after_a_crash_counts_once(tmp_path: Path) -> None:
    began_at = now_ms() - 10_000
    first, *events = watched(began_at, 10)
    with running(tmp_path / "data", *FAST) as process:
        sid = process.post("/api/v1/sessions", first).sid
        post_events(process, sid, events[:5])
        process.kill()

    with running(tmp_path / "data", *FAST) as again:
        # The client never got the answer to these: it sends them again.
        post_events(again, sid, [*events[3:5], *events[5:]])
        (close,) = again.rows("session-close", sid=sid, count=1)

    assert close["mediabeat"]["extras"]["contentMs"] == 10_000
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 10


def test_several_crashes_under_load_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = Counter()

    def play(process: Running, seconds: int) -> None:
        first, *events = watched(now_ms() - 1000 * seconds, seconds)
        with suppress(OSError, HTTPException):  # the crash
            sid = process.post("/api/v1/sessions", first).sid
            acknowledged[sid] += 1
            for each in events:
                assert process.post(f"/api/v1/sessions/{sid}/events", each).status == 204
                acknowledged[sid] += 1

    for crash in range(3):
        with running(tmp_path / "data", *FAST) as process:
            players = [threading.Thread(target=play, args=(process, 300)) for _ in range(4)]
            for player in players:
                player.start()
            goal = sum(acknowledged.values()) + 50 * (crash + 1)
            eventually(lambda goal=goal: sum(acknowledged.values()) >= goal)
            process.kill()
            for player in players:
                player.join()

    with running(tmp_path / "data", *FAST) as process:
        stored = Counter(line["key"] for line in process.all_lines("events"))
        starts = {line["key"] for line in process.lines("session-start", count=len(stored))}

    assert len(acknowledged) >= 3
    assert all(stored[sid] >= count for sid, count in acknowledged.items())
    # What the crash left unanswered may be there as well: one event at most for each player.
    assert all(stored[sid] <= count + 1 for sid, count in acknowledged.items() if sid in stored)
    assert starts == set(stored)


BATCH_SECONDS = 6_000


def big_batch() -> list[dict]:
    """Some 4 MB: several pieces on the log, so that a crash can fall between two."""
    events = watched(1_700_000_000_000, BATCH_SECONDS, **{"media.downloaded": True, "media.name": "An offline film"})
    return [each | ({"qoeData": {"media.qoe.bitrate": 5000}} if each["eventType"] == "ping" else {}) for each in events]


def assert_batch_is_reported_once(process: Running, sid: str) -> None:
    (close,) = process.rows("session-close", sid=sid, count=1)
    details = close["mediaReporting"]["sessionDetails"]
    assert (details["timePlayed"], details["isCompleted"]) == (BATCH_SECONDS, True)
    assert close["mediabeat"]["source"] == "batch"
    assert close["mediabeat"]["closeReason"] == "complete"
    assert "flags" not in close["mediabeat"]
    assert [line["value"]["_id"] for line in process.all_lines("session-close", sid)] == [f"{sid}:session-close:1:0"]
    assert len(process.all_lines("session-start", sid)) == 1
    assert process.all_lines("rejects", sid) == []


def test_an_offline_batch_uploaded_twice_is_one_session(tmp_path: Path) -> None:
    batch = watched(1_700_000_000_000, BATCH_SECONDS, **{"media.downloaded": True})
    with running(tmp_path / "data", *FAST) as process:
        first = process.post("/api/v1/sessions", batch)
        second = process.post("/api/v1/downloaded", [dict(reversed(list(each.items()))) for each in batch])

        assert (first.status, second.status) == (201, 201)
        assert first.sid == second.sid
        eventually(lambda: process.figures()["mediabeat_duplicates_total"] == len(batch))
        assert_batch_is_reported_once(process, first.sid)
        assert process.post(f"/api/v1/sessions/{first.sid}/events", event("ping", now_ms())).status == 404


def test_an_offline_batch_whose_upload_was_cut_by_a_crash_is_one_session(tmp_path: Path) -> None:
    batch = big_batch()
    with running(tmp_path / "data", *FAST) as process:

        def upload() -> None:
            with suppress(OSError, HTTPException):  # the crash
                process.post("/api/v1/downloaded", batch)

        first = process.post("/api/v1/sessions", watched(now_ms(), 1)[0]).sid
        uploading = threading.Thread(target=upload)
        with following(process, "events") as lines:
            assert first in next(lines)  # it reads now: what comes next is seen at once
            uploading.start()
            assert first not in next(lines)  # the first piece of the batch is on the log
            process.kill()
        uploading.join()

    with running(tmp_path / "data", *FAST) as again:
        answer = again.post("/api/v1/downloaded", batch)
        assert answer.status == 201
        stored = [line["value"]["batch"]["index"] for line in again.all_lines("events", answer.sid)]
        assert stored[-len(batch) :] == list(range(len(batch)))
        assert stored[: -len(batch)] == list(range(len(stored) - len(batch)))  # the prefix that the crash left
        assert_batch_is_reported_once(again, answer.sid)
