"""A node's properties: small, quick to start, quick to notice a death."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Which node of which loopback cluster, and where its data lie."""

    node: int
    ports: tuple[tuple[int, int], ...]
    data: Path


def properties(layout: Layout, settings: dict[str, str]) -> str:
    """The server.properties of one node; `settings` have the last word."""
    client, controller = layout.ports[layout.node - 1]
    copies = len(layout.ports)
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, (_, port) in enumerate(layout.ports, start=1))
    values = {
        "process.roles": "broker,controller",
        "node.id": str(layout.node),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(layout.data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(min(2, copies)),
        # Fifty partitions of each internal topic cost seconds on two cores.
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.num.partitions": "3",
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(min(2, copies)),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(min(2, copies)),
        # A death is noticed in seconds, a small group does not wait for more members.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # The cleaner's default buffer alone would fill a small heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.segment.bytes": "67108864",
        "num.network.threads": "2",
        "num.io.threads": "2",
        **settings,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
