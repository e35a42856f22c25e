"""The switches of the report rules, each with the default we document, and the limits no client can pass."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """How a session is read. Times in milliseconds unless the name says otherwise."""

    idle_timeout_ms: int = 600_000
    still_timeout_ms: int = 1_800_000
    session_cap_ms: int = 86_400_000
    grace_ms: int = 60_000
    reorder_window_ms: int = 5_000
    reorder_window_events: int = 10
    heartbeat_interval_ms: int = 30_000
