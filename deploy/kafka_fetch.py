"""Committed records of chosen partitions, fetched ahead: one request a broker for all of them."""

import asyncio
import contextlib
import logging
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import TopicPartition

from deploy.kafka_client import ClusterUnwell, KafkaClients
from deploy.kafka_cursor import AHEAD_BYTES, Cursor, wall_ms
from deploy.kafka_wire import committed as committed_offset
from deploy.kafka_wire import end as end_offset
from deploy.kafka_wire import fetch
from deploy.kafka_wire import start as start_offset
from schemas.records import LogUnavailable

REQUEST_TIMEOUT_MS: Final = 3_000
LONG_POLL_MS: Final = 250
SHORT_POLL_MS: Final = 10
LITTLE_BYTES: Final = 64 * 1024
BREATH_SECONDS: Final = 0.02
"""After an answer with little in it the next question waits so long: under a steady trickle there would be one for
every few records, each dearer than a hundred of them. Rows come no later by it, as lanes commit every 100 ms."""

LOOK_SECONDS: Final = 0.5
"""How soon a change of leaders is seen."""

ASK_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Tail:
    """All cursors of a process. A broker that is away delays only the partitions it leads."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._client: AIOKafkaClient | None = None
        self._cursors: dict[TopicPartition, Cursor] = {}
        self._loops: dict[int, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._wakes: list[asyncio.Event] = []
        self._opening = asyncio.Lock()

    async def cursor(self, topic: str, partition: int, offset: int, arrived: asyncio.Event | None = None) -> Cursor:
        """Start reading a partition, taking it over from whoever reads it in this process.

        `arrived` is set when something came: one event may serve several cursors.
        """
        client = await self.client(topic)
        tp = TopicPartition(topic, partition)
        if partition not in (client.cluster.partitions_for_topic(topic) or ()):
            raise LogUnavailable(f"there is no {tp}")
        cursor = self._cursors[tp] = Cursor(self, tp, offset, arrived or asyncio.Event())
        self.wake()
        return cursor

    def reads(self, cursor: Cursor) -> bool:
        return self._cursors.get(cursor.tp) is cursor

    async def partitions(self, topic: str) -> int:
        client = await self.client(topic)
        return len(client.cluster.partitions_for_topic(topic) or ())

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset there is, and the one after the last committed record."""
        client = await self.client(topic)
        tp = TopicPartition(topic, partition)
        first: int = await self._ask(f"where partition {partition} of {topic} begins", start_offset, client, tp)
        return first, await self._ask(f"where partition {partition} of {topic} ends", end_offset, client, tp)

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """The offset a group has stored; None when it has none. Fence the lane's producer first."""
        client = await self.client(topic)
        wanted = f"how far {group} has read partition {partition} of {topic}"
        tp = TopicPartition(topic, partition)
        offset: int | None = await self._ask(wanted, committed_offset, client, tp, group)
        return offset

    async def client(self, topic: str) -> AIOKafkaClient:
        """The connection, with this topic in its metadata. LogUnavailable when there is neither."""
        async with self._opening:
            if self._client is None:
                self._client = await self._clients.connection(REQUEST_TIMEOUT_MS)
                self._watch = asyncio.create_task(self._spread())
        if self._client.cluster.partitions_for_topic(topic) is None:
            wanted = f"which partitions {topic} has (`mediabeat topics check` says whether it exists)"
            await self._ask(wanted, _know, self._client, topic)
        return self._client

    def drop(self, cursor: Cursor) -> None:
        if self.reads(cursor):
            del self._cursors[cursor.tp]

    def wake(self) -> None:
        """Something may be fetchable that was not."""
        for event in self._wakes:
            event.set()

    async def close(self) -> None:
        """Stop fetching; never raises."""
        tasks = [task for task in (self._watch, *self._loops.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._cursors.clear()
        if self._client is not None:
            await asyncio.wait([asyncio.ensure_future(self._client.close())], timeout=2)

    async def _ask(self, wanted: str, question: Any, client: AIOKafkaClient, *arguments: Any) -> Any:
        """Put a question to the cluster again and again until it is answered or time is up; `wanted` says which."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                while True:
                    try:
                        return await question(client, *arguments)
                    except KafkaError:
                        client.force_metadata_update()
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise ClusterUnwell(f"Kafka did not say in {ASK_SECONDS:g} s {wanted}") from None

    async def _spread(self) -> None:
        """Keep one fetch loop for each broker that leads something."""
        wake = asyncio.Event()
        self._wakes.append(wake)
        known: dict[TopicPartition, int | None] = {}
        while True:
            assert self._client is not None
            leaders = {tp: self._leader(tp) for tp in self._cursors}
            if leaders != known:  # a loop without partitions sleeps until it is woken
                known = leaders
                self.wake()
            nodes = set(leaders.values())
            if None in nodes:
                self._client.force_metadata_update()
            for node in nodes - self._loops.keys() - {None}:
                assert node is not None
                self._loops[node] = asyncio.create_task(self._poll(node))
            wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1 if None in nodes else LOOK_SECONDS):
                    await wake.wait()

    def _leader(self, tp: TopicPartition) -> int | None:
        assert self._client is not None
        node: int | None = self._client.cluster.leader_for_partition(tp)
        return None if node is None or node < 0 else node

    async def _poll(self, node: int) -> None:
        """Fetch for ever what this broker leads."""
        assert self._client is not None
        wake = asyncio.Event()
        self._wakes.append(wake)
        while True:
            wake.clear()
            led = [cursor for cursor in self._cursors.values() if self._leader(cursor.tp) == node]
            hungry = [cursor for cursor in led if cursor.waiting_bytes < AHEAD_BYTES]
            if not hungry:
                await wake.wait()
                continue
            try:
                # A full cursor may be emptied any moment: then it should not wait for the others' long poll.
                size = await self._fetch(node, hungry, LONG_POLL_MS if len(hungry) == len(led) else SHORT_POLL_MS)
            except KafkaError:
                size = None
            except Exception:
                logger.exception("reading from broker %d failed", node)
                size = None
            if size is None:
                self._client.force_metadata_update()
                await asyncio.sleep(0.05)
            elif 0 < size < LITTLE_BYTES:
                await asyncio.sleep(BREATH_SECONDS)

    async def _fetch(self, node: int, cursors: list[Cursor], wait_ms: int) -> int | None:
        """One request and its answers: how many bytes came; None when a partition answered with an error."""
        assert self._client is not None
        asked = [(cursor, cursor.ahead, cursor.seeks) for cursor in cursors]
        asked_at = wall_ms()
        answers = await fetch(self._client, node, {cursor.tp: offset for cursor, offset, _ in asked}, wait_ms)
        for cursor, offset, seeks in asked:
            answer = answers.get(cursor.tp)
            # A seek, or a second answer after its leader changed, has made an answer old.
            if answer is not None and self.reads(cursor) and (cursor.ahead, cursor.seeks) == (offset, seeks):
                cursor.accept(answer, asked_at)
        if any(answer.error is not None for answer in answers.values()):
            return None
        return sum(answer.size for answer in answers.values())


async def _know(client: AIOKafkaClient, topic: str) -> None:
    client.add_topic(topic)
    await client.force_metadata_update()
    if client.cluster.partitions_for_topic(topic) is None:
        raise for_code(3)
