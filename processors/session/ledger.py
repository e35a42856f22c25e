"""What a session has counted, where its time went and where in its content it was: numbers, in three layers.

They are one object with `state.Session`, which is made of these layers for no other reason than its length.
"""

from collections.abc import Sequence

from processors.session.sections import NEVER


class Ledger:
    """Counts, and the accounts of time. `folded_events` counts every event folded, sessionStart included."""

    __slots__ = (
        "buffer_ad_ms",
        "buffer_count",
        "buffer_ms",
        "buffer_startup_ms",
        "close_digest",
        "close_revision",
        "content_ms",
        "error_ms",
        "folded_events",
        "heartbeats",
        "pause_count",
        "pause_ms",
        "seek_count",
        "stall_count",
        "stall_ms",
        "starting_ms",
    )

    def __init__(self) -> None:
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


class Clocks(Ledger):
    """Moments, and the stopwatches."""

    __slots__ = (
        "clock_ms",
        "completed_ms",
        "created_at",
        "largest_gap_ms",
        "last_action_at",
        "last_heartbeat_received_at",
        "last_received_at",
        "last_ts",
        "moved_at",
        "play_entered_at",
        "server_startup_ms",
        "started_ts",
    )

    def __init__(self) -> None:
        super().__init__()
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


class Playheads(Clocks):
    """Where in the content it was, and the run of events that have not moved it."""

    __slots__ = (
        "crossed",
        "high",
        "intervals",
        "length",
        "low",
        "main_playhead",
        "next_marker",
        "played_from",
        "played_to",
        "playhead",
        "run_events",
        "run_ms",
        "with_markers",
    )

    def __init__(self) -> None:
        super().__init__()
        self.with_markers = False
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
        self.intervals: Sequence[tuple[float, float]] = ()
