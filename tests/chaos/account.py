"""What is left when a run is over: counted from the topics by a plain read_committed consumer, and judged by the fleet.

The consumer is aiokafka's own and shares no code with our readers.
"""

import asyncio
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from deploy.fleet import check
from deploy.fleet.judgement import Verdict
from deploy.fleet.posting import Journal
from deploy.kafka_reader import kafka_reader
from schemas import topics
from tests.chaos.processes import until
from tests.chaos.stage import Stage

SHOWN = 15
AFTER_SECONDS = 6.0
"""Lanes trail the wall by the 3 s that a door may take to append."""

ROW_TOPICS = [topic.name for topic in topics.REPORTS if topic is not topics.AUDIENCE]


@dataclass(slots=True)
class Account:
    """`doubled`: `_id`s that stand there more than once. `lost`: acknowledged events that the log does not hold.

    `broken_chains`: rows whose revisions do not count 0, 1, 2 ... in the order of their offsets.
    """

    acknowledged: int = 0
    events: int = 0
    lost: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    doubled: list[str] = field(default_factory=list)
    broken_chains: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    answers: Counter[int] = field(default_factory=Counter)

    def print(self, title: str, recoveries: dict[str, list[float]], done: Counter[str]) -> None:
        print(f"\n== {title}")
        print("done: " + ", ".join(f"{times} x {what}" for what, times in sorted(done.items())))
        for what, seconds in sorted(recoveries.items()):
            print(f"recovery after {what}: median {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s")
        print(f"events: {self.acknowledged} acknowledged, {self.events} on the topic, {self.lost} lost")
        print(
            "answers: " + ", ".join(f"{times} x {status or 'none'}" for status, times in sorted(self.answers.items()))
        )
        print("rows: " + ", ".join(f"{number} {kind}" for kind, number in sorted(self.rows.items())))
        kinds = Counter(problem.what for problem in self.verdict.problems)
        print(f"doubled: {len(self.doubled)}, broken chains: {len(self.broken_chains)}")
        print(f"sessions judged: {self.verdict.counts['sessions']}, differences from the truth: {dict(kinds)}")
        for problem in self.verdict.problems[:SHOWN]:
            print(f"  {problem}")
        print(end="", flush=True)

    def assert_whole(self) -> None:
        assert self.lost == 0
        assert self.doubled == []
        assert self.broken_chains == []
        assert [str(problem) for problem in self.verdict.problems] == []
        assert self.verdict.open_sessions() == 0
        assert self.rows["session-close"] > 0


async def take_account(stage: Stage) -> Account:
    """Wait until the workers have nothing left to do, and compare."""
    load_over = time.monotonic()
    await until(lambda: stage.monitor.has_caught_up(load_over))
    scale, journals = stage.scale, stage.journals()
    # Until every session has run out of time. A judgement of thousands of rows takes long itself: one is to do.
    await asyncio.sleep(load_over + max(scale.idle + scale.grace, scale.window) + AFTER_SECONDS - time.monotonic())
    reader = await kafka_reader(stage.clients)
    try:
        verdict = await check.check(
            reader,
            scale.partitions,
            journals,
            scale.timeouts(),
            since=0,
            patience=check.Patience(for_closing=20, for_rows=20),
            said=lambda _: None,
        )
    finally:
        await reader.close()
    account = Account(verdict=verdict)
    for journal in journals:
        account.answers.update(journal.statuses)
    await _count_events(stage, journals, account)
    await _count_rows(stage, account)
    if verdict.problems:
        await _keep_evidence(stage)
    return account


async def _keep_evidence(stage: Stage) -> None:
    """Beside the logs, what the topics held: the brokers' data go with the run."""
    path = stage.home / "topics.jsonl"
    with path.open("wb") as lines:
        async for record in _committed(stage, [topics.EVENTS.name, topics.REJECTS.name, *ROW_TOPICS]):
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            value = orjson.Fragment(record.value)
            lines.write(orjson.dumps({**place, "timestamp": record.timestamp, "value": value}) + b"\n")
    print(f"what the topics held: {path}", flush=True)


async def _count_events(stage: Stage, journals: Iterable[Journal], account: Account) -> None:
    logged: Counter[tuple[str, Any]] = Counter()
    elements: dict[str, set[int]] = defaultdict(set)
    sizes: dict[str, int] = {}
    async for record in _committed(stage, [topics.EVENTS.name]):
        envelope = orjson.loads(record.value)
        account.events += 1
        logged[envelope["sid"], orjson.dumps(envelope["event"])] += 1
        if envelope["source"] == "batch":
            elements[envelope["sid"]].add(envelope["batch"]["index"])
            sizes[envelope["sid"]] = envelope["batch"]["of"]
    acknowledged: Counter[tuple[str, Any]] = Counter()
    for journal in journals:
        acknowledged.update((sid, orjson.dumps(orjson.loads(body))) for sid, body in journal.acknowledged)
    batches = {journal.batch[0] for journal in journals if journal.batch}
    account.acknowledged = acknowledged.total() + sum(sizes.get(sid, 1) for sid in batches)
    account.lost = sum((acknowledged - logged).values())
    account.lost += sum(sizes.get(sid, 1) - len(elements[sid]) for sid in batches)


async def _count_rows(stage: Stage, account: Account) -> None:
    ids: Counter[str] = Counter()
    chains: dict[str, list[int]] = defaultdict(list)
    async for record in _committed(stage, ROW_TOPICS):
        row = orjson.loads(record.value)
        ids[row["_id"]] += 1
        ours = row["mediabeat"]
        account.rows[ours["kind"]] += 1
        if ids[row["_id"]] == 1:  # a doubled row is named as such
            chains[row["_id"].rpartition(":")[0]].append(ours["revision"])
    account.doubled = [row_id for row_id, times in ids.items() if times > 1]
    account.broken_chains = [name for name, revisions in chains.items() if revisions != list(range(len(revisions)))]


async def _committed(stage: Stage, names: list[str]) -> AsyncIterator[Any]:
    """Every committed record of these topics, each partition's in offset order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stage.cluster.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        tps = [TopicPartition(name, partition) for name in names for partition in range(stage.scale.partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if record.value is not None:
                        yield record
    finally:
        await consumer.stop()
