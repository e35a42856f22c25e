"""Doors that number: none ever gives out what another gave, or what it gave in another life."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.roundware.numbering import BLOCK_SECONDS, Numbering
from ingest.roundware.numbers import AHEAD_SECONDS, EPOCH, IN_A_SECOND, NumberKeys, Series, made_at
from schemas.records import LogUnavailable, Record, StoredRecord
from schemas.roundware_doors import Reservation, decode_reservation, encode_reservation
from tests.ingest.doors import NOW, SECRET, StoppedClock, until
from tests.ingest.logs import AwayLog, MemoryLog

KEYS = NumberKeys((SECRET,))


class Topic(MemoryLog):
    """The folded topic as several doors see it: each reads it at its own pace; it keeps the newest of a key."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0  # so many appends are written and said to have failed

    async def append(self, record: Record) -> None:
        await super().append(record)
        if self.lost:
            self.lost -= 1
            raise LogUnavailable("who knows")

    def offer(self, record: Record) -> bool:
        self.records.append(record)
        return True

    def stored(self, first: int = 0) -> list[StoredRecord]:
        found = enumerate(self.records[first:], first)
        return [StoredRecord(offset, 0, record.key, record.value) for offset, record in found]


class Reader:
    """A door that reads the topic when it is told to."""

    def __init__(self, topic: Topic, door: int, clock: StoppedClock, *, compacted: bool = False) -> None:
        self.topic = topic
        self.numbering = Numbering(topic, KEYS, door, clock)
        self.position = 0
        old = topic.stored()
        self._take({record.key: record for record in old}.values() if compacted else old)
        self.position = len(old)
        self.numbering.caught_up()

    def read(self) -> None:
        new = self.topic.stored(self.position)
        self.position += len(new)
        self._take(new)

    def _take(self, records: Sequence[StoredRecord]) -> None:
        for record in records:
            if record.key == self.numbering.key:
                self.numbering.take(record)


async def numbered(reader: Reader, count: int, series: Series = Series.SESSION) -> list[int]:
    """So many numbers, the topic read whenever one has to wait."""
    numbers = []
    for _ in range(count):
        taking = asyncio.ensure_future(reader.numbering.next(series, 10))
        while not taking.done():
            await asyncio.sleep(0)
            reader.read()
        numbers.append(taking.result())
    return numbers


async def test_numbers_rise_within_a_second_and_from_second_to_second() -> None:
    clock = StoppedClock()
    reader = Reader(Topic(), 0, clock)
    first = await numbered(reader, 20)
    clock.now += 1000
    second = await numbered(reader, 20)

    assert first + second == sorted({*first, *second})
    assert {made_at(number) for number in second} == {clock.now // 1000 * 1000}


async def test_when_a_second_is_full_the_next_one_is_taken() -> None:
    reader = Reader(Topic(), 0, StoppedClock())
    numbers = await numbered(reader, 3 * IN_A_SECOND)

    assert len(set(numbers)) == 3 * IN_A_SECOND
    assert {made_at(number) - NOW for number in numbers} == {0, 1000, 2000}


async def test_a_busy_door_claims_on_before_its_seconds_are_used_up() -> None:
    topic = Topic()
    reader = Reader(topic, 0, StoppedClock())
    numbers = await numbered(reader, (BLOCK_SECONDS + 5) * IN_A_SECOND)

    assert len(set(numbers)) == len(numbers)
    assert len(topic.records) == 2


async def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    clock = StoppedClock()
    topic = Topic()
    reader = Reader(topic, 0, clock)
    before = await numbered(reader, 50)
    clock.now -= 3_600_000
    after = await numbered(reader, 50)
    restarted = await numbered(Reader(topic, 0, clock), 50)

    assert len({*before, *after, *restarted}) == 150


async def test_a_restart_within_the_same_second_repeats_nothing() -> None:
    clock, topic = StoppedClock(), Topic()
    lives = [await numbered(Reader(topic, 7, clock, compacted=True), 30) for _ in range(5)]

    assert len({number for life in lives for number in life}) == 150


async def test_two_doors_that_ask_at_once_are_not_both_given_the_same_seconds() -> None:
    clock, topic = StoppedClock(), Topic()
    one, two = Reader(topic, 0, clock), Reader(topic, 0, clock)
    taking = [asyncio.ensure_future(reader.numbering.next(Series.SESSION, 10)) for reader in (one, two)]
    await until(lambda: len(topic.records) == 2)  # both have asked, and neither has seen the other
    while not all(of.done() for of in taking):
        one.read()
        two.read()
        await asyncio.sleep(0)
    more = [await numbered(reader, 300) for reader in (one, two)]

    numbers = [of.result() for of in taking] + [number for of in more for number in of]
    assert len(set(numbers)) == 602


async def test_a_claim_that_came_too_late_does_not_hide_what_others_have_claimed() -> None:
    clock, topic = StoppedClock(), Topic()
    reader = Reader(topic, 0, clock)
    await numbered(reader, 1)
    claimed = decode_reservation(topic.records[-1].value or b"")
    late = Reservation(claimed.until - 30, "a door of another life")
    topic.records.append(topic.records[-1]._replace(value=encode_reservation(late)))
    reader.read()

    newest = decode_reservation(topic.records[-1].value or b"")
    assert newest.until == claimed.until


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),  # which door
            st.sampled_from(["number", "number", "many", "restart", "forward", "back", "lose", "read"]),
            st.sampled_from(Series),
        ),
        min_size=5,
        max_size=40,
    ),
    st.lists(st.integers(0, 1), min_size=3, max_size=3),
)
def test_whatever_happens_no_number_is_given_out_twice(steps: list, doors: list[int]) -> None:
    async def live() -> dict[Series, list[int]]:
        topic, clocks = Topic(), [StoppedClock() for _ in doors]
        readers = [Reader(topic, door, clock) for door, clock in zip(doors, clocks, strict=True)]
        given_out: dict[Series, list[int]] = {series: [] for series in Series}
        for which, what, series in steps:
            reader, clock = readers[which], clocks[which]
            if what in {"number", "many"}:
                given_out[series] += await numbered(reader, 300 if what == "many" else 3, series)
            elif what == "restart":
                await reader.numbering.close()
                readers[which] = Reader(topic, doors[which], clock, compacted=True)
            elif what == "read":
                reader.read()
            elif what == "lose":
                topic.lost += 1
            else:
                clock.now += 45_000 if what == "forward" else -100_000
        for reader in readers:
            await reader.numbering.close()
        return given_out

    for numbers in asyncio.run(live()).values():
        assert len(set(numbers)) == len(numbers)


async def test_without_the_log_there_are_no_numbers_and_no_endless_wait() -> None:
    log = AwayLog()
    numbering = Numbering(log, KEYS, 0, StoppedClock())
    numbering.caught_up()
    with pytest.raises(LogUnavailable):
        await numbering.next(Series.SESSION, 0.05)
    await numbering.close()


async def test_before_the_topic_is_read_there_are_no_numbers() -> None:
    topic = Topic()
    numbering = Numbering(topic, KEYS, 0, StoppedClock())
    with pytest.raises(LogUnavailable):
        await numbering.next(Series.SESSION, 0.05)
    await numbering.close()

    assert topic.records == []


async def test_a_door_does_not_number_beyond_what_it_would_know_again() -> None:
    clock, topic = StoppedClock(), Topic()
    far = clock.now // 1000 - EPOCH + AHEAD_SECONDS
    reader = Reader(topic, 0, clock)
    reader.numbering._blocks = [(far, far + 9)]
    await numbered(reader, IN_A_SECOND)
    with pytest.raises(LogUnavailable, match="ahead of the clock"):
        await reader.numbering.next(Series.SESSION, 1)
    await reader.numbering.close()


async def test_what_is_no_claim_is_passed_over() -> None:
    topic = Topic()
    reader = Reader(topic, 0, StoppedClock())
    topic.records += [Record("", 0, reader.numbering.key, value) for value in (None, b"", b"{}")]

    assert len(await numbered(reader, 1)) == 1


async def test_a_topic_that_is_read_anew_after_an_outage_is_not_contradicted() -> None:
    clock, topic = StoppedClock(), Topic()
    for _ in range(3):
        await numbered(Reader(topic, 0, clock), 1)
    reader = Reader(topic, 0, clock)
    first = await numbered(reader, 1)
    claims = len(topic.records)
    reader.position = 0
    reader.read()

    assert len(topic.records) == claims
    assert await numbered(reader, 1) > first
