"""Keeps up with a compacted topic for ever, over every outage of the log."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ingest.ports import CompactedTopic
from schemas.records import LogUnavailable, StoredRecord

logger = logging.getLogger(__name__)

_BACKOFF_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


async def keep_up(
    log: CompactedTopic,
    topic: str,
    take: Callable[[list[StoredRecord]], object],
    caught_up: Callable[[], object],
    *,
    slice_records: int = 1_000,
) -> None:
    """Give every record to `take`, some at a time, and say each time that all there was has been given.

    Runs until cancelled. After an outage or an error, `take`'s included, the topic is read again from its start: what
    was taken is taken twice.
    """
    failures = 0
    while True:
        try:
            async for records in log.follow(topic):
                failures = 0
                if records is None:
                    caught_up()
                    continue
                for at in range(0, len(records), slice_records):
                    take(records[at : at + slice_records])
                    if at + slice_records < len(records):
                        await asyncio.sleep(0)
            reason = "the log ended it"
        except LogUnavailable as error:
            reason = str(error) or "the log is away"
        except Exception:
            # What is known stays true, and a door that stopped following would never learn anything again.
            logger.exception("following %s failed", topic)
            reason = "an error"
        pause = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
        failures += 1
        logger.warning("%s: %s; following it again in %.1f s", topic, reason, pause)
        await asyncio.sleep(pause)
