"""The extras of a session-close or heartbeat row: a second reading of reports.md 5 and topics.md 3."""

from fractions import Fraction
from typing import Any

from deploy.fleet.expectation import ABSENT, Anything, Maybe, Near, OneOf
from deploy.fleet.truth_story import Story
from deploy.fleet.truth_time import BLUR_MS

Document = dict[str, Any]
MARKERS = (10, 25, 50, 75, 95)


def session_extras(story: Story) -> Document:
    """The extras of a session-close or heartbeat; those whose form the contract leaves open have room."""
    time = story.timeline
    content_ms, ad_ms = time.content_ms(), time.sum_ms("ad")
    extras: Document = {
        "contentMs": content_ms,
        "adMs": ad_ms,
        "mediaMs": content_ms + ad_ms,
        "pauseMs": time.sum_ms("pause"),
        "bufferMs": time.sum_ms("buffer"),
        "stallMs": time.sum_ms("stall"),
        "startingMs": time.sum_ms("starting"),
        "breakGapMs": time.sum_ms("gap"),
        "seekCount": time.seeks,
        # Names the contract does not give: right where they stand, and free to be absent.
        "breakGapCreditedMs": Maybe(sum(span.ms for span in time.spans if span.credited)),
        "bufferAdMs": Maybe(sum(span.ms for span in time.spans if span.bucket == "buffer" and span.ad)),
        "bufferStartupMs": Maybe(_startup_buffer_ms(story)),
        "timeToStartMs": Maybe(_or_absent(story.quality.time_to_start_ms())),
        "secondsSinceLastAction": Anything(),
        "largestGapMs": time.largest_gap_ms or Maybe(0),
    }
    if story.quality.dropped_frames:
        extras["droppedFramesSum"] = story.quality.dropped_frames_sum()
    if story.first_play_at is None:
        extras["dropReason"] = _drop_reason(story)
        return extras
    extras["serverStartupMs"] = OneOf((story.startup_ms, max(0, story.startup_ms)))
    length_ms = story.length_ms
    if length_ms is not None and story.has_markers:
        reached = [marker for marker in MARKERS if max(time.seen) + BLUR_MS >= marker * length_ms / 100]
        extras |= {
            "percentReached": percent(max(time.seen) / length_ms),
            "percentUnique": percent(story.timeline.unique_ms() / length_ms),
            "markersReached": reached or Maybe(reached),
        }
    return extras


def _startup_buffer_ms(story: Story) -> int:
    started_at = story.first_play_at if story.first_play_at is not None else story.timeline.now
    return sum(
        span.ms for span in story.timeline.spans if span.bucket == "buffer" and not span.ad and span.end <= started_at
    )


def _drop_reason(story: Story) -> Any:
    if story.ads:
        return "preroll"
    if story.quality.errors:
        return "error"
    return "buffer" if story.playback.buffers else Maybe("none")


def percent(share: Fraction) -> Near:
    """To half a percent, of the content there is: nothing beyond its ends."""
    return Near(float(100 * min(max(share, Fraction()), Fraction(1))), 0.5)


def _or_absent(value: Any) -> Any:
    return ABSENT if value is None else value
