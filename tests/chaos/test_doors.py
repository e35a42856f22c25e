"""A door that has not read all closed sessions yet is not ready; once it is ready it knows every one of them."""

import asyncio
import time
from pathlib import Path

import orjson

from deploy.broker import Cluster
from ingest.session_id import SessionKeys
from schemas import topics
from tests.chaos.processes import Process, until
from tests.chaos.stage import SECRET, Scale, Stage, stage
from tests.e2e.players import event, now_ms
from tests.e2e.running import Answer, request
from tests.kafka_broker import free_ports

SCALE = Scale(partitions=2, idle=60, grace=10, window=1, rate=0, at_once=1, voyage_sessions=1)
CLOSED = 30_000
"""A second's work or two to read: long enough to be seen at it."""


async def test_a_door_is_not_ready_before_it_knows_every_closed_session(kafka_broker: Cluster, tmp_path: Path) -> None:
    async with stage(kafka_broker, SCALE, tmp_path, seed=1) as theatre:
        newest = await close_many(theatre)
        [admin_port] = free_ports(1)
        door = theatre.add_door(admin_port)
        reasons = await reasons_until_ready(door, f"http://127.0.0.1:{admin_port}")
        url = theatre.url(door.name)
        answers = [await asyncio.to_thread(ping, url, sid) for sid in newest]
    assert "the closed-session topic is not read to its end yet" in reasons
    assert [answer.status for answer in answers] == [410] * len(newest)


async def close_many(theatre: Stage) -> list[str]:
    """Ids of this cluster's doors, all closed; the last one of each partition is returned."""
    keys, now = SessionKeys([SECRET.encode()]), now_ms()
    producer = await theatre.clients.producer()
    newest: dict[int, str] = {}
    sent = []
    for _ in range(CLOSED):
        sid = keys.mint(now)
        partition = topics.partition_of(sid, SCALE.partitions)
        value = orjson.dumps({"closedAt": now, "reason": "end"})
        sent.append(await producer.send(topics.CLOSED.name, value, key=sid.encode(), partition=partition))
        newest[partition] = sid
    await asyncio.gather(*sent)
    await theatre.clients.discard(producer)
    return list(newest.values())


async def reasons_until_ready(door: Process, admin: str) -> set[str]:
    """Every reason the door gave against being ready, asked again and again from its start."""
    reasons: set[str] = set()

    def ask() -> bool:
        try:
            answer = request(admin, "GET", "/readyz")
        except OSError:  # not there yet
            return False
        if answer.status == 200:
            return True
        told = orjson.loads(answer.body)
        reasons.update(told["reasons"])
        return False

    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(ask):
        assert time.monotonic() < deadline, reasons
    await until(lambda: door.is_ready)
    return reasons


def ping(url: str, sid: str) -> Answer:
    body = orjson.dumps(event("ping", now_ms(), 5))
    return request(url, "POST", f"/api/v1/sessions/{sid}/events", body, {"Content-Type": "application/json"})
