"""How Roundware's visits are measured, and the limits no client can pass."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RoundwareRules:
    """Times in milliseconds. `heartbeat_interval_ms` 0: no heartbeat rows.

    `idle_timeout_ms`: more silence than this ends a visit. A client that mixes by itself is silent while one long asset
    plays and its listener stands still, so this is longer than for players that ping.
    `reorder_window_ms`: how far listen starts and stops that overtook each other may lie apart.
    """

    idle_timeout_ms: int = 1_800_000
    heartbeat_interval_ms: int = 30_000
    reorder_window_ms: int = 5_000


KEPT_MS: Final = 7 * 86_400_000
"""How long after its last record a session is known, and shown in lists: as long as its records are on the log."""
MUTED_MS: Final = 86_400_000
"""How long a session on which the machine raised too often is left alone."""
STOPTIME_WITHIN_MS: Final = 86_400_000
"""A `stoptime` further ahead of the start is not believed."""
REPEATED_WITHIN_MS: Final = 5_000
SKEW_MS: Final = 300_000

# Limits. What is beyond a limit of a visit's numbers raises its flag `truncated`.
MAX_EVENTS: Final = 500
"""Newest events of a session that lists show."""
MAX_PLAYS: Final = 800
"""Newest listen events of a session that lists show and that a change can still reach."""
MAX_ASSETS: Final = 500
"""Assets of a visit that are named; the sums hold all of them."""
MAX_WAITING: Final = 10
"""Listen starts and stops that wait to be put in order."""
MAX_RECENT: Final = 16
"""Newest events of a visit in which a repeat is looked for."""
MAX_REVISIONS: Final = 100
MAX_TEXT: Final = 512
"""Characters of one text on a row."""

SHARED_DEVICE: Final = "0" * 14
"""What the stock web client calls the device of everybody."""
