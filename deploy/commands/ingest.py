"""Front doors on Kafka: judge what players post, and answer 2xx when every in-sync replica has it.

With --processes N, N doors share the port; each has an operator's port of its own, from ADMIN_PORT upward.
"""

import argparse
import logging
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from deploy import loop, settings, telemetry
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.wiring_kafka import Where

_LANES: Final = frozenset({"DATA", "GROUP", "SLOT", "STILL_TIMEOUT", "REORDER_WINDOW", "HEARTBEAT_INTERVAL"})
SETTINGS: Final = tuple(
    setting.name for setting in settings.SETTINGS if setting.name not in {*_LANES, "IDLE_TIMEOUT", "COMMIT_INTERVAL"}
)

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="doors that share the port")


def execute(arguments: argparse.Namespace, settings_given: Settings) -> int | None:
    telemetry.set_up_logs(settings_given.log_level)
    for name in settings.misspelt():
        logger.warning("%s is set and names no setting: see docs/settings.env", name)
    if arguments.processes == 1:
        return _door(settings_given, reuse_port=False)
    return _supervise(settings_given, arguments.processes)


def announce(where: "Where") -> None:
    print(f"mediabeat ingest is ready at {where.door}; operator at {where.admin}/readyz and /metrics", flush=True)


def _door(settings_given: Settings, *, reuse_port: bool) -> int | None:
    from deploy import wiring_kafka

    loop.run(wiring_kafka.run_ingest(settings_given, announce, reuse_port=reuse_port))
    return None


def _supervise(settings_given: Settings, processes: int) -> int:
    """One child a door. All stop together: on a signal, and when one of them ends by itself."""
    children = {_fork(settings_given, number) for number in range(processes)}
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    failed = False
    while children:
        child, status = os.wait()
        children.discard(child)
        failed = failed or status != 0 or not stopping
        if not stopping:
            logger.error("a front door ended: stopping the others")
            stop()
    return 1 if failed else 0


def _fork(settings_given: Settings, number: int) -> int:
    """Before any thread or event loop exists: so a fork is a plain copy."""
    child = os.fork()
    if child != 0:
        return child
    status = 1
    try:
        given = settings_given.admin_port  # without one each takes the next that is free
        _door(replace(settings_given, admin_port=given + number if given else None), reuse_port=True)
        status = 0
    except BaseException:
        logger.exception("front door %d", number)
    finally:
        os._exit(status)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 64")
    return number
