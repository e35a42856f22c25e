"""The lanes' log on Kafka: who owns which partition, and one fenced, transactional lane for each."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from processors.kafka_lane import KafkaLane, Origin, Producers, Tail
from schemas import topics
from schemas.records import LogUnavailable

logger = logging.getLogger(__name__)

CONTESTED_SECONDS: Final = 3.0
"""A worker that was out of the group without noticing hears of it at its next heartbeat, every two seconds."""


class Membership(Protocol):
    """A place in the group, given back by its process ending, not by leaving."""

    async def close(self) -> None: ...


class Groups(Protocol):
    """Opens memberships."""

    async def member(self, group: str, slot: str, topic: str, assigned: Callable[[frozenset[int]], None]) -> Membership:
        """Join as the static member `slot`; `assigned` is called at every assignment. LogUnavailable."""
        ...


class KafkaLaneGroup:
    """See LaneGroup. Open it with `open`; one a process."""

    def __init__(self, producers: Producers, tail: Tail, name: str, topic: str, partitions: int) -> None:
        self.partitions = partitions
        self.name = name
        self._producers = producers
        self._tail = tail
        self._topic = topic
        self._owned: frozenset[int] | None = None
        self._changed = asyncio.Condition()
        self._fenced_at: dict[int, float] = {}
        self._membership: Membership | None = None
        self._closed = False
        self._lanes: set[KafkaLane] = set()
        self._announcing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls, groups: Groups, producers: Producers, tail: Tail, *, name: str, slot: str, topic: str = topics.EVENTS.name
    ) -> "KafkaLaneGroup":
        """Join the group. LogUnavailable when there is no broker, no topic, or no assignment in time."""
        group = cls(producers, tail, name, topic, await tail.partitions(topic))
        group._membership = await groups.member(name, slot, topic, group.assigned)
        return group

    def assigned(self, partitions: frozenset[int]) -> None:
        """The group has settled on this. Between a revocation and this call the lanes go on.

        A lane whose partition went elsewhere meanwhile is fenced there before anything is read, so it can do no harm.
        """
        self._owned = partitions
        self._fenced_at.clear()
        task = asyncio.get_running_loop().create_task(self._announce())
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def assignments(self) -> AsyncIterator[frozenset[int]]:
        """See LaneGroup.assignments."""
        told: frozenset[int] | None = None
        while True:
            async with self._changed:
                while self._owned == told and not self._closed:
                    await self._changed.wait()
                if self._closed:
                    return
                told = self._owned
            if told is not None:
                yield told

    async def open_lane(self, partition: int) -> KafkaLane:
        """See LaneGroup.open_lane."""
        await self._uncontested(partition)
        identity = f"{self.name}-{self._topic}-{partition}"
        origin = Origin(self.name, self._topic, partition, identity)
        lane = KafkaLane(self._producers, self._tail, origin, self._lane_fenced)
        await lane.open()
        self._lanes = {other for other in self._lanes if not other.closed} | {lane}
        return lane

    async def close(self) -> None:
        """See LaneGroup.close."""
        self._closed = True
        await self._announce()
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        membership, self._membership = self._membership, None
        if membership is not None:
            await membership.close()

    def _lane_fenced(self, partition: int) -> None:
        self._fenced_at[partition] = time.monotonic()

    async def _uncontested(self, partition: int) -> None:
        """Who was fenced may have lost the partition without having heard of it: to take it back would be a fight."""
        fenced_at = self._fenced_at.get(partition)
        if fenced_at is not None:
            remaining = fenced_at + CONTESTED_SECONDS - time.monotonic()
            try:
                async with asyncio.timeout(max(remaining, 0)), self._changed:
                    await self._changed.wait_for(lambda: self._closed or partition not in self._fenced_at)
            except TimeoutError:
                self._fenced_at.pop(partition, None)  # still a member, and still told that it is ours
        if self._closed or (self._owned is not None and partition not in self._owned):
            raise LogUnavailable(f"partition {partition} is no longer this worker's")

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()
