"""`python -m tests.bench.door_log BOOTSTRAP RATE`: the door's log alone, its records due as the door's requests are.

No HTTP, no validation, no generator beside the broker: what stays of a latency here is the wait for the next flush and
the broker's answer. Prints one JSON object, as `door_load` does.
"""

import argparse
import asyncio
import time

import orjson

from deploy import loop
from deploy.kafka_client import KafkaClients
from deploy.kafka_log import door_log
from deploy.process import calm_collector
from ingest.kafka import KafkaLog
from schemas import topics
from schemas.records import Record
from tests.bench.door_load import at, stolen_seconds

TICK = 0.001
VALUE = bytes(400)  # as large as the envelope of one of the benchmark's events


class Due:
    """Records that are due at fixed moments, and how long after it each was durable."""

    def __init__(self, log: KafkaLog, rate: float) -> None:
        self._log, self._step = log, 1 / rate
        self._next_due = time.perf_counter()
        self._sent = 0
        self._waiting: dict[asyncio.Future[str | None], list[float]] = {}
        self.latencies: list[float] = []

    async def run(self, seconds: float) -> None:
        self.latencies = []
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            while self._next_due <= now:
                self._begin(self._next_due)
                self._next_due += self._step
            await asyncio.sleep(TICK)
        while self._waiting:
            await asyncio.wait(self._waiting)

    def _begin(self, due_at: float) -> None:
        self._sent += 1
        future = self._log.begin(Record(topics.EVENTS.name, self._sent * 7 % self._log.partitions, bytes(64), VALUE))
        if future not in self._waiting:
            self._waiting[future] = []
            future.add_done_callback(self._over)
        self._waiting[future].append(due_at)

    def _over(self, future: "asyncio.Future[str | None]") -> None:
        assert future.result() is None, future.result()
        now = time.perf_counter()
        self.latencies += [now - due_at for due_at in self._waiting.pop(future)]


async def run(bootstrap: str, rate: float, seconds: float) -> None:
    async with door_log(KafkaClients(bootstrap)) as log:
        calm_collector()
        due = Due(log, rate)
        await due.run(1.0)
        stolen, since = stolen_seconds(), time.perf_counter()
        await due.run(seconds)
        latencies = sorted(due.latencies)
        found = {"per_second": len(latencies) / (time.perf_counter() - since)}
        found |= {"p50_ms": at(latencies, 0.50), "p99_ms": at(latencies, 0.99)}
        print(orjson.dumps(found | {"stolen_ms": (stolen_seconds() - stolen) * 1000}).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("rate", type=float)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    loop.run(run(given.bootstrap, given.rate, given.seconds))
