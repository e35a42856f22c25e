"""Where a replay of rejects on Kafka keeps its place: the offsets of the group `<GROUP>-replay`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, NoError, for_code
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest

from deploy.failure import Failure
from deploy.kafka_client import KafkaClients
from deploy.replay import Settled
from schemas import topics
from schemas.records import LogUnavailable

METADATA_BYTES: Final = 4_000
"""Below the broker's default limit of what a group may note beside an offset (4,096)."""

PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2

Found = TypeVar("Found")


class KafkaPositions:
    """Implements `deploy.replay.Positions`.

    The offset of a partition is that below which every reject is settled; what is settled beyond it stands in the
    metadata beside it. A consumer that only knows offsets sends some rejects twice and forgets none.
    """

    def __init__(self, clients: KafkaClients, group: str) -> None:
        self._clients = clients
        self._group = f"{group}-replay"
        self._client: AIOKafkaClient | None = None
        self._saved: dict[int, str] = {}

    async def load(self) -> dict[int, Settled]:
        try:
            found = await self._ask(self._fetch)
            self._saved = {partition: text for partition, text in found.items() if text}
            return {partition: Settled(text) for partition, text in self._saved.items()}
        except ValueError as error:
            raise Failure(
                f"group {self._group} holds offsets that are not a replay's ({error}): use another GROUP"
            ) from error

    async def save(self, settled: dict[int, Settled]) -> None:
        changed = {partition: runs for partition, runs in settled.items() if runs.text() != self._saved.get(partition)}
        for partition, runs in changed.items():
            if len(runs.text()) > METADATA_BYTES:
                raise Failure(
                    f"partition {partition} of the rejects is settled in too many pieces to remember: "
                    "replay without --since and --code first"
                )
        if changed:
            await self._ask(self._commit, changed)
            self._saved |= {partition: runs.text() for partition, runs in changed.items()}

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _fetch(self, client: AIOKafkaClient, node: int) -> dict[int, str]:
        partitions = sorted(client.cluster.partitions_for_topic(topics.REJECTS.name) or ())
        request = OffsetFetchRequest(self._group, [(topics.REJECTS.name, partitions)])
        response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        _raise_for(getattr(response, "error_code", 0))
        found = {}
        for _, answers in response.topics:
            for partition, _, metadata, code in answers:
                _raise_for(code)
                found[partition] = metadata or ""
        return found

    async def _commit(self, client: AIOKafkaClient, node: int, settled: dict[int, Settled]) -> None:
        notes = [(partition, runs.next_offset(), runs.text()) for partition, runs in settled.items()]
        nobody = OffsetCommitRequest.DEFAULT_GENERATION_ID  # no member of the group: nothing is assigned in it
        kept = OffsetCommitRequest.DEFAULT_RETENTION_TIME
        request = OffsetCommitRequest(self._group, nobody, "", kept, [(topics.REJECTS.name, notes)])
        response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        for _, answers in response.topics:
            for _, code in answers:
                _raise_for(code)

    async def _ask(self, question: Callable[..., Awaitable[Found]], *arguments: Any) -> Found:
        """Put a question to the group's coordinator until it is answered or time is up."""
        reason = "it does not answer in time"
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        client = await self._connected()
                        node = await client.coordinator_lookup(CoordinationType.GROUP, self._group)
                        return await question(client, node, *arguments)
                    except KafkaError as error:
                        reason = repr(error)
                        await asyncio.sleep(_PAUSE_SECONDS)
        except (TimeoutError, LogUnavailable) as away:
            raise Failure(f"Kafka does not keep the place of the replay ({away or reason}): try again") from away

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            self._client = await self._clients.connection()
        if self._client.cluster.partitions_for_topic(topics.REJECTS.name) is None:
            await self._client.add_topic(topics.REJECTS.name)
            await self._client.force_metadata_update()
        return self._client


def _raise_for(code: int) -> None:
    error = for_code(code)
    if error is not NoError:
        raise error
