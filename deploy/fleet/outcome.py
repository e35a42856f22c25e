"""What a truth depends on and what it consists of: timeouts in, expected rows and rejects out."""

from dataclasses import dataclass
from typing import Any

from deploy.fleet.truth_records import Told

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The settings a truth depends on, in milliseconds."""

    idle: int = 600_000
    still: int = 1_800_000
    cap: int = 86_400_000
    grace: int = 60_000
    window: int = 5_000
    heartbeat: int = 30_000


@dataclass(frozen=True, slots=True)
class Reject:
    event: Told
    code: str


@dataclass(frozen=True, slots=True)
class Expected:
    """One expected row. `document` lacks nothing but may hold `Loose` values.

    `optional`: a revision that is none if its loose values are read so that nothing has changed.
    """

    kind: str
    instance: int
    revision: int
    document: Document
    optional: bool = False

    @property
    def row_id(self) -> str:
        return str(self.document["_id"])
