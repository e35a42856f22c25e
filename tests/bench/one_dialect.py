"""`mediabeat` without its second dialect, to compare with: `python -m tests.bench.one_dialect ingest ...`."""

import asyncio
import sys

from deploy import front_door
from deploy.__main__ import main


async def follow_nothing(_room: object, _log: object) -> None:
    await asyncio.Event().wait()


front_door.add_roundware = lambda _app, _room: None
front_door.Room.follow = follow_nothing
front_door.Room.unready = lambda _room: []

if __name__ == "__main__":
    sys.exit(main())
