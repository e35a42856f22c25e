"""What a lane keeps of one Roundware session: its visits, its listen events, what lists show of it."""

from dataclasses import dataclass, field
from enum import IntEnum

from processors.roundware.reading import zone_minutes
from processors.roundware.rules import KEPT_MS, MAX_TEXT, MUTED_MS, RoundwareRules
from processors.roundware.visit import Play, Visit
from schemas.roundware import Document, Session


class Kind(IntEnum):
    """What a session's state stands for."""

    OPEN = 1
    """A visit is open."""
    RESTING = 2
    """No visit is open; the next record opens one."""
    POISONED = 3
    """Muted: the machine raised on it too often."""
    GONE = 4
    """Forgotten: its records become tombstones."""


@dataclass(frozen=True, slots=True)
class Told:
    """What rows repeat of a session. After it was forgotten, only what every record says: project, user and device."""

    project: int | None = None
    user: int | None = None
    device: str | None = None
    client_type: str | None = None
    client_system: str | None = None
    timezone: str | None = None
    language: str | None = None
    language_id: int | None = None
    geo_listen: bool | None = None
    demo_stream: bool | None = None

    @property
    def zone(self) -> str | None:
        """The session's zone, if there is such a one."""
        return None if zone_minutes(self.timezone) is None else self.timezone


def told_by(document: Document) -> Told:
    """What a record says of its session."""
    project, user, device = document.project, document.user, _short(document.device)
    if not isinstance(document, Session):
        return Told(project, user, device)
    return Told(
        project,
        user,
        device,
        client_type=_short(document.client_type),
        client_system=_short(document.client_system),
        timezone=_short(document.timezone),
        language=_short(document.language),
        language_id=document.language_id,
        geo_listen=document.geo_listen,
        demo_stream=document.demo_stream,
    )


def _short(text: str | None) -> str | None:
    return text and text[:MAX_TEXT]


@dataclass(slots=True)
class State:
    """One session. Times in epoch ms.

    `at`: its clock, the newest moment of any of its records. `received_at`: of its newest record, as the door said.
    `is_told`: its session record is shown. `visits`: ordinal of the newest visit; `last`: the one closed last.
    `heartbeats`: instance of the newest. `plays` by the number of the listen event, in order of arrival, and the
    numbers of `events`: what lists show.
    """

    sid: str
    kind: Kind = Kind.RESTING
    strikes: int = 0
    at: int = 0
    received_at: int = 0
    told: Told | None = None
    is_told: bool = False
    visits: int = 0
    visit: Visit | None = None
    last: Visit | None = None
    heartbeats: int = 0
    heartbeat_at: int = 0
    plays: dict[int, Play] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.sid[2:])

    def deadline(self, rules: RoundwareRules) -> int:
        """After which moment the visit is over, or a session without one is forgotten."""
        if self.visit is not None:
            stop_at = self.visit.stop_at
            return self.at + rules.idle_timeout_ms if stop_at is None else stop_at
        return self.at + (MUTED_MS if self.kind is Kind.POISONED else KEPT_MS)
