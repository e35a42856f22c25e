"""`python -m tests.bench.door_hostile URL`: 500 hostile clients, until it is killed.

They are those of `tests/ingest/test_hostile.py`; one that is thrown out comes again a second later.
"""

import asyncio
import os
import sys
from urllib.parse import urlsplit

import uvloop

from tests.ingest import test_hostile
from tests.ingest.test_hostile import HOSTILE, KINDS, Hostile

test_hostile.DRIP_SECONDS = 0.2  # they share a core with the good clients and the broker, and shall cost those little


async def attack(port: int, number: int) -> None:
    while True:
        await Hostile(port, KINDS[number % len(KINDS)]).run()
        await asyncio.sleep(1.0)


async def run(url: str) -> None:
    port = urlsplit(url).port
    assert port
    async with asyncio.TaskGroup() as group:
        for number in range(HOSTILE):
            group.create_task(attack(port, number))
        await asyncio.sleep(2.0)
        print("hostile", flush=True)


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # what the core has left, however the others share it
    os.nice(10)
    uvloop.run(run(sys.argv[1]))
