"""What the machine has raised on since the last commit: the next draft leaves it out."""

from processors.fold import Poisoned


class Excluded:
    """Records, to be rejected; sessions that cannot be written, left alone; sessions whose expiry raised, put off."""

    def __init__(self) -> None:
        self.offsets: set[int] = set()
        self.sids: set[str] = set()
        self.expiries: set[str] = set()

    def add(self, poisoned: Poisoned) -> None:
        """Leave this out. Raises it again when nothing says what it was."""
        if poisoned.offset is not None:
            self.offsets.add(poisoned.offset)
        elif poisoned.sid is None:
            raise poisoned
        elif poisoned.expiry:
            self.expiries.add(poisoned.sid)
        else:
            self.sids.add(poisoned.sid)

    def clear(self) -> None:
        self.offsets.clear()
        self.sids.clear()
        self.expiries.clear()
