"""A session's numbers so far: the row of its close, and the same of a session still open."""

from hashlib import blake2b
from typing import Any, Final

import orjson

from processors.session import flags, player_states, progress, reading
from processors.session import rows as report
from processors.session.rules import NUMBER_LIMIT, Rules
from processors.session.sections import NEVER, Ads, Quality
from processors.session.state import Session
from schemas.reports import CloseReason, Row, RowKind

BLOCK_MS: Final = 1_800_000
"""What estimated streams count: begun half hours of media time."""

_NO_ADS: Final = Ads()
_NO_QUALITY: Final = Quality()


def heartbeat(session: Session, rules: Rules) -> Row:
    """Values so far, under the next instance."""
    session.heartbeats += 1
    own = report.heading(session, RowKind.HEARTBEAT, session.heartbeats, 0)
    own["final"] = False
    extras = {**_extras(session, rules), "foldedEvents": session.folded_events}
    blocks = _blocks(session, rules)
    blocks["sessionDetails"]["secondsSinceLastCall"] = 0
    return _row(session, own, blocks, extras)


def close(session: Session, reason: CloseReason, rules: Rules, *, silent_ms: int) -> Row | None:
    """The close row; again only if its numbers have changed since, as the next revision.

    `silent_ms`: from the last event to the close.
    """
    blocks = _blocks(session, rules)
    extras = _extras(session, rules)
    details = blocks["sessionDetails"]
    if session.told()["resume"]:
        details["hasResume"] = True
    if not session.played:
        blocks["qoeDataDetails"]["isDroppedBeforeStart"] = True
        extras["dropReason"] = _drop_reason(session)
    digest = _digest(blocks, extras)
    if session.close_revision and digest == session.close_digest:
        return None
    since_action = silent_ms + session.clock_ms - session.last_action_at
    details["secondsSinceLastCall"] = reading.seconds(silent_ms if rules.last_call == "event" else since_action)
    extras["secondsSinceLastAction"] = reading.seconds(since_action)
    own = report.heading(session, RowKind.SESSION_CLOSE, 1, session.close_revision)
    own["final"] = True
    own["closeReason"] = str(CloseReason.COMPLETE if session.completed else reason)
    session.close_revision += 1
    session.close_digest = digest
    bits = flags.OPEN_STATE if session.open_states else 0
    if session.folded_events == 1:
        bits |= flags.NO_EVENTS
    own["flags"] = flags.words(session.flags | bits)
    return _row(session, own, blocks, extras)


def _row(session: Session, own: dict[str, Any], blocks: dict[str, Any], extras: dict[str, Any]) -> Row:
    own["startedAt"] = session.started_ts
    own["endedAt"] = session.last_ts
    return report.row(session, own, blocks, session.told()["metadata"], extras)


def _digest(blocks: dict[str, Any], extras: dict[str, Any]) -> int:
    """Whether numbers have changed is asked of numbers alone: not of the moment, nor of the reason."""
    content = orjson.dumps((blocks, extras), option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(content, digest_size=7).digest(), "little")


def _blocks(session: Session, rules: Rules) -> dict[str, Any]:
    blocks: dict[str, Any] = {"sessionDetails": _details(session, rules), "qoeDataDetails": _quality(session)}
    if session.states:
        blocks["states"] = _states(session)
    return blocks


def _details(session: Session, rules: Rules) -> dict[str, Any]:
    ads = session.ads or _NO_ADS
    media_ms = session.content_ms + ads.ad_ms
    details = report.dimensions(session)
    details["timePlayed"] = reading.seconds(session.content_ms)
    details["totalTimePlayed"] = reading.seconds(media_ms)
    details["uniqueTimePlayed"] = reading.half_up(progress.unique_seconds(session))
    details["pauseCount"] = session.pause_count
    details["pauseTime"] = reading.seconds(session.pause_ms)
    details["adCount"] = ads.count
    details["chapterCount"] = session.chapters.count if session.chapters is not None else 0
    details["estimatedStreams"] = media_ms // BLOCK_MS + 1
    if session.pause_count:
        details["hasPauseImpactedStreams"] = True
    if session.completed:
        details["isCompleted"] = True
    if session.played:
        details["isPlayed"] = True
        details["hasSegmentView"] = True
        details["segment"] = progress.segment(session, rules)
        if session.length > 0:
            average = session.content_ms / 1000 / session.length
            details["averageMinuteAudience"] = round(min(average, NUMBER_LIMIT), 4)
        markers = session.crossed if rules.marker_rule == "crossing" else progress.reached(session)
        for threshold in progress.markers(markers):
            details[f"hasProgress{threshold}"] = True
    return details


def _quality(session: Session) -> dict[str, Any]:
    quality = session.quality or _NO_QUALITY
    block: dict[str, Any] = {
        "bufferCount": session.buffer_count,
        "bufferTime": reading.seconds(session.buffer_ms),
        "stallCount": session.stall_count,
        "stallTime": reading.seconds(session.stall_ms),
        "bitrateChangeCount": quality.bitrate_changes,
        "errorCount": quality.errors,
    }
    for name, happened in (
        ("hasBufferImpactedStreams", session.buffer_count),
        ("hasStallImpactedStreams", session.stall_count),
        ("hasBitrateChangeImpactedStreams", quality.bitrate_changes),
        ("hasErrorImpactedStreams", quality.errors),
        ("hasDroppedFrameImpactedStreams", quality.dropped_frames > 0),
    ):
        if happened:
            block[name] = True
    if quality.time_to_start_ms != NEVER:
        block["timeToStart"] = reading.seconds(quality.time_to_start_ms)
    if quality.bitrate:
        mean = quality.bitrate_sum / quality.bitrate_ms if quality.bitrate_ms else quality.bitrate
        block["bitrateAverage"] = average = reading.half_up(mean)
        hundreds = average // 100
        block["bitrateAverageBucket"] = f"{hundreds * 100}-{hundreds * 100 + 99}"
    if quality.dropped_frames != NEVER:
        block["droppedFrames"] = quality.dropped_frames
    if quality.frames_per_second != NEVER:
        block["framesPerSecond"] = reading.half_up(quality.frames_per_second)
    ids = zip(("playerSdkErrors", "externalErrors"), quality.error_ids or ((), ()), strict=True)
    return block | {name: known for name, known in ids if known}


def _states(session: Session) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "isSet": True,
            "count": state.count,
            "time": reading.seconds(player_states.played_ms(session, state)),
        }
        for name, state in (session.states or {}).items()
    ]


def _extras(session: Session, rules: Rules) -> dict[str, Any]:
    ads = session.ads or _NO_ADS
    extras: dict[str, Any] = {
        "contentMs": session.content_ms,
        "mediaMs": session.content_ms + ads.ad_ms,
        "adMs": ads.ad_ms,
        "pauseMs": session.pause_ms,
        "bufferMs": session.buffer_ms,
        "stallMs": session.stall_ms,
        "startingMs": session.starting_ms,
        "breakGapMs": ads.gap_ms,
        "seekCount": session.seek_count,
        "largestGapMs": session.largest_gap_ms,
    }
    if "length" in session.told():
        extras["lengthSeconds"] = session.told()["length"]
    seldom = (
        ("breakGapCreditedMs", ads.credited_gap_ms),
        ("bufferStartupMs", session.buffer_startup_ms),
        ("bufferAdMs", session.buffer_ad_ms),
        ("errorMs", session.error_ms),
    )
    extras |= {name: value for name, value in seldom if value}
    if session.server_startup_ms != NEVER:
        extras["serverStartupMs"] = session.server_startup_ms
    if session.quality is not None:
        _quality_extras(session.quality, extras)
    if session.with_markers:
        _progress_extras(session, rules, extras)
    return extras


def _quality_extras(quality: Quality, extras: dict[str, Any]) -> None:
    if quality.dropped_frames != NEVER:
        extras["droppedFramesSum"] = quality.dropped_frames_sum
    if quality.time_to_start_ms != NEVER:
        extras["timeToStartMs"] = quality.time_to_start_ms


def _progress_extras(session: Session, rules: Rules, extras: dict[str, Any]) -> None:
    def percent(seconds: float) -> float:
        return round(min(max(seconds * 100 / session.length, 0), 100), 2)

    extras["percentReached"] = percent(session.high)
    extras["percentUnique"] = percent(progress.unique_seconds(session))
    other = (
        ("markersReached", progress.reached(session))
        if rules.marker_rule == "crossing"
        else ("markersCrossed", session.crossed)
    )
    if other[1]:
        extras[other[0]] = progress.markers(other[1])


def _drop_reason(session: Session) -> str:
    """Why a session was dropped before its content started, the likeliest first."""
    if session.ads is not None and session.ads.count:
        return "preroll"
    if session.quality is not None and session.quality.errors:
        return "error"
    return "buffer" if session.buffer_count else "none"
