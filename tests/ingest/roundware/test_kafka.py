"""Two doors on a real broker: what each numbers, and what each learns from the other."""

import asyncio
from contextlib import AsyncExitStack

from deploy.broker import Cluster
from tests.contracts.kafka_harness import KafkaHarness, fresh_topics
from tests.ingest.roundware.front import open_front, session


async def test_two_doors_on_kafka_share_tokens_and_never_a_number(kafka_broker: Cluster) -> None:
    async with AsyncExitStack() as stack:
        harness = KafkaHarness(kafka_broker, stack)
        await fresh_topics(harness.clients, 3)
        doors = [await stack.enter_async_context(open_front(await harness.door(), door=3)) for _ in range(2)]
        tokens = [await door.register("a device of both", str(at)) for at, door in enumerate(doors)]
        answers = await asyncio.gather(
            *(doors[n % 2].post("sessions/", session(), token=tokens[0]) for n in range(200))
        )
        again = await stack.enter_async_context(open_front(await harness.door(), door=3))
        later = await again.post("sessions/", session(), token=tokens[0])

    assert tokens[0] == tokens[1]
    assert {answer.status for answer in answers} == {later.status} == {200}
    assert len({answer.document["id"] for answer in (*answers, later)}) == 201
    assert later.document["device_id"] == "a device of both"
