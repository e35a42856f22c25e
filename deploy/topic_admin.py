"""Makes the topics on a Kafka cluster, and says where a cluster's topics differ from what they should be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from deploy.kafka_client import KafkaClients, patiently
from schemas import topics
from schemas.records import LogUnavailable
from schemas.topics import Topic

KEPT_FOR_EVER: Final = "-1"
ANSWER_SECONDS: Final = 10.0

Answer = TypeVar("Answer")


class TopicsUnfit(Exception):
    """The topics cannot be made, or cannot be worked with; the message says why."""


def settings(topic: Topic, replication: int) -> dict[str, str]:
    """A topic's settings as Kafka names them; those not named here are the cluster's."""
    policy = "delete"
    if topic.compacted:
        policy = "compact" if topic.retention_ms is None else "compact,delete"
    optional = {
        "segment.bytes": topic.segment_bytes,
        "segment.ms": topic.segment_ms,
        "min.cleanable.dirty.ratio": topic.dirty_ratio,
        "delete.retention.ms": topic.tombstone_ms,
    }
    return {
        "cleanup.policy": policy,
        "retention.ms": KEPT_FOR_EVER if topic.retention_ms is None else str(topic.retention_ms),
        "message.timestamp.type": "LogAppendTime" if topic.log_append_time else "CreateTime",
        # Acknowledged by two, a record survives the loss of one; with fewer copies there is nothing to ask for.
        "min.insync.replicas": "2" if replication >= 3 else "1",
        **{name: str(value) for name, value in optional.items() if value is not None},
    }


class Made(NamedTuple):
    """What `create` has made, and how: partitions of each topic, copies of each partition."""

    names: list[str]
    partitions: int
    replication: int


async def create(clients: KafkaClients, partitions: int | None = None, replication: int | None = None) -> Made:
    """Make the topics that do not exist yet. TopicsUnfit, LogUnavailable.

    Where the events have their topic already (a release brings new ones), the rest is made like it; another number
    of partitions is refused, as a session's records must lie on the same partition of every topic.
    """
    admin = await patiently(clients.admin)
    try:
        there = [one for one in await _patiently(admin.describe_topics) if one["topic"] == topics.EVENTS.name]
        partitions, replication = _like(there, partitions, replication)
        wanted = [NewTopic(t.name, partitions, replication, topic_configs=settings(t, replication)) for t in topics.ALL]
        answer = await admin.create_topics(wanted, timeout_ms=30_000)
    except KafkaError as failure:
        raise LogUnavailable(f"the topics were not made: {failure!r}") from failure
    finally:
        await admin.close()
    made, refused = [], []
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            made.append(name)
        elif error is not TopicAlreadyExistsError:
            refused.append(f"{name}: {message[0] if message and message[0] else error.__name__}")
    if refused:
        raise TopicsUnfit("; ".join(refused))
    return Made(made, partitions, replication)


def _like(there: list[dict[str, Any]], partitions: int | None, replication: int | None) -> tuple[int, int]:
    """Partitions and copies: as the events have them, else as asked for. TopicsUnfit: other partitions than theirs."""
    if not there or not (found := there[0]["partitions"]):
        return partitions or topics.DEFAULT_PARTITIONS, replication or 1
    if partitions not in (None, len(found)):
        raise TopicsUnfit(
            f"{topics.EVENTS.name} has {len(found)} partitions, not {partitions}: all topics must have as many, and "
            "they stay as they were made; leave the number out"
        )
    return len(found), replication or min(len(partition["replicas"]) for partition in found)


async def check(clients: KafkaClients, partitions: int | None = None) -> list[str]:
    """Each difference between the cluster's topics and ours, in words; empty when there is none.

    `partitions` is how many each must have; without it they must only all have as many as the events.
    """
    admin = await patiently(clients.admin)
    try:
        # Of all topics: to ask for one by name makes it, with the cluster's settings, where auto-creation is on.
        described = {entry["topic"]: entry for entry in await _patiently(admin.describe_topics)}
        found = {
            name: entry["partitions"]
            for name, entry in described.items()
            if name in topics.BY_NAME and entry["error_code"] == 0
        }
        configs = await _patiently(lambda: _configs(admin, sorted(found))) if found else {}
    except KafkaError as failure:
        raise LogUnavailable(f"the topics were not described: {failure!r}") from failure
    finally:
        await admin.close()
    expected = partitions or len(found.get(topics.EVENTS.name, ())) or None
    differences: list[str] = []
    for topic in topics.ALL:
        if topic.name not in configs:
            differences.append(f"{topic.name} does not exist")
            continue
        differences += _differences(topic, found[topic.name], configs[topic.name], expected)
    return differences


async def partitions_of_all(clients: KafkaClients, expected: int | None = None) -> int:
    """The number of partitions all topics have. TopicsUnfit when one is missing, has another, or it is not `expected`.

    What doors and workers ask before they start: a record's partition follows from this number alone.
    """
    unfit = [text for text in await check(clients, expected) if "partitions" in text or "exist" in text]
    if unfit:
        raise TopicsUnfit("; ".join(unfit) + ". `mediabeat topics create` makes them, `check` names each difference")
    admin = await patiently(clients.admin)
    try:
        # It exists: nothing is made by asking.
        described = await _patiently(lambda: admin.describe_topics([topics.EVENTS.name]))
        return len(described[0]["partitions"])
    except KafkaError as failure:
        raise LogUnavailable(f"the topics were not described: {failure!r}") from failure
    finally:
        await admin.close()


async def _patiently(question: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer. The node that was asked may just have died: another one then answers. KafkaError: none did."""
    give_up = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return await question()
        except KafkaError as failure:
            if not failure.retriable or time.monotonic() > give_up:
                raise
        await asyncio.sleep(0.1)


def _differences(topic: Topic, found: list[Any], config: dict[str, str], expected: int | None) -> list[str]:
    differences = []
    if len(found) != expected:
        differences.append(f"{topic.name} has {len(found)} partitions, not {expected}")
    replication = min(len(partition["replicas"]) for partition in found)
    for name, value in settings(topic, replication).items():
        there = config.get(name)
        if there is None or not _same(there, value):
            differences.append(f"{topic.name}: {name} is {there}, not {value}")
    return differences


def _same(one: str, other: str) -> bool:
    """`compact,delete` is `delete,compact`, and 0.2 is 0.20."""
    try:
        return float(one) == float(other)
    except ValueError:
        return set(one.split(",")) == set(other.split(","))


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs = {}
    for answer in answers:
        for code, _, _, name, entries in answer.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue  # deleted, or not made everywhere yet
            if code != 0:
                raise for_code(code)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs
