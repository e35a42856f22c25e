"""Doors and workers as processes of their own on a real Kafka broker."""

import asyncio
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from schemas import topics
from tests.contracts.kafka_harness import fresh_topics
from tests.e2e.players import event, now_ms, watched
from tests.e2e.running import PATIENCE_SECONDS, eventually, kill_after, mediabeat, request, spawned

READY = re.compile(r"is ready(?: at (http://\S+);|;) operator at (http://[^/\s]+)")
SECRET = "s" * 40


class Part:
    """A door or a worker, ready."""

    def __init__(self, process: subprocess.Popen[str], banner: str) -> None:
        found = READY.search(banner)
        assert found, banner
        self.process = process
        self.url, self.admin = found.groups()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def bootstrap(kafka_broker: Cluster) -> str:
    """A cluster with fresh topics, made by the command."""
    asyncio.run(fresh_topics(KafkaClients(kafka_broker.bootstrap), 4))
    return kafka_broker.bootstrap


@contextmanager
def part(command: str, bootstrap: str, log: Path, *flags: str) -> Iterator[Part]:
    arguments = [command, "--bootstrap", bootstrap, "--admin-port", "0", *flags]
    with spawned(arguments, log=log) as process:
        assert process.stdout is not None
        timer = kill_after(process)
        banner = process.stdout.readline()
        timer.cancel()
        assert banner, log.read_text()
        yield Part(process, banner)


def door(bootstrap: str, tmp_path: Path) -> Any:
    return part("ingest", bootstrap, tmp_path / "door.log", "--port", "0", "--secret", SECRET)


def worker(bootstrap: str, tmp_path: Path, slot: str) -> Any:
    flags = ["--slot", slot, "--reorder-window", "0.5", "--commit-interval", "0.05"]
    return part("worker", bootstrap, tmp_path / f"{slot}.log", *flags)


def play(url: str, documents: list[dict[str, Any]], sid: str | None = None) -> str:
    """Post a session's events in turn, each again until it is taken, as SDKs do."""
    for document in documents:
        path = "/api/v1/sessions" if sid is None else f"/api/v1/sessions/{sid}/events"
        answer = eventually(lambda path=path, document=document: _taken(url, path, document))
        sid = sid or answer.sid
    assert sid is not None
    return sid


def _taken(url: str, path: str, document: dict[str, Any]) -> Any:
    answer = request(url, "POST", path, orjson.dumps(document), {"Content-Type": "application/json"})
    assert answer.status in {201, 204, 503}, answer
    return answer if answer.status < 300 else None


def lines(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    found = mediabeat(["tail", topic, "--no-follow", "--bootstrap", bootstrap])
    assert found.returncode == 0, found.stderr
    return [orjson.loads(line) for line in found.stdout.splitlines()]


def test_workers_are_killed_and_started_again_while_sessions_play_and_every_row_stands_once(
    bootstrap: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        doors = [stack.enter_context(door(bootstrap, tmp_path)) for _ in range(2)]
        victim = stack.enter_context(worker(bootstrap, tmp_path, "victim"))
        stack.enter_context(worker(bootstrap, tmp_path, "other"))
        halves = [watched(now_ms() - 30_000, 30) for _ in range(12)]
        urls = [doors[number % 2].url for number in range(12)]
        with ThreadPoolExecutor(6) as players:
            sids = list(players.map(lambda url, events: play(url, events[:12]), urls, halves))
            victim.kill()
            rest = players.map(lambda url, events, sid: play(url, events[12:], sid), reversed(urls), halves, sids)
            successor = stack.enter_context(worker(bootstrap, tmp_path, "victim"))
            assert list(rest) == sids

        def closed() -> Any:
            rows = lines(bootstrap, "session-close")
            return rows if {row["key"] for row in rows} >= set(sids) else None

        rows = eventually(closed)
        assert Counter(row["value"]["_id"] for row in rows) == {f"{sid}:session-close:1:0": 1 for sid in sids}
        for row in rows:
            assert row["value"]["mediaReporting"]["sessionDetails"]["timePlayed"] == 30
        starts = Counter(row["value"]["_id"] for row in lines(bootstrap, "session-start"))
        assert starts == {f"{sid}:session-start:1:0": 1 for sid in sids}

        assert successor.stop() == 0
        assert [one.stop() for one in doors] == [0, 0]


def test_a_session_that_has_ended_is_gone_at_every_door_also_at_one_started_later(
    bootstrap: str, tmp_path: Path
) -> None:
    with door(bootstrap, tmp_path) as first, worker(bootstrap, tmp_path, "w"):
        began = now_ms() - 5_000
        sid = play(first.url, [*watched(began, 5), event("sessionEnd", began + 5_000, 5)])
        late = orjson.dumps(event("ping", now_ms(), 5))
        path = f"/api/v1/sessions/{sid}/events"
        eventually(lambda: request(first.url, "POST", path, late).status == 410)
        with door(bootstrap, tmp_path) as second:
            assert request(second.url, "POST", path, late).status == 410


def test_what_stops_a_start_is_one_line_that_says_what_to_do(bootstrap: str, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        told = mediabeat([*arguments, "--admin-port", "0"])
        assert told.returncode == 1, told
        assert len(told.stderr.strip().splitlines()) == 1, told.stderr
        return told.stderr

    with worker(bootstrap, tmp_path, "taken"):
        assert "another worker on this host is 'taken'" in refused(
            "worker", "--bootstrap", bootstrap, "--slot", "taken"
        )
    assert "has 4 partitions, not 7" in refused("worker", "--bootstrap", bootstrap, "--partitions", "7")
    assert "MEDIABEAT_SECRET" in refused("ingest", "--bootstrap", bootstrap, "--port", "0")
    assert "no Kafka at" in refused("worker", "--bootstrap", "127.0.0.1:1")


def test_topics_are_made_and_checked_by_the_command(kafka_broker: Cluster, bootstrap: str) -> None:
    check = ["topics", "check", "--bootstrap", bootstrap]
    assert mediabeat(check).returncode == 0
    other = mediabeat([*check, "--partitions", "5"])
    assert other.returncode == 1
    assert "media.events.v1 has 4 partitions, not 5" in other.stdout
    again = mediabeat(["topics", "create", "--bootstrap", bootstrap])
    assert (again.returncode, again.stdout.startswith(f"{len(topics.ALL)} existed already")) == (0, True)
