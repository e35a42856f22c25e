"""What one record or one expiry of a Roundware session has to write: rows, and what its lists are answered from."""

from dataclasses import dataclass, field

from schemas import roundware
from schemas.reports import CloseReason, Row
from schemas.roundware import Event, Listen, Session


@dataclass(slots=True)
class Effects:
    """`folded`: (key, value or None) on the folded topic, in order. `opened`, `closed`: visits."""

    rows: list[Row] = field(default_factory=list)
    folded: list[tuple[str, bytes | None]] = field(default_factory=list)
    opened: int = 0
    closed: list[CloseReason] = field(default_factory=list)

    def show(self, document: Session | Event | Listen) -> None:
        """Lists show this from now on."""
        self.folded.append((roundware.folded_key(document), roundware.encode(document)))

    def bury(self, key: str) -> None:
        """Lists show it no more."""
        self.folded.append((key, None))
