"""Stalls: the player says it plays, and the playhead does not move.

A run begins with an event after which the main content plays, and grows with every event that finds the playhead
where it was. Until it is long enough it is play like any other, remembered so that it can be taken back; then it is a
stall, from its first event to the last one with the unmoved playhead.
"""

from processors.session import chapters
from processors.session.rules import Rules
from processors.session.state import Session
from schemas.reports import Row


def grow(session: Session, gap_ms: int, rules: Rules, rows: list[Row]) -> None:
    """The playhead has not moved for another `gap_ms`, already credited as play."""
    session.run_ms += gap_ms
    session.run_events += 1
    if session.run_events >= rules.stall_events and session.run_ms >= rules.stall_min_ms:
        _found(session, rows)


def begin_run(session: Session) -> None:
    """This event is the first of a run."""
    end_run(session)
    session.run_events = 1


def end_run(session: Session) -> None:
    """What was not found to be a stall stays play. The next event in play begins a new run."""
    if session.run_events > 1:
        session.run_ms = 0
        session.stalled = False
        if session.chapters is not None:
            session.chapters.run_ms = 0
            session.chapters.reported.clear()
        if session.quality is not None:
            session.quality.run_bitrate_ms = 0
            session.quality.run_bitrate_sum = 0.0
    session.run_events = 0


def _found(session: Session, rows: list[Row]) -> None:
    session.stalled = True
    session.stall_count += 1
    session.content_ms -= session.run_ms
    session.stall_ms += session.run_ms
    quality = session.quality
    if quality is not None:
        quality.bitrate_ms -= quality.run_bitrate_ms
        quality.bitrate_sum -= quality.run_bitrate_sum
    chapters.take_back(session, rows)
