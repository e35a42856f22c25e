"""Everything in one process on the embedded log: the front door, the lanes and the page at `GET /`."""

import argparse
import logging
from typing import Final

from deploy import loop, settings, telemetry, wiring
from deploy.page import Where, curl_session, tail_command
from deploy.settings import Settings

_KAFKA: Final = {*settings.KAFKA, "SLOT", "TRANSACTIONS", "UNDECIDED"}
SETTINGS: Final = tuple(setting.name for setting in settings.SETTINGS if setting.name not in _KAFKA)

logger = logging.getLogger(__name__)


def configure(_: argparse.ArgumentParser) -> None:
    """Its settings are all it takes."""


def execute(_: argparse.Namespace, settings_given: Settings) -> int | None:
    telemetry.set_up_logs(settings_given.log_level)
    for name in settings.misspelt():
        logger.warning("%s is set and names no setting: see docs/settings.env", name)
    loop.run(wiring.run_embedded(settings_given, announce))
    return None


def announce(where: Where) -> None:
    """Say where it is, and how to try it."""
    print(
        f"mediabeat is ready at {where.door} (open it in a browser)\n"
        f"  data      {where.data}\n"
        f"  operator  {where.admin}/readyz and /metrics\n"
        f"\nPaste this into another terminal to play one session:\n\n{curl_session(where.door)}\n"
        f"Its report is there some ten seconds later:\n\n{tail_command(where.data)}\n\n"
        "Ctrl-C stops it.",
        flush=True,
    )
