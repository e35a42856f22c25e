"""Front doors on Kafka: judge what players post, and answer 2xx when every in-sync replica has it.

With --processes N, N doors share the port, and a supervisor keeps them running; its operator's port speaks for all.
"""

import argparse
import logging
import socket
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from deploy import fork_server, loop, settings, telemetry
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.admin import Where

_LANES: Final = frozenset(
    {"DATA", "GROUP", "SLOT", "IDLE_TIMEOUT", "STILL_TIMEOUT", "ROUNDWARE_IDLE_TIMEOUT", "REORDER_WINDOW"}
    | {"HEARTBEAT_INTERVAL", "COMMIT_INTERVAL", "TRANSACTIONS", "UNDECIDED"}
)
SETTINGS: Final = tuple(setting.name for setting in settings.SETTINGS if setting.name not in _LANES)

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="doors that share the port")
    parser.add_argument(fork_server.FLAG, type=int, help=argparse.SUPPRESS)


def execute(arguments: argparse.Namespace, settings_given: Settings) -> int | None:
    telemetry.set_up_logs(settings_given.log_level)
    if arguments.fork_server is not None:
        _serve_forks(settings_given, arguments.fork_server)
        return None
    for name in settings.misspelt():
        logger.warning("%s is set and names no setting: see docs/settings.env", name)
    if arguments.processes > 1:
        _supervise(arguments, settings_given)
    else:
        _serve(settings_given)
    return None


def announce(where: "Where") -> None:
    print(f"mediabeat ingest is ready at {where.door}; operator at {where.admin}/readyz and /metrics", flush=True)


def _serve(settings_given: Settings) -> None:
    from deploy import wiring_kafka

    loop.run(wiring_kafka.run_ingest(settings_given, announce))


def _supervise(arguments: argparse.Namespace, settings_given: Settings) -> None:
    # It reads the same flags and the same environment once more: so a new version judges them by its own rules.
    given = {settings.BY_NAME[name].flag: getattr(arguments, name) for name in SETTINGS}
    flags = [f"{flag}={value}" for flag, value in given.items() if value is not None]
    make = partial(fork_server.ForkServer, [sys.executable, "-m", "deploy", "ingest", *flags])
    first = make()  # it imports while we do

    from deploy import wiring_doors

    loop.run(wiring_doors.run_doors(settings_given, arguments.processes, make, first, announce))


def _serve_forks(settings_given: Settings, channel: int) -> None:
    from deploy import front_door, wiring_kafka

    front_door.rules_of_door(settings_given)  # what it compiles is compiled once

    def run_door(number: int, listening: socket.socket, line: socket.socket) -> None:
        loop.run(wiring_kafka.run_supervised(settings_of_door(settings_given, number), listening, line))

    fork_server.serve(socket.socket(fileno=channel), run_door)


def settings_of_door(settings_given: Settings, number: int) -> Settings:
    """Where the first door's place in Roundware numbers was given, the others take the next ones."""
    from ingest.roundware.numbers import DOORS

    if settings_given.roundware_door is None:
        return settings_given
    return replace(settings_given, roundware_door=(settings_given.roundware_door + number) % DOORS)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 64")
    return number
