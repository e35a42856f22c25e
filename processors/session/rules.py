"""The switches of the report rules, each with its default and its reason, and the limits no client can pass.

Questions on which the published descriptions agree, or which a deployment cannot want otherwise, have no switch:
equal timestamps are accepted and keep their order; names of player states match whatever their case; an error's id is
read from `params` and from `qoeData`; positions of pods and ads are passed through, whatever they count from; an ad
break that is never completed keeps its ads and is flagged; a live programme is complete if its player says so; seconds
are rounded half up, once, when a row is made; what is open at the close counts up to the last event.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Rules:
    """How a session is read. Times in milliseconds unless the name says otherwise.

    `idle_timeout_ms`, `still_timeout_ms`, `session_cap_ms`, `grace_ms`: when a session is over without a word. The
    grace keeps a client that ends its session at exactly the limit from finding it closed.
    `reorder_window_ms`, `reorder_window_events`: how long an event may wait for an older one.
    `heartbeat_interval_ms`: how often an open session tells its numbers so far.

    `resumed_is_start`: a resumed session also counts as a media start. Both can then be told apart by `hasResume`;
    False leaves `isViewed` away on resumed ones.
    `unfinished_rows`: an ad or chapter that was skipped or abandoned has a row (with its `closeReason`). Without it the
    seconds watched of it would be in the media time and nowhere else.
    `break_gap`: playing inside an ad break between two ads is `content` once the main content has begun, as for the ads
    of a break that never ends properly; `none` credits it to nobody. The amount is in `breakGapMs` either way.
    `error_interrupts`: an error stops the clocks until the player says what it does. Off: an error is no play state,
    and players report errors they survive.
    `bridge_zero_length_play`: a play of no length splits no pause and no buffering. `adStart` switches to play by
    itself, so a player paused across that moment would count a second pause it never made.

    `marker_rule`: `crossing` sets a progress marker when it was played across or landed on; `reached` when the
    playhead is at or beyond it, however it came there. The other reading is `extras.markersReached` or
    `markersCrossed`.
    `live_markers`: live and linear content has markers (and percentages) only if its player counts from zero
    (`fromZero`, the first playhead of the main content within `live_zero_seconds`); second-of-day playheads would make
    them nonsense. `always`, `never`.
    `segment_minutes`: what the ends of `segment` are rounded out to: 1, or 5 for the coarser view.
    `max_rate`, `seek_slack_seconds`: a playhead may run this much faster than the clock, and this far ahead, before the
    difference is a seek.

    `stall_events`, `stall_min_ms`: a stall is a playhead unmoved over at least so many events of different `ts` and so
    long. Several events at one instant are no stall.
    `bps_from`: bitrates from here on are bits per second, below kilobits per second (clients send both; flag
    `bitrateBps`). 0: all are kilobits.
    `chapter_id`: `index` makes the id from content id and index, as the samples show; `offset` adds the offset.
    `last_call`: `secondsSinceLastCall` counts from the last `event`, or from the last `action` (anything but a ping);
    the latter is always there as `extras.secondsSinceLastAction`.

    `gap_cap_ms`: the longest time one gap between two events can add; 0 for no cap, because an event after a lost
    hour of pings proves that hour. `long_gap_ms`: a gap in play beyond it raises the flag `longGap`.
    `clock_jump_ms`: a gap beyond it is a clock that was set, not time: it adds nothing and raises `clockSkew`.
    """

    idle_timeout_ms: int = 600_000
    still_timeout_ms: int = 1_800_000
    session_cap_ms: int = 86_400_000
    grace_ms: int = 60_000
    reorder_window_ms: int = 5_000
    reorder_window_events: int = 10
    heartbeat_interval_ms: int = 30_000

    resumed_is_start: bool = True
    unfinished_rows: bool = True
    break_gap: Literal["content", "none"] = "content"
    error_interrupts: bool = False
    bridge_zero_length_play: bool = True

    marker_rule: Literal["crossing", "reached"] = "crossing"
    live_markers: Literal["fromZero", "always", "never"] = "fromZero"
    live_zero_seconds: float = 10.0
    segment_minutes: int = 1
    max_rate: float = 2.0
    seek_slack_seconds: float = 2.0

    stall_events: int = 3
    stall_min_ms: int = 3_000
    bps_from: int = 100_000
    chapter_id: Literal["index", "offset"] = "index"
    last_call: Literal["event", "action"] = "event"

    gap_cap_ms: int = 0
    long_gap_ms: int = 60_000
    clock_jump_ms: int = 604_800_000


# Limits. Whoever passes one loses what is beyond it, and the session carries the flag `truncated`.
MAX_STATES: Final = 10
"""Names of player states; further ones are discarded, as Adobe's are."""
MAX_STATE_NAME: Final = 64
MAX_ERROR_IDS: Final = 50
"""Distinct error ids kept of each source; every error is counted."""
MAX_ERROR_ID_BYTES: Final = 256
MAX_INTERVALS: Final = 200
"""Separate stretches of content played; beyond it the shortest is forgotten, so unique time is never too large."""
MAX_TEXT_BYTES: Final = 2_048
"""One text value, as JSON."""
MAX_METADATA_KEYS: Final = 500
MAX_METADATA_BYTES: Final = 64 * 1024
"""One event's custom metadata, as JSON."""
MAX_GENRES: Final = 64
MAX_CUSTOMER_IDS: Final = 32
MAX_REPORTED_CHAPTERS: Final = 8
"""Chapters closed during one run of an unmoved playhead that a stall can still revise; then the run starts anew."""
MAX_REPORTED_BYTES: Final = 32 * 1024

PLAYHEAD_LIMIT: Final = 1e13
"""Playheads beyond are taken as this: a float counts milliseconds exactly up to here, and epoch milliseconds fit."""
NUMBER_LIMIT: Final = 2**53
"""Any other number a player sends: what every JSON reader can hold."""
LAST_TS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
