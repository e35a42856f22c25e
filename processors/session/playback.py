"""The play state and where its time goes: every gap between two events belongs to exactly one account."""

from typing import Final

from processors.session import flags, progress, stalls
from processors.session.rules import Rules
from processors.session.sections import NEVER, Ads
from processors.session.state import BUFFERING, COMPLETED, INTERRUPTED, PAUSED, PLAYING, STARTING, Session
from schemas.events import Event, EventType
from schemas.reports import Row

_AD_BREAK_START: Final = EventType.AD_BREAK_START


def accrue(session: Session, event: Event, gap_ms: int, rules: Rules, rows: list[Row]) -> None:
    """Book the gap before this event by the state it found. Only playheads outside breaks say where the content is."""
    ads = session.ads
    playhead = session.playhead
    if session.phase == COMPLETED:
        session.completed_ms += gap_ms
        if ads is None or not ads.break_open:
            session.main_playhead = playhead
        return
    session.clock_ms += gap_ms
    session.largest_gap_ms = max(session.largest_gap_ms, gap_ms)
    if ads is not None and ads.break_open:
        _accrue_break(session, ads, gap_ms, rules)
        return
    if session.may_infer_play:
        _infer_play(session, playhead, gap_ms, rules)
    if session.phase == PLAYING:
        _accrue_main(session, event, gap_ms, rules, rows)
    else:
        _accrue_waiting(session, gap_ms)
    session.main_playhead = playhead
    if session.played:
        if playhead > session.high:
            session.high = playhead
        elif playhead < session.low:
            session.low = playhead


def _accrue_main(session: Session, event: Event, gap_ms: int, rules: Rules, rows: list[Row]) -> None:
    before, playhead = session.main_playhead, session.playhead
    if playhead != before:
        _credit(session, gap_ms, in_run=False)
        if session.run_events > 1:
            stalls.end_run(session)
        session.run_events = 1
        progress.play(session, before, playhead, gap_ms, rules)
    elif session.run_events == 0 or event.type is _AD_BREAK_START:  # a break's boundaries are in no run
        _credit(session, gap_ms, in_run=False)
        stalls.begin_run(session)
    elif session.stalled:
        session.stall_ms += gap_ms
    elif gap_ms:
        _credit(session, gap_ms, in_run=True)
        stalls.grow(session, gap_ms, rules, rows)


def _credit(session: Session, gap_ms: int, *, in_run: bool) -> None:
    """The main content played: for the session, for the chapter it is in, with the bitrate it had."""
    session.content_ms += gap_ms
    chapters = session.chapters
    if chapters is not None and chapters.open:
        chapters.open_ms += gap_ms
        if in_run:
            chapters.run_ms += gap_ms
    quality = session.quality
    if quality is not None and quality.bitrate:
        weight = quality.bitrate * gap_ms
        quality.bitrate_ms += gap_ms
        quality.bitrate_sum += weight
        if in_run:
            quality.run_bitrate_ms += gap_ms
            quality.run_bitrate_sum += weight


def _accrue_break(session: Session, ads: Ads, gap_ms: int, rules: Rules) -> None:
    if session.phase != PLAYING:
        _accrue_waiting(session, gap_ms)
        if session.phase == BUFFERING and ads.open:
            session.buffer_ad_ms += gap_ms
    elif ads.open:
        ads.open_ms += gap_ms
        ads.ad_ms += gap_ms
    else:
        ads.gap_ms += gap_ms
        if session.played and rules.break_gap == "content":
            ads.credited_gap_ms += gap_ms
            session.content_ms += gap_ms


def _accrue_waiting(session: Session, gap_ms: int) -> None:
    phase = session.phase
    if phase == STARTING:
        session.starting_ms += gap_ms
    elif phase == PAUSED:
        session.pause_ms += gap_ms
    elif phase == BUFFERING:
        session.buffer_ms += gap_ms
        if not session.played and session.ad_opened_ts is None:
            session.buffer_startup_ms += gap_ms
    else:
        session.error_ms += gap_ms


def _infer_play(session: Session, playhead: float, gap_ms: int, rules: Rules) -> None:
    """After a pre-roll nobody said `play`: if the playhead ran on as if playing, it played since the break's end.

    A jump proves no play: a player that resumes where its viewer left off sets its playhead there before it plays.
    """
    if session.phase != STARTING:  # no time passed before the next state was told
        session.may_infer_play = False
        return
    moved = playhead - session.main_playhead
    if gap_ms or moved:
        session.may_infer_play = False
    if gap_ms and 0 < moved <= gap_ms / 1000 * rules.max_rate + rules.seek_slack_seconds + progress.BLUR:
        session.flags |= flags.INFERRED_PLAY | (flags.LONG_GAP if gap_ms > rules.long_gap_ms else 0)
        session.clock_ms -= gap_ms  # the moment play began
        session.play_entered_at = session.clock_ms
        session.phase = PLAYING
        _begin_content(session, session.main_playhead, rules)
        session.clock_ms += gap_ms


def _begin_content(session: Session, playhead: float, rules: Rules) -> None:
    """The first main play of the session."""
    session.played = True
    ad_ms = session.ads.ad_ms if session.ads is not None else 0
    session.server_startup_ms = session.clock_ms + session.completed_ms - ad_ms - session.pause_ms
    progress.begin(session, playhead, rules)


def enter_play(session: Session) -> None:
    """The player plays; or, at an adStart, is taken to."""
    if session.phase != PLAYING:
        session.phase_before_play = session.phase
        session.play_entered_at = session.clock_ms
        session.phase = PLAYING


def play(session: Session, _event: Event, rules: Rules, _rows: list[Row]) -> None:
    """Content starts at the first play outside an ad; between two ads of a break too."""
    ads = session.ads
    in_break = ads is not None and ads.break_open
    was = session.phase
    enter_play(session)
    if not session.played:
        if ads is None or not ads.open:
            _begin_content(session, session.main_playhead, rules)
    elif was == COMPLETED:
        progress.replay(session, session.main_playhead)
    elif was != PLAYING and not in_break:
        progress.resume(session, session.main_playhead, rules)
    if was != PLAYING and not in_break:
        stalls.begin_run(session)


def pause(session: Session, _event: Event, rules: Rules, _rows: list[Row]) -> None:
    if session.phase not in (PAUSED, COMPLETED):
        if not _is_bridged(session, PAUSED, rules):
            session.pause_count += 1
        _leave_play(session, PAUSED)


def buffer(session: Session, _event: Event, rules: Rules, _rows: list[Row]) -> None:
    if session.phase not in (BUFFERING, COMPLETED):
        if not _is_bridged(session, BUFFERING, rules):
            session.buffer_count += 1
        _leave_play(session, BUFFERING)


def interrupt(session: Session) -> None:
    """An error, where errors stop the clocks."""
    if session.phase == PLAYING:
        _leave_play(session, INTERRUPTED)


def complete(session: Session) -> None:
    """The content's end: the session waits for a replay."""
    _leave_play(session, COMPLETED)


def end_of_break(session: Session, rules: Rules) -> None:
    """The play state survives a break, except that content which has never played goes back to starting."""
    if session.phase == COMPLETED:
        return
    if not session.played:
        session.phase = STARTING
        session.may_infer_play = True
    elif session.phase == PLAYING:
        progress.resume(session, session.main_playhead, rules)
    stalls.end_run(session)


def _leave_play(session: Session, phase: int) -> None:
    session.phase = phase
    stalls.end_run(session)


def _is_bridged(session: Session, phase: int, rules: Rules) -> bool:
    """Whether the play before lasted no time and only interrupted what now goes on."""
    return (
        rules.bridge_zero_length_play
        and session.phase == PLAYING
        and session.play_entered_at == session.clock_ms
        and session.play_entered_at != NEVER
        and session.phase_before_play == phase
    )
