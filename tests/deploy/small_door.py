"""Front doors without a log behind them, under their real supervisor: `python -m tests.deploy.small_door`.

`POST /` is counted, and answered 200 with {"pid","number"} when its body is whole. While the file `stillborn` is in the
directory given, a door ends as soon as it is forked; while `refused` is, it says its text as a Failure.
"""

import argparse
import os
import socket
import sys
from functools import partial
from pathlib import Path

import orjson
from aiohttp import web

from deploy import fork_server, loop, settings, supervisor
from deploy.admin import Readiness
from deploy.commands.ingest import announce
from deploy.door_line import Line
from deploy.failure import Failure
from deploy.process import serving, until_stopped
from deploy.telemetry import door_figures, make_registry, set_up_logs
from deploy.wiring_doors import run_doors
from ingest.counts import Counts


async def run_door(directory: Path, number: int, listening: socket.socket, line_socket: socket.socket) -> None:
    line = await Line.open(line_socket)
    if (directory / "refused").exists():
        await line.close(failure=(directory / "refused").read_text())
        return
    counts = Counts()

    async def post(request: web.Request) -> web.Response:
        counts.request_received()
        status = 499
        try:
            await request.read()
            status = 200
        finally:
            counts.request_over("events", status)
        return web.Response(body=orjson.dumps({"pid": os.getpid(), "number": number}))

    app = web.Application()
    app.router.add_post("/", post)
    readiness = Readiness()
    runner = web.AppRunner(app, access_log=None)
    async with line.telling(readiness, make_registry(door_figures(counts, lambda: 7))):
        stop = line.stop_event(readiness.stop)
        async with serving(runner, listening, in_flight=lambda: counts.in_flight, drain_seconds=30, linger_seconds=2):
            line.ready()
            await until_stopped(stop, ())
    await line.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument(fork_server.FLAG, type=int)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--port", default="0")
    parser.add_argument("--hung-seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    supervisor.HUNG_SECONDS, supervisor.SILENT_SECONDS = arguments.hung_seconds, arguments.hung_seconds / 2
    set_up_logs("info")

    def fork_door(number: int, listening: socket.socket, line: socket.socket) -> None:
        if (arguments.directory / "stillborn").exists():
            os._exit(7)
        loop.run(run_door(arguments.directory, number, listening, line))

    if arguments.fork_server is not None:
        fork_server.serve(socket.socket(fileno=arguments.fork_server), fork_door)
        return 0
    command = [sys.executable, "-m", __spec__.name, "--directory", str(arguments.directory)]
    make = partial(fork_server.ForkServer, command)
    given = settings.load({"PORT": arguments.port, "ADMIN_PORT": "0"}, {})
    try:
        loop.run(run_doors(given, arguments.processes, make, make(), announce))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
