"""`python -m deploy.broker start|stop|status`: a Kafka for this machine."""

# ruff: noqa: T201  (a command prints)

import argparse
import sys
from pathlib import Path

from deploy.broker.cluster import BrokerFailed, Cluster
from deploy.broker.jars import JarsUnavailable


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.broker", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="a three-node cluster survives one")
    parser.add_argument("--port", type=int, default=9092, help="clients connect here (and to +2, +4)")
    parser.add_argument("--dir", type=Path, default=Path(".kafka"), help="data, logs and process ids")
    given = parser.parse_args(arguments)
    cluster = Cluster.on(given.dir, given.port, given.nodes)
    try:
        return ACTIONS[given.action](cluster)
    except (BrokerFailed, JarsUnavailable) as failure:
        print(failure, file=sys.stderr)
        return 1


def _start(cluster: Cluster) -> int:
    fresh = cluster.start()
    print(f"Kafka {'is ready' if fresh else 'runs already'}: {cluster.bootstrap}")
    return 0


def _stop(cluster: Cluster) -> int:
    print("Kafka stopped" if cluster.stop() else "Kafka was not running")
    return 0


def _status(cluster: Cluster) -> int:
    pids = {node: cluster.pid(node) for node in cluster.nodes}
    for node, pid in pids.items():
        print(f"node {node}: {'stopped' if pid is None else f'running, process {pid}'}")
    return 0 if all(pids.values()) else 1


ACTIONS = {"start": _start, "stop": _stop, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
