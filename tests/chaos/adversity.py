"""What is done to the processes of a stage while the fleet posts, in an order drawn from a seed."""

import asyncio
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas import topics
from schemas.records import LogUnavailable
from tests.chaos.processes import Process, until
from tests.chaos.stage import Stage
from tests.contracts.kafka_harness import set_topic

FROZEN_SECONDS = 8.5
"""Longer than a worker's session timeout of 6 s and a heartbeat: its partitions go to others before it wakes."""

SQUEEZED_SECONDS = 3.0
UNKNOWN = -1
FEWEST_WORKERS, MOST_WORKERS = 3, 5
INTERNAL = ("__consumer_offsets", "__transaction_state")

KILL_WORKER, KILL_DOOR, FREEZE_WORKER = "worker killed", "door killed", "worker frozen"
ADD_WORKER, REMOVE_WORKER, STOP_DOOR = "worker added", "worker removed", "door stopped"
FREEZE_DOOR, SQUEEZE = "door frozen", "report topic squeezed"
LEADER, GROUP_COORDINATOR = "partition leader killed", "group coordinator killed"
TRANSACTION_COORDINATOR = "transaction coordinator killed"
BROKERS = (LEADER, GROUP_COORDINATOR, TRANSACTION_COORDINATOR)


class Adversity:
    """`done`: what was done how often. `recoveries()`: how long the workers took over it."""

    def __init__(self, stage: Stage, *, pause: tuple[float, float] = (0.5, 2.5)) -> None:
        self.done: Counter[str] = Counter()
        self.exits: list[tuple[str, int]] = []
        self._stage = stage
        self._pause = pause
        self._rng = random.Random(stage.seed)
        self._moments: list[tuple[str, float]] = []
        self._thawing: set[asyncio.Task[None]] = set()
        self._acts: dict[str, Callable[[], Awaitable[None]]] = {
            KILL_WORKER: self._kill_worker,
            KILL_DOOR: self._kill_door,
            FREEZE_WORKER: lambda: self._freeze(FREEZE_WORKER, self._stage.workers),
            FREEZE_DOOR: lambda: self._freeze(FREEZE_DOOR, self._stage.doors),
            ADD_WORKER: self._add_worker,
            REMOVE_WORKER: self._remove_worker,
            STOP_DOOR: self._stop_door,
            SQUEEZE: self._squeeze,
            LEADER: lambda: self._kill_broker(LEADER, self._leader),
            GROUP_COORDINATOR: lambda: self._kill_broker(GROUP_COORDINATOR, self._group_coordinator),
            TRANSACTION_COORDINATOR: lambda: self._kill_broker(TRANSACTION_COORDINATOR, self._transaction_coordinator),
        }

    def shuffled(self, wanted: dict[str, int]) -> list[str]:
        """Each so often, in an order drawn from the seed."""
        plan = [what for what, times in wanted.items() for _ in range(times)]
        self._rng.shuffle(plan)
        return plan

    async def act(self, plan: Iterable[str]) -> None:
        """One after the other, while those who were frozen sleep on; return when all are awake again."""
        try:
            for what in plan:
                self._stage.revive()
                await self._acts[what]()
                self.done[what] += 1
                await asyncio.sleep(self._rng.uniform(*self._pause))
            if self._thawing:
                await asyncio.wait(self._thawing)
        finally:
            for task in self._thawing:
                task.cancel()

    def recoveries(self) -> dict[str, list[float]]:
        """Seconds from each blow until the workers had committed all that stood on the log when it fell."""
        found: dict[str, list[float]] = defaultdict(list)
        for what, at in self._moments:
            seconds = self._stage.monitor.recovery_seconds(at)
            assert seconds is not None, f"nothing recovered after: {what}"
            found[what].append(seconds)
        return found

    def _note(self, what: str) -> None:
        if any(worker.is_frozen for worker in self._stage.workers.values()):
            what += ", another frozen"  # whose partitions stand still too, until the group puts it out
        self._moments.append((what, time.monotonic()))

    async def _victim(self, processes: dict[str, Process]) -> Process:
        """One that does its work: to kill what has not begun shows little."""
        await until(lambda: any(_works(process) for process in processes.values()))
        return self._rng.choice([process for process in processes.values() if _works(process)])

    async def _kill_worker(self) -> None:
        victim = await self._victim(self._stage.workers)
        self._note(KILL_WORKER)
        victim.kill()
        victim.start()

    async def _kill_door(self) -> None:
        victim = await self._victim(self._stage.doors)
        self._note(KILL_DOOR)
        victim.kill()
        victim.start()

    async def _freeze(self, what: str, processes: dict[str, Process]) -> None:
        victim = await self._victim(processes)
        self._note(what)
        victim.freeze()
        self._thawing.add(asyncio.create_task(_thaw_later(victim)))

    async def _add_worker(self) -> None:
        if len(self._standing_workers()) >= MOST_WORKERS:
            await self._remove_worker()
        self._stage.add_worker()

    async def _remove_worker(self) -> None:
        if len(self._standing_workers()) <= FEWEST_WORKERS:
            self._stage.add_worker()
        victim = await self._victim(self._stage.workers)
        self._note(REMOVE_WORKER)
        del self._stage.workers[victim.name]
        await self._stop(victim)

    async def _stop_door(self) -> None:
        victim = await self._victim(self._stage.doors)
        await self._stop(victim)
        victim.start()

    async def _stop(self, victim: Process) -> None:
        self.exits.append((victim.name, await victim.stop()))
        assert "cut short" not in victim.last_words(), "it did not drain within its grace"

    async def _squeeze(self) -> None:
        """For a while the broker refuses every row of some report topic."""
        topic = self._rng.choice((topics.SESSION_START, topics.SESSION_CLOSE, topics.HEARTBEAT)).name
        self._note(SQUEEZE)
        await set_topic(self._stage.clients, topic, "max.message.bytes", "100")
        await asyncio.sleep(SQUEEZED_SECONDS)
        await set_topic(self._stage.clients, topic, "max.message.bytes", "1048588")

    def _standing_workers(self) -> list[Process]:
        return [worker for worker in self._stage.workers.values() if worker.is_alive]

    async def _kill_broker(self, what: str, find: Callable[[AIOKafkaClient], Awaitable[int]]) -> None:
        cluster = self._stage.cluster
        await self._all_copies_in_step()
        node = await self._found(find)
        self._note(what)
        cluster.signal(node, signal.SIGKILL)
        await asyncio.sleep(self._rng.uniform(0.5, 3.0))
        cluster.launch(node)

    async def _found(self, find: Callable[[AIOKafkaClient], Awaitable[int]]) -> int:
        """The node, asked of the cluster until it says which: who has just come back may not answer yet."""
        async with asyncio.timeout(60):
            while True:
                with suppress(KafkaError, LogUnavailable):
                    client = await self._stage.clients.connection()
                    try:
                        node = await find(client)
                    finally:
                        await client.close()
                    if node in self._stage.cluster.nodes:
                        return node
                await asyncio.sleep(0.1)

    async def _leader(self, client: AIOKafkaClient) -> int:
        client.add_topic(topics.EVENTS.name)
        await client.force_metadata_update()
        partition = self._rng.randrange(self._stage.scale.partitions)
        return client.cluster.leader_for_partition(TopicPartition(topics.EVENTS.name, partition)) or UNKNOWN

    async def _group_coordinator(self, client: AIOKafkaClient) -> int:
        return int(await client.coordinator_lookup(CoordinationType.GROUP, self._stage.group))

    async def _transaction_coordinator(self, client: AIOKafkaClient) -> int:
        partition = self._rng.randrange(self._stage.scale.partitions)
        transactional_id = f"{self._stage.group}-{topics.EVENTS.name}-{partition}"
        return int(await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id))

    async def _all_copies_in_step(self) -> None:
        """Two of three must be well: who kills the second one tests Kafka's waiting, not our recovery."""
        async with asyncio.timeout(120):
            while not await self._copies_in_step():  # noqa: ASYNC110  the broker tells nobody
                await asyncio.sleep(0.2)

    async def _copies_in_step(self) -> bool:
        try:
            admin = await self._stage.clients.admin()
        except LogUnavailable:  # it asks the node that was killed before
            return False
        try:
            described = await admin.describe_topics([topics.EVENTS.name, *INTERNAL])
        except KafkaError:
            return False
        finally:
            await admin.close()
        copies = len(self._stage.cluster.ports)
        return all(len(partition["isr"]) == copies for topic in described for partition in topic["partitions"])


async def _thaw_later(victim: Process) -> None:
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        victim.thaw()


def _works(process: Process) -> bool:
    return process.is_ready and not process.is_frozen
