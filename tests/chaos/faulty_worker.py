"""`python -m tests.chaos.faulty_worker FAULT worker ...`: a worker wired with one of the mistakes that lose or double.

The product has no switch for any of them: they live here, so that the suite can show that it would see them.
"""

import asyncio
import sys
import uuid
from collections.abc import Sequence
from typing import ClassVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy import kafka_transaction, wiring_kafka
from deploy.__main__ import main
from deploy.kafka_client import KafkaClients
from deploy.kafka_settings import kafka_clients
from deploy.settings import Settings
from processors.kafka_lane import Origin
from schemas.records import Record

AUTO_COMMIT_SECONDS = 5.0
"""What Kafka's own consumers leave between two commits unless told otherwise."""


class NamedByIncarnation(KafkaClients):
    """A new transactional id each time a worker starts: a successor fences nobody."""

    incarnation = uuid.uuid4().hex

    async def producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        return await super().producer(f"{transactional_id}-{self.incarnation}")


class OffsetsApart(KafkaClients):
    """Rows and state in a transaction, the consumed offset beside it, now and then, as a consumer's auto-commit does."""

    consumed: ClassVar[dict[TopicPartition, int]] = {}
    committing: ClassVar[set[asyncio.Task[None]]] = set()

    async def transact(
        self, producer: AIOKafkaProducer, records: Sequence[Record], origin: Origin, next_offset: int
    ) -> bool:
        self.consumed[TopicPartition(origin.topic, origin.partition)] = next_offset
        transaction = kafka_transaction.Transaction(producer, origin, next_offset)
        transaction._offset_is_due = False
        if records:
            await transaction.run(records)
        return True

    def group_consumer(self, group: str, slot: str) -> AIOKafkaConsumer:
        consumer = super().group_consumer(group, slot)
        self.committing.add(asyncio.get_running_loop().create_task(self._auto_commit(consumer)))
        return consumer

    async def _auto_commit(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(AUTO_COMMIT_SECONDS)
            ours = {tp: offset for tp, offset in self.consumed.items() if tp in consumer.assignment()}
            try:
                await consumer.commit(ours)
            except KafkaError:  # a rebalance: the next time, then
                continue


class Unawaited(KafkaClients):
    """Rows are handed to the producer, and nobody asks what became of them."""

    async def transact(
        self, producer: AIOKafkaProducer, records: Sequence[Record], origin: Origin, next_offset: int
    ) -> bool:
        transaction = kafka_transaction.Transaction(producer, origin, next_offset)
        written = transaction._written

        async def and_forget() -> list[kafka_transaction.Said]:
            await written()
            transaction._batches.clear()
            return []

        transaction._written = and_forget  # type: ignore[method-assign]
        await transaction.run(records)
        return True


FAULTS = {"named-by-incarnation": NamedByIncarnation, "offsets-apart": OffsetsApart, "unawaited": Unawaited}

if __name__ == "__main__":
    fault = FAULTS[sys.argv[1]]

    def faulty_clients(settings: Settings) -> KafkaClients:
        honest = kafka_clients(settings)
        return fault(honest.bootstrap, honest.security)

    wiring_kafka.kafka_clients = faulty_clients
    sys.exit(main(sys.argv[2:]))
