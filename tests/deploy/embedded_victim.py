"""A process that loads an embedded log until it is killed, and says what was acknowledged."""

import asyncio
from multiprocessing.connection import Connection
from pathlib import Path

from deploy.embedded import EmbeddedLog
from processors.ports import LaneLog
from schemas import topics
from schemas.records import Record

PARTITIONS = 2
EVENTS = topics.EVENTS.name
ROWS = topics.SESSION_CLOSE.name
STATE = topics.STATE.name


def load(data: Path, life: int, acknowledged: Connection) -> None:
    """Append and fold for ever. Every event acknowledged is sent as bytes, after its acknowledgement."""
    asyncio.run(_load(data, life, acknowledged))


async def _load(data: Path, life: int, acknowledged: Connection) -> None:
    log = await EmbeddedLog.open(data, PARTITIONS)
    group = log.lane_group()

    async def client(number: int) -> None:
        count = 0
        while True:
            value = b"%d-%d-%d" % (life, number, count)
            await log.append(Record(EVENTS, number % PARTITIONS, value, value + bytes(500)))
            acknowledged.send_bytes(value)
            count += 1

    lanes = [await group.open_lane(partition) for partition in range(PARTITIONS)]
    await asyncio.gather(*(client(number) for number in range(16)), *(_fold(lane) for lane in lanes))


async def _fold(lane: LaneLog) -> None:
    """One row an event, and a state that says how far: all in one transaction."""
    position = await lane.committed()
    while True:
        fetch = await lane.read(position, 200, 1.0)
        rows = [Record(ROWS, lane.partition, record.key, b"%d" % record.offset) for record in fetch.records]
        position = fetch.next_offset
        if rows:
            await lane.commit([*rows, Record(STATE, lane.partition, b"position", b"%d" % position)], position)
