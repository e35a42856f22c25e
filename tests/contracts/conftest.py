"""The logs of the contract suite: each test runs once on each."""

from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec

import pytest
import pytest_asyncio

from tests.contracts.harness import Harness, OpenHarness

LOGS = {
    "embedded": "tests.contracts.embedded_harness:open_harness",
    "embedded-with-kafka-vices": "tests.contracts.embedded_harness:open_harness_with_vices",
    "kafka": "tests.contracts.kafka_harness:open_harness",
    "kafka-classic": "tests.contracts.kafka_harness:open_classic_harness",
}


def _harness_of(log: str) -> OpenHarness:
    module, _, function = LOGS[log].partition(":")
    return getattr(import_module(module), function)


@pytest_asyncio.fixture(params=[log for log, place in LOGS.items() if find_spec(place.partition(":")[0])])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    async with _harness_of(request.param)(request) as opened:
        yield opened
