"""What a row warns its reader of, as bits in a session and as words on a row."""

from typing import Final

CLOCK_SKEW: Final = 1
"""A `ts` went backwards, jumped, or is no date: that stretch adds no time."""
TRUNCATED: Final = 2
"""Something passed a limit of `rules.py` and is not, or not wholly, in the numbers."""
UNCLOSED_BREAK: Final = 4
"""An ad break ended without adBreakComplete; its ads are kept."""
IGNORED_AD: Final = 8
"""An adStart outside a break or without an ad id; its time is not an ad's."""
INFERRED_PLAY: Final = 16
"""After the pre-roll the playhead ran without a `play`: one is assumed at the end of the break."""
LONG_GAP: Final = 32
"""Play time counted over a silence longer than `long_gap_ms`."""
BITRATE_BPS: Final = 64
"""Bitrates were large enough to be bits per second and were divided by 1,000."""
INCOMPLETE_BATCH: Final = 128
"""An offline upload broke off and the rest has not come."""
NO_EVENTS: Final = 256
"""Nothing followed sessionStart; set on the close row only."""
OPEN_STATE: Final = 512
"""A player state was still on at the close and counts up to it; set on the close row only."""

_NAMES: Final = {
    CLOCK_SKEW: "clockSkew",
    TRUNCATED: "truncated",
    UNCLOSED_BREAK: "unclosedBreak",
    IGNORED_AD: "ignoredAd",
    INFERRED_PLAY: "inferredPlay",
    LONG_GAP: "longGap",
    BITRATE_BPS: "bitrateBps",
    INCOMPLETE_BATCH: "incompleteBatch",
    NO_EVENTS: "noEvents",
    OPEN_STATE: "openState",
}


def words(bits: int) -> list[str]:
    return [name for bit, name in _NAMES.items() if bits & bit]
