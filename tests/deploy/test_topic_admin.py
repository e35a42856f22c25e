"""Topics made on a real broker are what `check` expects, and each difference has a name."""

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import NodeNotReadyError

from deploy import topic_admin
from deploy.broker import Cluster
from deploy.kafka_client import KafkaClients
from schemas import topics
from schemas.records import LogUnavailable
from tests.contracts.kafka_harness import differences, fresh_topics, set_topic


@pytest_asyncio.fixture
async def clients(kafka_broker: Cluster) -> KafkaClients:
    clients = KafkaClients(kafka_broker.bootstrap)
    await fresh_topics(clients, 3)
    return clients


async def test_what_is_made_is_what_is_checked_and_making_again_changes_nothing(clients: KafkaClients) -> None:
    assert await topic_admin.check(clients) == []
    assert (await topic_admin.create(clients, 3, 1)).names == []
    assert await topic_admin.partitions_of_all(clients) == 3


async def test_a_topic_that_a_release_brings_gets_as_many_partitions_as_the_events_have(clients: KafkaClients) -> None:
    admin = await clients.admin()
    await admin.delete_topics([topics.MINUTES.name])
    await admin.close()
    await differences(clients, 1)
    assert await topic_admin.create(clients) == topic_admin.Made([topics.MINUTES.name], 3, 1)
    await differences(clients, 0)


async def test_another_number_of_partitions_than_the_events_have_is_refused(clients: KafkaClients) -> None:
    with pytest.raises(topic_admin.TopicsUnfit, match=r"events\.v1 has 3 partitions, not 12"):
        await topic_admin.create(clients, 12)


async def test_each_difference_is_named(clients: KafkaClients) -> None:
    await set_topic(clients, topics.STATE.name, "min.cleanable.dirty.ratio", "0.5")
    admin = await clients.admin()
    await admin.delete_topics([topics.MINUTES.name])
    await admin.create_partitions({topics.HEARTBEAT.name: NewPartitions(4)})
    await admin.close()
    found = await differences(clients, 3, partitions=3)
    for culprit in (
        "media.state.session.v1: min.cleanable.dirty.ratio is 0.5, not 0.2",
        "media.minutes.v1 does not exist",
        "media.reports.heartbeat.v1 has 4 partitions, not 3",
    ):
        assert culprit in found


async def test_unequal_partition_counts_stop_a_start(clients: KafkaClients) -> None:
    admin = await clients.admin()
    await admin.create_partitions({topics.CLOSED.name: NewPartitions(4)})
    await admin.close()
    await differences(clients, 1)
    with pytest.raises(topic_admin.TopicsUnfit, match=r"closed\.v1 has 4 partitions, not 3"):
        await topic_admin.partitions_of_all(clients)


async def test_a_number_of_partitions_other_than_the_one_set_stops_a_start(clients: KafkaClients) -> None:
    with pytest.raises(topic_admin.TopicsUnfit, match="has 3 partitions, not 12"):
        await topic_admin.partitions_of_all(clients, 12)


async def test_more_copies_than_brokers_is_refused_with_the_brokers_reason(clients: KafkaClients) -> None:
    admin = await clients.admin()
    await admin.delete_topics(sorted(topics.BY_NAME))
    await admin.close()
    await differences(clients, len(topics.ALL))
    with pytest.raises(topic_admin.TopicsUnfit, match="replication factor"):
        await topic_admin.create(clients, 3, 3)


class NodesGone(KafkaClients):
    """As in a cluster that has just lost a node: the first that each client asks is not there any more."""

    async def admin(self) -> AIOKafkaAdminClient:
        admin = await super().admin()
        send = admin._send_request
        gone = [NodeNotReadyError("gone")]

        async def send_to_whom_is_left(request: object, node_id: int | None = None) -> object:
            if gone:
                raise gone.pop()
            return await send(request, node_id)

        admin._send_request = send_to_whom_is_left
        return admin


async def test_a_node_that_has_just_died_does_not_stop_a_start(clients: KafkaClients) -> None:
    assert await topic_admin.partitions_of_all(NodesGone(clients.bootstrap)) == 3


async def test_no_broker_is_said_as_such() -> None:
    with pytest.raises(LogUnavailable, match=r"no Kafka at 127\.0\.0\.1:1"):
        await topic_admin.check(KafkaClients("127.0.0.1:1"))


@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_only_compacted_topics_are_compacted_and_only_events_carry_the_logs_own_time(topic: topics.Topic) -> None:
    made = topic_admin.settings(topic, 3)
    assert ("compact" in made["cleanup.policy"]) == topic.compacted
    assert (made["message.timestamp.type"] == "LogAppendTime") == (topic is topics.EVENTS)
    assert made["min.insync.replicas"] == "2"
