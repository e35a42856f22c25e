"""Simulated Roundware clients before two doors on Kafka, while a worker is killed: every row equal to a truth of its own."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from tests.contracts.kafka_harness import fresh_topics
from tests.e2e.running import environment, eventually
from tests.e2e.test_fleet import PATIENCE_SECONDS
from tests.e2e.test_kafka import Part, door, lines, part

PARTITIONS = 4
TIMEOUTS = ("--roundware-idle-timeout", "2", "--heartbeat-interval", "0.5", "--reorder-window", "0.5")


@pytest.fixture
def bootstrap(kafka_broker: Cluster) -> str:
    asyncio.run(fresh_topics(KafkaClients(kafka_broker.bootstrap), PARTITIONS))
    return kafka_broker.bootstrap


def test_a_worker_is_killed_under_roundware_clients_who_meet_another_door_each_time(
    bootstrap: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:

        def worker(slot: str) -> Part:
            log = tmp_path / f"{slot}.log"
            return stack.enter_context(part("worker", bootstrap, log, "--slot", slot, *TIMEOUTS))

        doors = [stack.enter_context(door(bootstrap, tmp_path)) for _ in range(2)]
        victim, _ = worker("victim"), worker("other")
        urls = [flag for one in doors for flag in ("--url", one.url)]
        log = ("--bootstrap", bootstrap)
        flags = ("--dialect", "roundware", "--sessions", "20", "--seed", "8", "--check", "--patience", "60")
        fleet = subprocess.Popen(
            [sys.executable, "-m", "deploy", "fleet", *urls, *flags, *log, *TIMEOUTS],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        stack.callback(fleet.kill)
        eventually(lambda: len(lines(bootstrap, "session-start")) > 5)
        victim.kill()
        worker("victim")
        said, _ = fleet.communicate(timeout=PATIENCE_SECONDS)
        assert fleet.returncode == 0, said
        assert "every row of" in said
        assert " x 400" not in said
        assert " x 500" not in said
