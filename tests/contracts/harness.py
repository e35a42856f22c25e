"""What a log must offer to be put through the contract suite.

Every test takes a harness alone, so that it is fair to a real broker: waits are bounded, never instant; offsets
increase but may skip; any call that writes may raise LogUnavailable although what it wrote holds.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from ingest.ports import CompactedTopic, EventLog
from processors.ports import LaneGroup
from schemas.records import StoredRecord

PARTITIONS = 3
"""Of every topic of a harness's log, which is new and empty for each test."""

PATIENCE_SECONDS = 30.0
"""The longest a test waits for something a log has promised. A fast log answers long before."""

APPEND_BOUND_SECONDS = 3.0
"""By when `append` has answered, one way or the other."""


class Door(EventLog, CompactedTopic, Protocol):
    """A log as a front door holds it."""


class Harness(Protocol):
    """One new, empty log with every topic of `schemas.topics.ALL` in PARTITIONS partitions, and handles on it."""

    async def door(self) -> Door:
        """A door of its own, ready to append; closed by the harness."""
        ...

    async def group(self, slot: str) -> LaneGroup:
        """A member of the one worker group, reading `topics.EVENTS`; closed by the harness if the test did not.

        Two slots are two processes as far as the log can be made to believe it.
        """
        ...

    async def committed(self, topic: str, partition: int) -> list[StoredRecord]:
        """All committed records of a partition at this moment, as a stranger's reader sees them, in offset order."""
        ...

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """What retention does: remove the records of a partition below `offset`."""
        ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """While it lasts the log takes no record. Readers may or may not be served."""
        ...


OpenHarness = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Harness]]
"""How a log joins the suite: a function named `open_harness` in its own file, entered once per test."""
