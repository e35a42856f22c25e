"""Whether a live worker on another host holds a slot; the lock files of `deploy.slots` know of one host only."""

import asyncio
import time
from typing import Final

from aiokafka.errors import KafkaError

from deploy.failure import Failure
from deploy.kafka_client import SESSION_TIMEOUT_MS, KafkaClients
from schemas.records import LogUnavailable

MEMBERS: Final = 5
"""Where a described group's members stand: after error, name, state, kind of protocol and protocol."""

UUID_LENGTH: Final = 36
LOOK_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = SESSION_TIMEOUT_MS / 1000 + 3


async def refuse_if_held(clients: KafkaClients, group: str, slot: str) -> None:
    """Return when the slot is ours to take; Failure when another host's worker goes on holding it.

    A member that died stays in its group for the session timeout. One of our own host is dead, or the lock file would
    have told; one of another host is waited for: it may have been moved here.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (holder := await _other_holder(clients, group, slot)) is not None:
        if time.monotonic() > give_up:
            raise Failure(f"another worker of group {group!r} is {slot!r} ({holder}): give each its own SLOT, or none")
        await asyncio.sleep(LOOK_SECONDS)


async def _other_holder(clients: KafkaClients, group: str, slot: str) -> str | None:
    """Host and address of a member that joined in this slot from another host; None when none is known."""
    try:
        admin = await clients.admin()
        try:
            [answer] = await admin.describe_consumer_groups([group])
        finally:
            await admin.close()
    except (KafkaError, LogUnavailable):
        return None  # joining will tell what there is to be told
    for member_id, client_id, address, *_ in answer.groups[0][MEMBERS]:
        # The coordinator names a static member after its slot: <slot>-<uuid>.
        if member_id[: -UUID_LENGTH - 1] == slot and client_id != clients.member_name:
            return f"{client_id} at {str(address).lstrip('/')}"
    return None
