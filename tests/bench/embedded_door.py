"""The door alone on the embedded log, without lanes: `python -m tests.bench.embedded_door DATA` prints its address."""

import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from deploy import loop
from deploy.embedded import EmbeddedLog, wall_clock
from deploy.process import DOORS_YOUNG_OBJECTS, calm_collector
from ingest.app import DOOR, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector, Rules
from ingest.express import short_way
from ingest.framing import DoorRunner
from ingest.session_id import SessionKeys
from schemas import validation


async def serve(data: Path) -> None:
    rules = Rules()
    validation.prepare(rules.profile)
    log = await EmbeddedLog.open(data, 6)
    closed = ClosedSessions(86_400_000)
    app = make_app(Collector(log, SessionKeys([os.urandom(32)]), closed, rules, wall_clock))
    following = asyncio.create_task(closed.follow(log, wall_clock))
    runner = DoorRunner(app, connection=short_way(app[DOOR]), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    host, port = runner.addresses[0]
    calm_collector(DOORS_YOUNG_OBJECTS)
    print(f"ready at http://{host}:{port}", flush=True)
    await following


if __name__ == "__main__":
    loop.run(serve(Path(sys.argv[1])))
