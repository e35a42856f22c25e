"""Opens aiokafka's clients: every setting of them is in this file."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.producer.message_accumulator import BatchBuilder

from deploy import kafka_leftovers
from deploy.kafka_produce import Batch, send_at_once
from deploy.kafka_producer import STOP_SECONDS, discard, filled, fitting, hear, is_fenced
from deploy.kafka_refusal import why
from deploy.kafka_transaction import learn, transact
from deploy.kafka_verdict import Outcome
from processors.kafka_lane import Origin
from schemas import topics
from schemas.records import LogUnavailable, Record

REQUEST_TIMEOUT_MS: Final = 5_000
START_SECONDS: Final = 8.0
TRANSACTION_TIMEOUT_MS: Final = 10_000
BATCH_BYTES: Final = 900_000
"""Below the broker's default limit of a batch (1,048,588) with room for its header."""

SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_MS: Final = 2_000
REBALANCE_TIMEOUT_MS: Final = 10_000
JOIN_SECONDS: Final = 30.0
UNWELL_SECONDS: Final = 30.0
UNWELL_PAUSE_SECONDS: Final = 0.2
IDLE_WAKE_MS: Final = 5_000

Opened = TypeVar("Opened")

logger = logging.getLogger(__name__)

# It reports each retry of a broker that is away at warning and error; the rings report outages themselves, once.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class ClusterUnwell(LogUnavailable):
    """The cluster lets us in, and yet no client could be opened: a node has just died, or it is very busy."""


@dataclass(frozen=True, slots=True)
class Security:
    """How to speak to the brokers. `protocol`: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""

    protocol: str = "PLAINTEXT"
    ssl: SSLContext | None = None
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None

    def arguments(self) -> dict[str, Any]:
        """As aiokafka's clients take them."""
        return {
            "security_protocol": self.protocol,
            "ssl_context": self.ssl,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
        }


@dataclass(frozen=True, slots=True)
class KafkaClients:
    """One cluster's clients, opened ready to use. Every opener raises LogUnavailable when no broker answers in time."""

    bootstrap: str
    security: Security = Security()
    name: str = "mediabeat"
    host: str = field(default_factory=socket.gethostname)
    two_steps: bool = True
    """Whether transactions are written in two steps where the brokers know how."""
    undecided: Outcome | None = None
    """How a transaction is ended that was left open, if nothing tells how it had ended. None: not at all."""

    @property
    def member_name(self) -> str:
        """What a group's members are called: two on one host alike, two on two hosts not."""
        return f"{self.name}@{self.host}"

    async def connection(self, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> AIOKafkaClient:
        """A bare client: metadata, and requests to a node."""
        client = AIOKafkaClient(**self._shared(request_timeout_ms, retry_backoff_ms=50))
        await self._started(client.bootstrap(), client.close)
        return client

    async def producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        """An idempotent producer; with a transactional id it has fenced its predecessors before it is returned."""
        transactional = {"transactional_id": transactional_id, "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS}
        producer = AIOKafkaProducer(
            **self._shared(REQUEST_TIMEOUT_MS, retry_backoff_ms=10),
            **(transactional if transactional_id is not None else {}),
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
        )
        hear(producer)
        # All topics' leaders in one answer, and before the first record: else each topic's first use asks for its own.
        names = [topic.name for topic in topics.ALL]
        producer.client.set_topics(names if transactional_id is None else kafka_leftovers.TOPICS)
        await self._started(self._start(producer, transactional_id), lambda: discard(producer))
        return producer

    async def _start(self, producer: AIOKafkaProducer, transactional_id: str | None) -> None:
        await producer.start()
        if transactional_id is not None and self.two_steps:
            await learn(producer)

    async def admin(self) -> AIOKafkaAdminClient:
        """To make and describe topics."""
        admin = AIOKafkaAdminClient(**self._shared(30_000, retry_backoff_ms=50))
        await self._started(admin.start(), admin.close)
        return admin

    async def discard(self, producer: AIOKafkaProducer) -> None:
        """Stop it for good, as the function of this name says."""
        await discard(producer)

    def send_at_once(
        self,
        producer: AIOKafkaProducer,
        batches: Sequence[Batch],
        answered: Callable[[Batch, BaseException | None], None],
    ) -> list[Batch]:
        """Send these, as the function of this name does."""
        return send_at_once(producer, batches, answered)

    def filled(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> BatchBuilder:
        """A batch of these records, as the function of this name makes it."""
        return filled(producer, records)

    def fitting(self, producer: AIOKafkaProducer, records: Sequence[Record], first: int) -> tuple[BatchBuilder, int]:
        """A batch of as many of these as fit, as the function of this name makes it."""
        return fitting(producer, records, first)

    async def transact(
        self, producer: AIOKafkaProducer, records: Sequence[Record], origin: Origin, next_offset: int
    ) -> bool:
        """A whole transaction, as the function of this name writes it."""
        return await transact(producer, records, origin, next_offset)

    async def settle(self, producer: AIOKafkaProducer, origin: Origin) -> bool:
        """End what was left open, as the function of this name does."""
        return await kafka_leftovers.settle(producer, origin, self.undecided)

    def is_fenced(self, producer: AIOKafkaProducer) -> bool:
        """Whether a successor has been seen."""
        return is_fenced(producer)

    def group_consumer(self, group: str, slot: str) -> AIOKafkaConsumer:
        """A static member of a group, to be subscribed and `started`; it does not leave the group when it stops."""
        return AIOKafkaConsumer(
            **{**self._shared(REQUEST_TIMEOUT_MS, retry_backoff_ms=50), "client_id": self.member_name},
            group_id=group,
            group_instance_id=slot,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
            consumer_timeout_ms=IDLE_WAKE_MS,
            # The assignor keeps what it was assigned in its class: two members in one process need two.
            partition_assignment_strategy=(type("Sticky", (StickyPartitionAssignor,), {}),),
        )

    async def started(self, consumer: AIOKafkaConsumer) -> None:
        """Start a consumer; of a group, until it has an assignment."""
        await self._started(consumer.start(), consumer.stop, JOIN_SECONDS)

    async def _started(self, starting: Awaitable[object], undo: Any, seconds: float = START_SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                await starting
        except BaseException as failure:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(STOP_SECONDS * 2):
                    await undo()
            if not isinstance(failure, Exception):
                raise  # a cancellation
            # Not only KafkaError: aiokafka asserts, for one, when the node it knew has gone while it looks for another.
            refusal = await why(self.bootstrap, self.security.arguments())
            if refusal is None or refusal.by_a_node:
                reason = repr(failure) if refusal is None else refusal.reason
                raise ClusterUnwell(f"Kafka at {self.bootstrap} is not well: {reason}") from failure
            raise LogUnavailable(f"no Kafka at {self.bootstrap}: {refusal.reason}") from failure

    def _shared(self, request_timeout_ms: int, retry_backoff_ms: int) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.name,
            "request_timeout_ms": request_timeout_ms,
            "retry_backoff_ms": retry_backoff_ms,
            "metadata_max_age_ms": 30_000,
            **self.security.arguments(),
        }


async def live_nodes(bootstrap: str) -> int:
    """How many brokers the cluster lists now; 0 when the first of `bootstrap` answers nobody."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        client = await KafkaClients(bootstrap).connection(request_timeout_ms=2_000)
    except (OSError, LogUnavailable):
        return 0
    brokers = len(client.cluster.brokers())
    await client.close()
    return brokers


async def patiently(opening: Callable[[], Awaitable[Opened]]) -> Opened:
    """Open it again and again while the cluster is unwell: whoever starts then shall not have to be started again."""
    give_up = time.monotonic() + UNWELL_SECONDS
    while True:
        try:
            return await opening()
        except ClusterUnwell as unwell:
            if time.monotonic() > give_up:
                raise
            logger.warning("%s; trying again", unwell)
        await asyncio.sleep(UNWELL_PAUSE_SECONDS)
