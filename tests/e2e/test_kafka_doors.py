"""Several front doors on one port, as processes on a real Kafka broker."""

import asyncio
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from tests.contracts.kafka_harness import fresh_topics
from tests.e2e.players import event, now_ms, start
from tests.e2e.running import PATIENCE_SECONDS, eventually, request
from tests.e2e.test_kafka import SECRET, Part, lines, part

DOORS = 2
PLAYERS = 8


@pytest.fixture
def bootstrap(kafka_broker: Cluster) -> str:
    asyncio.run(fresh_topics(KafkaClients(kafka_broker.bootstrap), 4))
    return kafka_broker.bootstrap


@contextmanager
def doors(bootstrap: str, tmp_path: Path) -> Iterator[Part]:
    flags = ["--port", "0", "--secret", SECRET, "--processes", str(DOORS), "--grace-stop", "60"]
    with part("ingest", bootstrap, tmp_path / "doors.log", *flags) as group:
        yield group


def door_processes(group: Part) -> list[psutil.Process]:
    """Not the one they are forked from, which is their parent."""
    doors = []
    for server in psutil.Process(group.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            doors += server.children()
    return doors


class Player(threading.Thread):
    """One session, one event after the other on a kept connection and each until it is taken, until there is no door.

    `acknowledged`: the playheads answered 204. `broken`: connections that ended after answers of which none said so.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = urlsplit(url).netloc
        self.answers = Counter[int]()
        self.acknowledged: list[int] = []
        self.broken = 0
        self._is_kept = False
        self.sid = ""
        self.start()

    def run(self) -> None:
        connection = HTTPConnection(self._address, timeout=PATIENCE_SECONDS)
        playhead = 0
        while True:
            try:
                if not self.sid:
                    self.sid = self._post(connection, "/api/v1/sessions", start(now_ms())) or ""
                else:
                    path = f"/api/v1/sessions/{self.sid}/events"
                    if self._post(connection, path, event("ping", now_ms(), playhead)) is not None:
                        self.acknowledged.append(playhead)
                        playhead += 1
            except ConnectionRefusedError:
                return
            except (OSError, HTTPException):  # the door died under it: nobody knows whether that event is taken
                self.broken += self._is_kept
                connection.close()
                self._is_kept = False
                playhead += 1

    def _post(self, connection: HTTPConnection, path: str, document: object) -> str | None:
        connection.request("POST", path, orjson.dumps(document))
        response = connection.getresponse()
        response.read()
        self._is_kept = response.getheader("Connection", "").lower() != "close"
        self.answers[response.status] += 1
        return (response.getheader("Location") or "").rpartition("/")[2] if response.status < 300 else None


class Resting:
    """A player that keeps its connection and has nothing to say for a while."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
        answer = self._answer("/api/v1/sessions", start(now_ms()))
        self._path = answer.headers["Location"] + "/events"
        self._socket = self._connection.sock

    def last_answer(self) -> tuple[int, str | None]:
        assert self._connection.sock is self._socket
        answer = self._answer(self._path, event("play", now_ms()))
        return answer.status, answer.headers["Connection"]

    def _answer(self, path: str, document: object) -> HTTPResponse:
        self._connection.request("POST", path, orjson.dumps(document))
        answer = self._connection.getresponse()
        answer.read()
        return answer


def is_refused(group: Part) -> bool:
    address = urlsplit(group.url)
    try:
        socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it waited at a socket just then
        return False
    return False


def post_start(group: Part, body: bytes) -> int:
    return request(group.url, "POST", "/api/v1/sessions", body).status


def playheads(bootstrap: str) -> dict[str, list[int]]:
    """What is on the log of each session, its start left out."""
    found: dict[str, list[int]] = {}
    for line in lines(bootstrap, "events"):
        sent = line["value"]["event"]
        if sent["eventType"] != "sessionStart":
            found.setdefault(line["key"], []).append(sent["playerTime"]["playhead"])
    return found


def figures(group: Part) -> dict[str, float]:
    text = request(group.admin, "GET", "/metrics").body.decode()
    parts = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in parts}


def test_the_sums_are_what_players_saw_and_a_stop_under_load_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    with doors(bootstrap, tmp_path) as group:
        with ThreadPoolExecutor(PLAYERS) as pool:
            began = list(pool.map(lambda _: post_start(group, orjson.dumps(start(now_ms()))), range(40)))
            odd = list(pool.map(lambda _: post_start(group, b"{}"), range(7)))
        assert (set(began), set(odd)) == ({201}, {400})
        found = figures(group)
        assert found["mediabeat_requests_received_total"] == 47
        assert found["mediabeat_requests_accepted_total"] == 40
        assert found["mediabeat_requests_rejected_total"] == 7
        assert found['mediabeat_requests_answered_total{endpoint="sessions",status="201"}'] == 40
        by_door = [found[f'mediabeat_door_requests_received_total{{door="{number}"}}'] for number in range(DOORS)]
        assert sum(by_door) == 47
        assert all(by_door)  # each request has a connection of its own: 1 in 2**46 that all meet one door

        resting = [Resting(group.url) for _ in range(PLAYERS)]
        players = [Player(group.url) for _ in range(PLAYERS)]
        eventually(lambda: all(len(player.acknowledged) > 20 for player in players))
        group.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(group))
        assert [player.last_answer() for player in resting] == [(204, "close")] * PLAYERS
        assert group.process.wait(PATIENCE_SECONDS) == 0
        for player in players:
            player.join(PATIENCE_SECONDS)
        stored = playheads(bootstrap)
    for player in players:
        assert player.answers.keys() <= {201, 204, 503}
        assert player.broken == 0
        assert set(player.acknowledged) <= set(stored[player.sid])
    said = (tmp_path / "doors.log").read_text()
    assert "Traceback" not in said
    assert '"level":"error"' not in said


def test_doors_are_replaced_under_load_be_they_killed_or_renewed_and_nothing_acknowledged_is_lost(
    bootstrap: str, tmp_path: Path
) -> None:
    with doors(bootstrap, tmp_path) as group:
        players = [Player(group.url) for _ in range(PLAYERS)]
        for victim in door_processes(group):
            counts = [len(player.acknowledged) for player in players]
            victim.send_signal(signal.SIGKILL)
            eventually(lambda counts=counts: all(len(p.acknowledged) > n for p, n in zip(players, counts, strict=True)))
        eventually(lambda: request(group.admin, "GET", "/readyz").status == 200)
        assert figures(group)["mediabeat_doors_ended_total"] == DOORS

        broken = [player.broken for player in players]
        before = door_processes(group)
        group.process.send_signal(signal.SIGHUP)
        eventually(lambda: "every front door has been replaced" in (tmp_path / "doors.log").read_text())
        assert psutil.wait_procs(before, PATIENCE_SECONDS)[1] == []
        assert [player.broken for player in players] == broken
        assert figures(group)["mediabeat_doors_ended_total"] == DOORS
        assert group.stop() == 0
        for player in players:
            player.join(PATIENCE_SECONDS)
        stored = playheads(bootstrap)
    for player in players:
        assert set(player.acknowledged) <= set(stored[player.sid])


def test_doors_whose_supervisor_is_killed_answer_what_they_have_begun_and_end(bootstrap: str, tmp_path: Path) -> None:
    with doors(bootstrap, tmp_path) as group:
        players = [Player(group.url) for _ in range(PLAYERS)]
        eventually(lambda: all(len(player.acknowledged) > 5 for player in players))
        orphans = door_processes(group)
        assert len(orphans) == DOORS
        group.kill()
        assert psutil.wait_procs(orphans, PATIENCE_SECONDS)[1] == []
        for player in players:
            player.join(PATIENCE_SECONDS)
        stored = playheads(bootstrap)
    for player in players:
        assert player.answers.keys() <= {201, 204, 503}
        assert player.broken == 0
        assert set(player.acknowledged) <= set(stored[player.sid])
