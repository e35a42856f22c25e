"""How much may wait in the front door at once: beyond it a request is refused at once, not queued."""

from ingest.problems import Problem


class Admission:
    """Requests being answered and the body bytes they hold, both bounded. Over a bound: `overloaded`."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self.requests = 0
        self.held_bytes = 0
        self.draining = False
        self._max_requests = max_requests
        self._max_bytes = max_bytes

    def fits(self, size: int) -> bool:
        """Whether one more request with a body of so many bytes would be let in."""
        return not self.draining and self.requests < self._max_requests and self.held_bytes + size <= self._max_bytes

    def take(self, size: int) -> None:
        """Enter and hold in one, for a request that fits."""
        self.requests += 1
        self.held_bytes += size

    def enter(self) -> None:
        """Take a place, to be given back with `leave` whatever happens, this call's own refusal included."""
        self.requests += 1
        if self.requests > self._max_requests:
            raise Problem("overloaded", "Too many requests are waiting; please send it again later")

    def hold(self, size: int) -> None:
        """Account for so many more body bytes; they count as held even when this refuses."""
        self.held_bytes += size
        if self.held_bytes > self._max_bytes:
            raise Problem("overloaded", "Too many bytes are waiting; please send it again later")

    def leave(self, held: int, requests: int = 1) -> None:
        self.requests -= requests
        self.held_bytes -= held

    def unready(self) -> str | None:
        if self.draining:
            return "stopping"
        if self.requests >= self._max_requests or self.held_bytes >= self._max_bytes:
            return "too many requests are waiting for the log"
        return None
