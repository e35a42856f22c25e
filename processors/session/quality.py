"""What players say of their quality: bitrate, start-up time, frames, errors."""

from collections.abc import Mapping
from typing import Any

from processors.session import flags, playback, reading
from processors.session.rules import MAX_ERROR_ID_BYTES, MAX_ERROR_IDS, NUMBER_LIMIT, Rules
from processors.session.sections import NEVER, Quality
from processors.session.state import Session
from schemas.events import Event
from schemas.reports import Row

_WORDS = ("media.qoe.bitrate", "media.qoe.timeToStart", "media.qoe.droppedFrames", "media.qoe.framesPerSecond")


def read(session: Session, sent: Mapping[str, Any], rules: Rules) -> None:
    """Take what one event says; what it does not say stays as it was."""
    quality = session.quality
    if quality is None:
        quality = session.quality = Quality()
    bitrate = reading.number(sent.get("media.qoe.bitrate", sent.get("bitrate")))
    if bitrate is not None and bitrate > 0:
        if rules.bps_from and bitrate >= rules.bps_from:
            bitrate /= 1000
            session.flags |= flags.BITRATE_BPS
        quality.bitrate = float(bitrate)
    time_to_start = reading.whole(sent.get("media.qoe.timeToStart"))
    # The latest up to the first main play, else the first: late events carry nonsense here.
    if time_to_start is not None and time_to_start >= 0 and (not session.played or quality.time_to_start_ms == NEVER):
        quality.time_to_start_ms = time_to_start
    _read_frames(quality, sent)


def _read_frames(quality: Quality, sent: Mapping[str, Any]) -> None:
    dropped = reading.whole(sent.get("media.qoe.droppedFrames"))
    if dropped is not None and dropped >= 0:
        last = quality.dropped_frames
        added = dropped - last if last != NEVER and dropped >= last else dropped  # fewer: the player began anew
        quality.dropped_frames_sum = min(quality.dropped_frames_sum + added, NUMBER_LIMIT)
        quality.dropped_frames = dropped
    frames = reading.number(sent.get("media.qoe.framesPerSecond"))
    if frames is not None and frames >= 0:
        quality.frames_per_second = float(frames)


def change_bitrate(session: Session, event: Event, rules: Rules, _rows: list[Row]) -> None:
    """Every such event is a change, whatever value it carries."""
    read_params(session, event, rules)
    if session.quality is None:
        session.quality = Quality()
    session.quality.bitrate_changes += 1


def read_params(session: Session, event: Event, rules: Rules) -> None:
    """Some pages put the quality keys into `params`; `qoeData` goes before."""
    params = event.params
    if not event.qoe and any(word in params for word in _WORDS):
        read(session, params, rules)


def error(session: Session, event: Event, rules: Rules, _rows: list[Row]) -> None:
    """Every error counts; of each source the distinct ids are kept."""
    quality = session.quality
    if quality is None:
        quality = session.quality = Quality()
    quality.errors += 1
    if rules.error_interrupts:
        playback.interrupt(session)
    params, qoe = event.params, event.qoe
    sent = qoe.get("media.qoe.errorID", params.get("media.errorId"))
    if sent is None:
        return
    error_id = reading.text(session, sent, MAX_ERROR_ID_BYTES)
    source = qoe.get("media.qoe.errorSource", params.get("media.errorSource", qoe.get("media.qoe.media.errorSource")))
    if not error_id:
        return
    if quality.error_ids is None:
        quality.error_ids = ([], [])
    known = quality.error_ids[1 if source == "external" else 0]
    if error_id in known:
        return
    if len(known) == MAX_ERROR_IDS:
        session.flags |= flags.TRUNCATED
        return
    known.append(error_id)
