"""What is known of one session between two events: plain attributes, changed in place by the machine only.

Units: `..._ms` milliseconds, `..._ts` the player's clock in epoch ms, `..._received_at` the door's clock in epoch ms,
`..._at` the session's own stopwatch (`clock_ms`, which stands while a completed session waits for a replay), playheads
in seconds.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

STARTING: Final = 0
PLAYING: Final = 1
PAUSED: Final = 2
BUFFERING: Final = 3
INTERRUPTED: Final = 4
"""After an `error`, only under the switch `error_interrupts`."""
COMPLETED: Final = 5
"""After sessionComplete: nothing accrues until a `play`."""

COLLECTION: Final = "collection"
BATCH: Final = "batch"
ROUNDWARE: Final = "roundware"
SOURCES: Final = (COLLECTION, BATCH, ROUNDWARE)

SERIAL_LIBRARIES: Final = ("ios-", "tvos-", "android-")

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
        self.error_ids: tuple[list[str], list[str]] = ([], [])  # of the player, external


class PlayerState:
    """One named state of the player (full screen, mute). `since_at` is NEVER while it is off."""

    __slots__ = ("count", "since_at", "since_ts", "total_ms")

    def __init__(self) -> None:
        self.count = 0
        self.total_ms = 0
        self.since_at = NEVER
        self.since_ts = 0


class Session:
    """One session. `start` is what it was told at its start: bytes, written once, read when a row is made.

    `folded_events` counts every event folded, sessionStart included.
    """

    __slots__ = (
        "ads",
        "buffer_ad_ms",
        "buffer_count",
        "buffer_ms",
        "buffer_startup_ms",
        "chapters",
        "clock_ms",
        "close_digest",
        "close_revision",
        "closed",
        "completed",
        "completed_ms",
        "content_ms",
        "created_at",
        "crossed",
        "error_ms",
        "flags",
        "folded_events",
        "heartbeats",
        "high",
        "intervals",
        "is_serial",
        "largest_gap_ms",
        "last_action_at",
        "last_heartbeat_received_at",
        "last_received_at",
        "last_ts",
        "length",
        "low",
        "main_playhead",
        "may_infer_play",
        "moved_at",
        "next_marker",
        "pause_count",
        "pause_ms",
        "phase",
        "phase_before_play",
        "play_entered_at",
        "played",
        "played_from",
        "played_to",
        "playhead",
        "quality",
        "row_closed_at",
        "row_received_at",
        "row_stamp",
        "run_events",
        "run_ms",
        "seek_count",
        "server_startup_ms",
        "sid",
        "source",
        "stall_count",
        "stall_ms",
        "stalled",
        "start",
        "start_document",
        "started_ts",
        "starting_ms",
        "states",
        "with_markers",
    )

    def __init__(self, sid: str, source: str) -> None:
        self.sid = sid
        self.source = source
        self.start = b""
        self.start_document: Mapping[str, Any] | None = None
        # Of the record being folded, for the rows it makes; not kept between two.
        self.row_stamp = 0
        self.row_received_at = 0
        self.row_closed_at = NEVER
        # The clocks.
        self.created_at = 0
        self.started_ts = 0
        self.last_ts = 0
        self.last_received_at = 0
        self.last_heartbeat_received_at = 0
        self.clock_ms = 0
        self.completed_ms = 0
        self.largest_gap_ms = 0
        self.moved_at = 0
        self.last_action_at = 0
        self.play_entered_at = NEVER
        self.server_startup_ms = NEVER
        # Where it stands.
        self.phase = STARTING
        self.phase_before_play = STARTING
        self.is_serial = False
        self.with_markers = False
        self.played = False
        self.completed = False
        self.closed = False
        self.may_infer_play = False
        self.stalled = False
        self.flags = 0
        # What it has counted.
        self.folded_events = 0
        self.heartbeats = 0
        self.close_revision = 0
        self.close_digest = 0
        self.pause_count = 0
        self.buffer_count = 0
        self.stall_count = 0
        self.seek_count = 0
        # Where its time went.
        self.starting_ms = 0
        self.content_ms = 0
        self.pause_ms = 0
        self.buffer_ms = 0
        self.buffer_startup_ms = 0
        self.buffer_ad_ms = 0
        self.stall_ms = 0
        self.error_ms = 0
        # Playheads.
        self.length = 0.0
        self.playhead = 0.0
        self.main_playhead = 0.0
        self.low = 0.0
        self.high = 0.0
        self.played_from = 0.0
        self.played_to = 0.0
        self.crossed = 0
        self.next_marker = 0.0
        self.run_events = 0
        self.run_ms = 0
        self.intervals: list[tuple[float, float]] = []
        # What most sessions never have.
        self.ads: Ads | None = None
        self.chapters: Chapters | None = None
        self.quality: Quality | None = None
        self.states: dict[str, PlayerState] | None = None

    @property
    def ad_opened_ts(self) -> int | None:
        ads = self.ads
        return ads.ad_opened_ts if ads is not None and ads.open else None

    @property
    def break_opened_ts(self) -> int | None:
        ads = self.ads
        return ads.break_opened_ts if ads is not None and ads.break_open else None

    @property
    def chapter_opened_ts(self) -> int | None:
        chapters = self.chapters
        return chapters.opened_ts if chapters is not None and chapters.open else None

    @property
    def open_states(self) -> dict[str, int]:
        """The player states that are on, by their report name, and the `ts` each has been on since."""
        if not self.states:
            return {}
        return {name: state.since_ts for name, state in self.states.items() if state.since_at != NEVER}

    @property
    def library_version(self) -> str | None:
        """`media.libraryVersion` as sent: which client this is."""
        version: str | None = self.told().get("library")
        return version

    def told(self) -> Mapping[str, Any]:
        """What the session was told at its start, read from its record at most once per draft."""
        if self.start_document is None:
            self.start_document = orjson.loads(memoryview(self.start)[1:])
        return self.start_document
