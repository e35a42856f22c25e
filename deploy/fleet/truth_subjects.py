"""What is open in a session: the ad break, its ad, the chapter; and the rows their ends are noted down for."""

from dataclasses import dataclass
from typing import NamedTuple

from deploy.fleet.truth_records import Told

AD_INFO = ("media.ad.id", "media.ad.name", "media.ad.length", "media.ad.podPosition")
BREAK_INFO = ("media.ad.podIndex", "media.ad.podSecond", "media.ad.podFriendlyName")
CHAPTER_INFO = (
    "media.chapter.index",
    "media.chapter.offset",
    "media.chapter.length",
    "media.chapter.friendlyName",
)


@dataclass(slots=True)
class Subject:
    """An ad or a chapter: `told` opened it. Instants are the player's; `reason` is None while it is open."""

    instance: int
    told: Told
    started_at: int
    pod: Told | None = None
    ended_at: int | None = None
    reason: str | None = None


class Note(NamedTuple):
    """A row to be made now. `subject` is the ad or chapter it is about, None for the session itself."""

    kind: str
    subject: Subject | None
    reason: str | None = None


@dataclass(slots=True)
class Opening:
    """What is open, with the instant it was opened."""

    pod: Told | None = None
    pod_at: int = 0
    ad: Subject | None = None
    chapter: Subject | None = None


def same(active: Told | None, repeated: Told, info: tuple[str, ...]) -> bool:
    """Whether this start says again what is open already."""
    return active is not None and all(active.params.get(key) == repeated.params.get(key) for key in info)
