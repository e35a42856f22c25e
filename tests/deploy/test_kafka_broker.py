"""The broker for developers: from pinned jars, started once, stopped cleanly, its data kept."""

import shutil
from pathlib import Path

import pytest

from deploy.broker import __main__ as command
from deploy.broker import jars
from deploy.broker.cluster import Cluster
from deploy.broker.node import Layout, properties
from deploy.kafka_client import KafkaClients
from schemas import topics
from tests.contracts.kafka_harness import committed_records, fresh_topics
from tests.kafka_broker import bury_the_dead, free_ports


async def write(clients: KafkaClients, value: bytes) -> None:
    producer = await clients.producer()
    await producer.send_and_wait(topics.EVENTS.name, value, partition=0)
    await clients.discard(producer)


def test_start_is_idempotent_and_a_stop_keeps_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    port, _ = free_ports(2)
    where = ["--port", str(port), "--dir", str(tmp_path)]
    clients = KafkaClients(f"127.0.0.1:{port}")
    try:
        assert command.main(["status", *where]) == 1
        assert command.main(["start", *where]) == 0
        assert command.main(["start", *where]) == 0
        assert "is ready" in (said := capsys.readouterr().out)
        assert "runs already" in said
        asyncio.run(fresh_topics(clients, 1))
        asyncio.run(write(clients, b"kept"))
        assert command.main(["stop", *where]) == 0
        assert command.main(["status", *where]) == 1
        assert command.main(["stop", *where]) == 0
        assert "was not running" in capsys.readouterr().out
        assert command.main(["start", *where]) == 0
        kept = asyncio.run(committed_records(clients, topics.EVENTS.name, 0))
        assert [record.value for record in kept] == [b"kept"]
    finally:
        command.main(["stop", *where])


def test_a_jar_that_is_not_the_pinned_file_is_not_used(tmp_path: Path) -> None:
    home = tmp_path / "libs"
    shutil.copytree(jars.jars(), home)
    assert jars._wrong(home) is None
    victim = home / min(jars.pinned())
    victim.write_bytes(victim.read_bytes() + b"x")
    assert victim.name in (jars._wrong(home) or "")
    victim.unlink()
    assert victim.name in (jars._wrong(home) or "")


def test_damaged_jars_are_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = jars.jars()

    def copied(libs: Path) -> None:
        shutil.copytree(sound, libs, dirs_exist_ok=True)

    def absent(_: Path) -> None:
        raise jars.JarsUnavailable("Maven is not installed")

    monkeypatch.setattr(jars, "_with_maven", absent)
    monkeypatch.setattr(jars, "_with_jgo", copied)
    home = jars.jars(tmp_path)
    (home / "strange.jar").write_bytes(b"")
    assert jars._wrong(jars.jars(tmp_path)) is None
    monkeypatch.setattr(jars, "_with_jgo", absent)
    (home / "strange.jar").write_bytes(b"")
    with pytest.raises(jars.JarsUnavailable, match="no jars"):
        jars.jars(tmp_path)


def test_without_java_the_runtime_of_the_python_package_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars.shutil, "which", lambda _: None)
    assert Path(jars.java()).is_file()


def test_a_pid_file_of_another_process_is_not_taken_for_the_broker(tmp_path: Path) -> None:
    import os

    cluster = Cluster.on(tmp_path, 1)
    (cluster.home / "node-1").mkdir(parents=True)
    (cluster.home / "node-1" / "pid").write_text(str(os.getpid()))
    assert cluster.pid(1) is None


def test_what_a_killed_test_run_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import kafka_broker

    monkeypatch.setattr(kafka_broker, "RUNS", tmp_path)
    left = tmp_path / "99999999-x" / "node-1"
    left.mkdir(parents=True)
    bury_the_dead()
    assert list(tmp_path.iterdir()) == []


def test_a_node_of_three_asks_for_three_copies_acknowledged_by_two() -> None:
    ports = ((1, 2), (3, 4), (5, 6))
    text = properties(Layout(2, ports, Path("/d")), {"num.io.threads": "9"})
    told = dict(line.split("=", 1) for line in text.splitlines())
    assert told["controller.quorum.voters"] == "1@127.0.0.1:2,2@127.0.0.1:4,3@127.0.0.1:6"
    assert told["min.insync.replicas"] == told["transaction.state.log.min.isr"] == "2"
    assert told["offsets.topic.replication.factor"] == "3"
    assert told["advertised.listeners"] == "PLAINTEXT://127.0.0.1:3"
    assert told["num.io.threads"] == "9"
