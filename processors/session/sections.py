"""What only some sessions have: ads, chapters, quality, player states. Units as in `state.py`."""

from typing import Final, NamedTuple

NEVER: Final = -1
"""A value that no player has sent, or a moment that has not come."""


class ClosedChapter(NamedTuple):
    """A chapter already reported whose last stretch of play may still turn out to have been a stall."""

    info: bytes
    instance: int
    revision: int
    played_ms: int
    run_ms: int
    started_ts: int
    ended_ts: int
    reason: str


class Ads:
    """Ad breaks and ads, from the first adBreakStart on. `ad` and `pod` are what the rows say of the open ones."""

    __slots__ = (
        "ad",
        "ad_ms",
        "ad_opened_ts",
        "ad_revision",
        "break_open",
        "break_opened_ts",
        "count",
        "credited_gap_ms",
        "gap_ms",
        "open",
        "open_ms",
        "pod",
    )

    def __init__(self) -> None:
        self.count = 0
        self.open = False
        self.break_open = False
        self.ad_ms = 0
        self.gap_ms = 0
        self.credited_gap_ms = 0
        self.open_ms = 0
        self.ad_opened_ts = 0
        self.break_opened_ts = 0
        self.ad_revision = 0
        self.ad = b""
        self.pod = b""


class Chapters:
    """Chapters, from the first chapterStart on. `run_ms` is the open one's share of a stall not yet found."""

    __slots__ = ("count", "info", "open", "open_ms", "opened_ts", "reported", "revision", "run_ms")

    def __init__(self) -> None:
        self.count = 0
        self.open = False
        self.open_ms = 0
        self.opened_ts = 0
        self.run_ms = 0
        self.revision = 0
        self.info = b""
        self.reported: list[ClosedChapter] = []


class Quality:
    """What the player said of its quality, from the first word on. Bitrates in kbps; `run_...` as in Chapters."""

    __slots__ = (
        "bitrate",
        "bitrate_changes",
        "bitrate_ms",
        "bitrate_sum",
        "dropped_frames",
        "dropped_frames_sum",
        "error_ids",
        "errors",
        "frames_per_second",
        "run_bitrate_ms",
        "run_bitrate_sum",
        "time_to_start_ms",
    )

    def __init__(self) -> None:
        self.bitrate = 0.0
        self.bitrate_ms = 0
        self.bitrate_sum = 0.0
        self.run_bitrate_ms = 0
        self.run_bitrate_sum = 0.0
        self.time_to_start_ms = NEVER
        self.dropped_frames = NEVER
        self.dropped_frames_sum = 0
        self.frames_per_second = float(NEVER)
        self.bitrate_changes = 0
        self.errors = 0
        self.error_ids: tuple[list[str], list[str]] | None = None
        """Distinct ones, of the player and external; None before the first."""


class PlayerState:
    """One named state of the player (full screen, mute). `since_at` is NEVER while it is off."""

    __slots__ = ("count", "since_at", "since_ts", "total_ms")

    def __init__(self) -> None:
        self.count = 0
        self.total_ms = 0
        self.since_at = NEVER
        self.since_ts = 0
