"""The machine of one session: each event type has one row in a table that says what it does.

    begin --> [ gap before the event is booked --> what the event says is read --> its row of HANDLERS ] --> expire

The state is a play state (starting, playing, paused, buffering, completed) beside an ad break with its ad, a chapter
and the player states, none of which knows of the others. The gap between two events belongs to the state before the
later one. Nothing here asks for the time or keeps anything outside the session.
"""

from collections.abc import Callable
from typing import Final

from processors.session import ads, chapters, clock, flags, packed, playback, player_states, quality, reading, summary
from processors.session import rows as report
from processors.session import start as start_record
from processors.session.rules import LAST_TS, PLAYHEAD_LIMIT, Rules
from processors.session.sections import NEVER
from processors.session.state import BATCH, COMPLETED, SERIAL_LIBRARIES, Session
from schemas import session_ids
from schemas.events import Envelope, Event, EventType
from schemas.reports import CloseReason, Row

_PING: Final = EventType.PING
Handler = Callable[[Session, Event, Rules, list[Row]], None]


def begin(envelope: Envelope, event: Event, rules: Rules) -> tuple[Session, list[Row]]:
    """Open the session of a sessionStart. Its one row is the session-start."""
    session = Session(envelope.sid, envelope.source)
    ts = clock.held(event.ts)
    received_at = envelope.received_at
    batch = envelope.source == BATCH
    session.created_at = received_at if batch else session_ids.created_at(envelope.sid)
    session.started_ts = session.last_ts = ts
    session.last_received_at = session.last_heartbeat_received_at = received_at
    session.playhead = session.main_playhead = reading.playhead(event.playhead)
    session.length = float(reading.number(event.params.get("media.length")) or 0)
    session.folded_events = 1
    if not clock.is_date(ts):
        session.flags |= flags.CLOCK_SKEW
    session.start = start_record.record(session, event, downloaded=batch)
    session.is_serial = batch or (session.library_version or "").startswith(SERIAL_LIBRARIES)
    if event.qoe:
        quality.read(session, event.qoe, rules)
    quality.read_params(session, event, rules)
    session.row_stamp = report.stamp(ts, received_at)
    session.row_received_at = received_at
    return session, [report.session_start(session, start_record.fingerprint(envelope.event), rules)]


def advance(session: Session, event: Event, received_at: int, rules: Rules) -> list[Row]:
    """Fold the next event, in final order, and answer the rows it makes. Changes the session in place."""
    rows: list[Row] = []
    event_type, playhead, ts, _params, qoe, _metadata = event
    if type(playhead) is int or not -PLAYHEAD_LIMIT <= playhead <= PLAYHEAD_LIMIT:
        playhead = reading.playhead(playhead)  # always a float, as in a session that was packed meanwhile
    gap_ms = ts - session.last_ts
    if 0 <= gap_ms <= rules.long_gap_ms and 0 <= ts <= LAST_TS and session.last_ts >= 0 and not rules.gap_cap_ms:
        session.last_ts = session.row_stamp = ts
    else:
        gap_ms = clock.fold(session, ts, rules)
        session.row_stamp = session.last_ts if clock.is_date(ts) else received_at
    moved = playhead != session.playhead
    session.playhead = playhead
    session.row_received_at = received_at
    session.last_received_at = max(session.last_received_at, received_at)
    session.folded_events += 1
    playback.accrue(session, event, gap_ms, rules, rows)
    if moved:
        session.moved_at = session.clock_ms + session.completed_ms
    if qoe and (session.phase != COMPLETED or event_type is EventType.PLAY):  # the play that begins a replay
        quality.read(session, qoe, rules)
    if event_type is not _PING:
        HANDLERS[event_type](session, event, rules, rows)
        session.last_action_at = session.clock_ms
    return rows


def expire(session: Session, reason: CloseReason, closed_at: int, rules: Rules) -> list[Row]:
    """Close a session that nobody ends. `closed_at` is its deadline without grace, by the door's clock.

    END closes a batch at its last element, as a sessionEnd there would. A batch that expires for any other reason is
    incomplete: its rows go out flagged, and the session keeps what `reopen` needs.
    """
    rows: list[Row] = []
    session.row_stamp = report.stamp(session.last_ts, session.last_received_at)
    session.row_received_at = session.last_received_at
    if reason is CloseReason.END:
        _close(session, rules, rows)
    else:
        session.row_closed_at = closed_at
        if session.source == BATCH:
            _suspend(session, reason, closed_at, rules, rows)
        else:
            _time_out(session, reason, closed_at, rules, rows)
    session.closed = True
    return rows


def reopen(session: Session) -> None:
    """Take an incomplete batch up again where it broke off; rows it changes go out as revisions."""
    session.closed = False
    session.row_closed_at = NEVER


def heartbeat(session: Session, rules: Rules) -> Row:
    """The numbers so far of an open session, under the next `instance`."""
    session.row_stamp = report.stamp(session.last_ts, session.last_received_at)
    session.row_received_at = session.last_heartbeat_received_at = session.last_received_at
    return summary.heartbeat(session, rules)


def stands_still(session: Session, event: Event, rules: Rules) -> bool:
    """Whether this event would find the playhead unmoved for longer than the still timeout and its grace."""
    if session.source == BATCH or reading.playhead(event.playhead) != session.playhead:
        return False
    gap_ms = clock.step(session.last_ts, event.ts, rules).gap_ms
    return _still_ms(session) + gap_ms > rules.still_timeout_ms + rules.grace_ms


def still_deadline(session: Session, rules: Rules) -> int:
    """When the still timeout was due without grace, by the door's clock: what to `expire` with."""
    return session.last_received_at + rules.still_timeout_ms - _still_ms(session)


def makes_row(event_type: EventType) -> bool:
    """Whether a row or a deadline may depend on such an event: then it must not wait for the next record."""
    return event_type in _ROW_MAKERS


def _still_ms(session: Session) -> int:
    return session.clock_ms + session.completed_ms - session.moved_at


def _close_parts(session: Session, reason: CloseReason, rules: Rules, rows: list[Row]) -> None:
    """What is open ends with the session: the ad, its break, the chapter."""
    ads.close_break(session, reason, rules, rows)
    chapters.close(session, reason, rules, rows)


def _close(session: Session, rules: Rules, rows: list[Row]) -> None:
    _close_parts(session, CloseReason.SESSION_END, rules, rows)
    playback.complete(session)
    row = summary.close(session, CloseReason.END, rules, silent_ms=0)
    if row is not None:
        rows.append(row)


def _time_out(session: Session, reason: CloseReason, closed_at: int, rules: Rules, rows: list[Row]) -> None:
    _close_parts(session, CloseReason.TIMEOUT, rules, rows)
    playback.complete(session)
    silent_ms = _silent_ms(session, reason, closed_at, rules)
    row = summary.close(session, reason, rules, silent_ms=silent_ms)
    if row is not None:
        rows.append(row)


def _silent_ms(session: Session, reason: CloseReason, closed_at: int, rules: Rules) -> int:
    """From the last event to the deadline."""
    if reason is CloseReason.TIMEOUT_IDLE:
        return rules.idle_timeout_ms
    if reason is CloseReason.TIMEOUT_STILL:
        return max(0, rules.still_timeout_ms - _still_ms(session))
    return max(0, closed_at - session.last_received_at)


def _suspend(session: Session, reason: CloseReason, closed_at: int, rules: Rules, rows: list[Row]) -> None:
    """Report a batch as if it ended here, on a copy: its missing elements may still come."""
    ending = packed.unpack(session.sid, session.start, packed.pack(session))
    ending.row_stamp, ending.row_received_at = session.row_stamp, session.row_received_at
    ending.row_closed_at = closed_at
    ending.flags |= flags.INCOMPLETE_BATCH
    _time_out(ending, reason, closed_at, rules, rows)
    if ending.close_revision > session.close_revision:
        # That row says that the rest has not come: if it comes, another goes out whatever the numbers are.
        session.close_revision, session.close_digest = ending.close_revision, 0
    if session.ads is not None and session.ads.open:
        session.ads.ad_revision += 1
    if session.chapters is not None and session.chapters.open:
        session.chapters.revision += 1


def _session_complete(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    session.completed = True
    _close(session, rules, rows)


def _session_end(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    _close(session, rules, rows)
    session.closed = True


def _nothing(_session: Session, _event: Event, _rules: Rules, _rows: list[Row]) -> None:
    """The gap before it is booked; that is all there is to it."""


HANDLERS: Final[dict[EventType, Handler]] = {
    EventType.SESSION_START: _nothing,
    EventType.PLAY: playback.play,
    EventType.PING: _nothing,
    EventType.PAUSE_START: playback.pause,
    EventType.BUFFER_START: playback.buffer,
    EventType.AD_BREAK_START: ads.start_break,
    EventType.AD_BREAK_COMPLETE: ads.complete_break,
    EventType.AD_START: ads.start,
    EventType.AD_COMPLETE: ads.complete,
    EventType.AD_SKIP: ads.skip,
    EventType.CHAPTER_START: chapters.start,
    EventType.CHAPTER_COMPLETE: chapters.complete,
    EventType.CHAPTER_SKIP: chapters.skip,
    EventType.SESSION_COMPLETE: _session_complete,
    EventType.SESSION_END: _session_end,
    EventType.BITRATE_CHANGE: quality.change_bitrate,
    EventType.ERROR: quality.error,
    EventType.STATE_START: player_states.start,
    EventType.STATE_END: player_states.end,
    EventType.STATES_UPDATE: player_states.update,
}

_ROW_MAKERS: Final = frozenset(
    {
        EventType.SESSION_START,
        EventType.AD_BREAK_START,
        EventType.AD_BREAK_COMPLETE,
        EventType.AD_START,
        EventType.AD_COMPLETE,
        EventType.AD_SKIP,
        EventType.CHAPTER_START,
        EventType.CHAPTER_COMPLETE,
        EventType.CHAPTER_SKIP,
        EventType.SESSION_COMPLETE,
        EventType.SESSION_END,
    }
)
