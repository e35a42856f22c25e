"""Gives out numbers that never repeat: a door numbers only within seconds that the log says are its own.

A claim is a record on the folded topic under the door's number: "I number up to the end of second `until`". It holds
if, where it stands in the topic, no claim of that door number stands between it and the newest one its maker had seen;
then everything from there to its `until` belongs to its maker alone. So nothing is remembered outside the log: a door
that starts again begins beyond what its predecessor had claimed, whatever clock and disk say, and two doors that were
given one number share its seconds in blocks and never repeat each other.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from ingest.ports import EventLog
from ingest.roundware.numbers import AHEAD_SECONDS, IN_A_SECOND, NumberKeys, Series, second_of
from schemas import topics
from schemas.codec import Undecodable
from schemas.records import LogUnavailable, Record, StoredRecord
from schemas.roundware_doors import Reservation, decode_reservation, door_key, encode_reservation

logger = logging.getLogger(__name__)

BLOCK_SECONDS: Final = 60
"""Seconds claimed at once. A restart leaves what is left of them unused."""

_SOON_SECONDS: Final = 20  # what may be left of a block when the next one is claimed
_PAUSE_SECONDS: Final = 0.2  # after a claim that the log did not take


class Numbering:
    """The numbers of one door. `take` must be given every record of the folded topic under `key`, in order.

    `clock` is wall time in epoch milliseconds; it may go back.
    """

    def __init__(
        self, log: EventLog, keys: NumberKeys, door: int, clock: Callable[[], int], owner: str | None = None
    ) -> None:
        self.key = door_key(door).encode()
        self._log = log
        self._keys = keys
        self._door = door
        self._clock = clock
        self._owner = owner or secrets.token_hex(8)
        self._read_to = -1
        self._newest = 0  # the furthest second that anybody claimed, as far as we have read
        self._asked: _Asked | None = None
        self._blocks: list[tuple[int, int]] = []  # first and last second of what is ours, ascending
        self._last = dict.fromkeys(Series, (0, 0))  # the second and sequence given out last
        self._claiming: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    def caught_up(self) -> None:
        """All claims of earlier lives have been taken."""
        self._caught_up.set()

    def take(self, record: StoredRecord) -> None:
        """One record of the folded topic under our key. One that was taken before, when it is read anew, is no news."""
        if record.offset <= self._read_to:
            return
        self._read_to = record.offset
        try:
            claim = decode_reservation(record.value or b"")
        except Undecodable:
            logger.exception("a record under %s cannot be read", self.key)
            return
        asked = self._asked
        if asked is not None and claim == asked.claim:
            holds, self._asked = asked.base == self._newest, None
            if holds:
                self._own(asked.base + 1, claim.until)
            asked.answer.set_result(holds)
        elif claim.until < self._newest and claim.owner != self._owner:
            # It came too late to hold and stands newest now: whoever starts next must not build on it.
            self._log.offer(self._record(Reservation(self._newest, self._owner)))
        self._newest = max(self._newest, claim.until)

    async def next(self, series: Series, seconds: float) -> int:
        """A number nobody else has. LogUnavailable when none could be claimed within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while (place := self._place(series)) is None:
                    await asyncio.wait({self._claim_soon()})
        except TimeoutError:
            raise LogUnavailable(f"no numbers could be claimed within {seconds:g} s") from None
        return self._keys.number(series, place[0], self._door, place[1])

    async def close(self) -> None:
        if self._claiming is not None:
            self._claiming.cancel()
            await asyncio.gather(self._claiming, return_exceptions=True)

    def _place(self, series: Series) -> tuple[int, int] | None:
        """The next second and sequence of these; None: nothing of what is ours is left."""
        now = second_of(self._clock())
        second, sequence = self._last[series]
        sequence += 1
        if sequence == IN_A_SECOND:  # of a second that is full the next one is taken, ahead of the clock
            second, sequence = second + 1, 0
        if second < now:
            second, sequence = now, 0
        if second > now + AHEAD_SECONDS:
            raise LogUnavailable("numbers are given out far ahead of the clock")
        self._blocks = [block for block in self._blocks if block[1] >= now]
        for first, last in self._blocks:
            if last >= second:
                if first > second:
                    second, sequence = first, 0
                if second > self._blocks[-1][1] - _SOON_SECONDS:
                    self._claim_soon()
                self._last[series] = second, sequence
                return second, sequence
        return None

    def _own(self, first: int, last: int) -> None:
        if self._blocks and self._blocks[-1][1] == first - 1:
            first = self._blocks.pop()[0]
        self._blocks.append((first, last))

    def _claim_soon(self) -> "asyncio.Task[None]":
        if self._claiming is None or self._claiming.done():
            self._claiming = asyncio.create_task(self._claim(), name="claiming numbers")
        return self._claiming

    async def _claim(self) -> None:
        """Ask until something is ours."""
        await self._caught_up.wait()
        while not await self._ask():
            pass

    async def _ask(self) -> bool:
        base = self._newest
        claim = Reservation(max(base, second_of(self._clock())) + BLOCK_SECONDS, self._owner)
        asked = self._asked = _Asked(base, claim, asyncio.get_running_loop().create_future())
        try:
            await self._log.append(self._record(claim))
        except Exception as failure:  # noqa: BLE001 - whatever it was, it may have been written: see below
            logger.warning("numbers could not be claimed: %r", failure)
            await asyncio.wait({asked.answer}, timeout=_PAUSE_SECONDS)
            return asked.answer.done() and asked.answer.result()
        return await asked.answer

    def _record(self, claim: Reservation) -> Record:
        partition = topics.partition_of(self.key.decode(), self._log.partitions)
        return Record(topics.ROUNDWARE.name, partition, self.key, encode_reservation(claim))


class _Asked(NamedTuple):
    """A claim of ours that has not been read back yet."""

    base: int
    claim: Reservation
    answer: "asyncio.Future[bool]"
