"""`python -m tests.chaos.faulty_worker FAULT worker ...`: a worker wired with one of the mistakes that lose or double.

The product has no switch for any of them: they live here, so that the suite can show that it would see them.
"""

import asyncio
import sys
import uuid
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy import wiring_kafka
from deploy.__main__ import main
from deploy.kafka_client import KafkaClients
from deploy.kafka_settings import kafka_clients
from deploy.settings import Settings

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

    async def producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = await super().producer(transactional_id)

        async def remember(offsets: dict[TopicPartition, int], group: str) -> None:
            self.consumed.update(offsets)

        producer.send_offsets_to_transaction = remember
        return producer

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

    async def producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = await super().producer(transactional_id)
        send_batch = producer.send_batch

        async def send_and_forget(batch: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
            sent = await send_batch(batch, topic, partition=partition)
            sent.add_done_callback(lambda done: done.cancelled() or done.exception())
            forgotten: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            forgotten.set_result(None)
            return forgotten

        producer.send_batch = send_and_forget
        return producer


FAULTS = {"named-by-incarnation": NamedByIncarnation, "offsets-apart": OffsetsApart, "unawaited": Unawaited}

if __name__ == "__main__":
    fault = FAULTS[sys.argv[1]]

    def faulty_clients(settings: Settings) -> KafkaClients:
        honest = kafka_clients(settings)
        return fault(honest.bootstrap, honest.security)

    wiring_kafka.kafka_clients = faulty_clients
    sys.exit(main(sys.argv[2:]))
