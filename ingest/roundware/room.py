"""The parts of the Roundware dialect at one door, put together: what wiring makes, starts and asks."""

import secrets as chance
from collections.abc import Callable, Sequence
from typing import Final

from ingest.collector import Collector
from ingest.following import keep_up
from ingest.ports import CompactedTopic, EventLog
from ingest.roundware.configuration import Configuration
from ingest.roundware.desk import Desk
from ingest.roundware.folded import Folded
from ingest.roundware.numbering import Numbering
from ingest.roundware.numbers import DOORS, NumberKeys
from ingest.roundware.tokens import Gate, TokenKeys
from ingest.roundware.users import Registry
from schemas import topics
from schemas.records import StoredRecord

_SLICE_RECORDS: Final = 200  # each is parsed: a slice is a few milliseconds of the loop

NOT_READ: Final = "the folded topic of the Roundware sessions is not read to its end yet"


class Room:
    """`secrets` as of `session_id.SessionKeys`. `door` is this door's number, below 64; without one it is by chance.

    Doors that have the same number never repeat each other; they only share its seconds.
    """

    def __init__(
        self,
        collector: Collector,
        log: EventLog,
        secrets: Sequence[bytes],
        clock: Callable[[], int],
        configuration: Configuration | None = None,
        *,
        door: int | None = None,
    ) -> None:
        self.configuration = configuration or Configuration()
        self.folded = Folded()
        keys = NumberKeys(secrets)
        self.numbering = Numbering(log, keys, chance.randbelow(DOORS) if door is None else door, clock)
        self.gate = Gate(TokenKeys(secrets), self.configuration, self.folded.user)
        self.desk = Desk(collector, keys, self.numbering, self.folded, self.configuration)
        self.registry = Registry(collector, self.folded, self.gate)
        self._has_caught_up = False

    async def follow(self, log: CompactedTopic) -> None:
        """Keep up with the folded topic for ever. Runs until cancelled."""
        try:
            await keep_up(log, topics.ROUNDWARE.name, self._take, self._caught_up, slice_records=_SLICE_RECORDS)
        finally:
            await self.numbering.close()

    def unready(self) -> list[str]:
        """Why requests should not come here now, in words for an operator; empty when they may."""
        return [] if self._has_caught_up else [NOT_READ]

    def _take(self, records: list[StoredRecord]) -> None:
        for record in records:
            if record.key == self.numbering.key:
                self.numbering.take(record)
            else:
                self.folded.take(record)

    def _caught_up(self) -> None:
        self._has_caught_up = True
        self.numbering.caught_up()
