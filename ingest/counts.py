"""What the front door counts, in plain integers: received = accepted + rejected + failed + still being answered."""

from collections import Counter
from typing import Final

CLIENT_GONE: Final = 499
"""In place of a status: the client left before its request was whole, so there was nobody to answer."""


class Counts:
    """Counters of one front door; requests of every kind, whatever they asked for.

    `answered[endpoint, status]` holds every request that is over. At every instant
    `received == accepted + rejected + failed + in_flight`.
    """

    def __init__(self) -> None:
        self.received = 0
        self.ordinary = 0  # of these: those that aiohttp read, and not the short way
        self.accepted = 0
        self.rejected = 0
        self.failed = 0
        self.answered: Counter[tuple[str, int]] = Counter()
        self.events_accepted = 0
        self.bytes_accepted = 0
        self.append_outcomes_unknown = 0
        self.rejects_dropped = 0

    @property
    def in_flight(self) -> int:
        return self.received - self.accepted - self.rejected - self.failed

    def durable(self, events: int, size: int) -> None:
        """Count events that the log has, of so many bytes together."""
        self.events_accepted += events
        self.bytes_accepted += size

    def request_received(self) -> None:
        self.received += 1

    def request_over(self, endpoint: str, status: int, requests: int = 1) -> None:
        """Count the end of requests that were counted as received."""
        self.answered[endpoint, status] += requests
        if status == CLIENT_GONE or status >= 500:
            self.failed += requests
        elif status >= 400:
            self.rejected += requests
        else:
            self.accepted += requests
