"""What is known of one session between two events: plain attributes, changed in place by the machine only.

Units: `..._ms` milliseconds, `..._ts` the player's clock in epoch ms, `..._received_at` the door's clock in epoch ms,
`..._at` the session's own stopwatch (`clock_ms`, which stands while a completed session waits for a replay), playheads
in seconds.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from processors.session.ledger import Playheads
from processors.session.sections import NEVER, Ads, Chapters, PlayerState, Quality

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


class Session(Playheads):
    """One session. `start` is what it was told at its start: bytes, written once, read when a row is made."""

    __slots__ = (
        "ads",
        "chapters",
        "closed",
        "completed",
        "flags",
        "is_serial",
        "may_infer_play",
        "phase",
        "phase_before_play",
        "played",
        "quality",
        "row_closed_at",
        "row_received_at",
        "row_stamp",
        "sid",
        "source",
        "stalled",
        "start",
        "start_document",
        "states",
    )

    def __init__(self, sid: str, source: str) -> None:
        super().__init__()
        self.sid = sid
        self.source = source
        self.start = b""
        self.start_document: Mapping[str, Any] | None = None
        # Of the record being folded, for the rows it makes; not kept between two.
        self.row_stamp = 0
        self.row_received_at = 0
        self.row_closed_at = NEVER
        # Where it stands.
        self.phase = STARTING
        self.phase_before_play = STARTING
        self.is_serial = False
        self.played = False
        self.completed = False
        self.closed = False
        self.may_infer_play = False
        self.stalled = False
        self.flags = 0
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
