"""Lanes on Kafka: fold the events of the partitions this worker is given into report rows.

Start as many as wanted, up to the number of partitions. A worker that stops within its grace loses nothing; started
again with the same SLOT within seconds it gets its partitions back.
"""

import argparse
import logging
from typing import TYPE_CHECKING, Final

from deploy import loop, settings, telemetry
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.admin import Where

_DOORS: Final = frozenset(
    {"DATA", "PORT", "SECRET", "PROFILE", "PEER_PRIVACY", "TLS_CERT", "TLS_KEY", "ROUNDWARE_FILE", "ROUNDWARE_DOOR"}
)
SETTINGS: Final = tuple(
    setting.name
    for setting in settings.SETTINGS
    if setting.name not in _DOORS and not setting.name.startswith(("MAX_EVENT", "MAX_BATCH"))
)

logger = logging.getLogger(__name__)


def configure(_: argparse.ArgumentParser) -> None:
    """Its settings are all it takes."""


def execute(_: argparse.Namespace, settings_given: Settings) -> int | None:
    from deploy import wiring_kafka

    telemetry.set_up_logs(settings_given.log_level)
    for name in settings.misspelt():
        logger.warning("%s is set and names no setting: see docs/settings.env", name)
    loop.run(wiring_kafka.run_worker(settings_given, announce))
    return None


def announce(where: "Where") -> None:
    print(f"mediabeat worker {where.name} is ready; operator at {where.admin}/readyz and /metrics", flush=True)
