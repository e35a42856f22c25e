"""Which sessions the machine has raised on of late: a few are bad data, many are a defect of ours."""

from processors.fold import Poisoned

MINUTE_MS = 60_000


class TooManyPoisoned(Exception):
    """The machine raises on one session after the other: the worker stops rather than reject what is sound."""


class Suspects:
    """Shared by the lanes of one worker. Times in epoch ms."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._raised_at: dict[str, int] = {}

    def note(self, poisoned: Poisoned, partition: int, now: int) -> None:
        """TooManyPoisoned when more than the limit of distinct sessions have raised within a minute."""
        self._raised_at[poisoned.sid or f"{partition}:{poisoned.offset}"] = now
        if len(self._raised_at) > self._limit:
            self._raised_at = {sid: at for sid, at in self._raised_at.items() if now - at < MINUTE_MS}
        if len(self._raised_at) > self._limit:
            raise TooManyPoisoned(
                f"the machine raised on {len(self._raised_at)} sessions within a minute, last on {poisoned}"
            ) from poisoned
