"""Chapters: opened, played, closed; and taken back where a stall is found only after the close."""

import orjson

from processors.session import flags, reading
from processors.session import rows as report
from processors.session.rules import MAX_REPORTED_BYTES, MAX_REPORTED_CHAPTERS, Rules
from processors.session.sections import Chapters, ClosedChapter
from processors.session.state import Session
from schemas.events import Event
from schemas.reports import CloseReason, Row


def start(session: Session, event: Event, rules: Rules, rows: list[Row]) -> None:
    """Open a chapter; another one still open is skipped. The open one repeated is no new one."""
    chapters = session.chapters
    if chapters is None:
        chapters = session.chapters = Chapters()
    details = _details(session, event, rules)
    if chapters.open:
        if orjson.loads(chapters.info)["details"] == details:
            return
        close(session, CloseReason.IMPLICIT_SKIP, rules, rows)
    own = reading.metadata(session, event.custom_metadata)
    chapters.info = orjson.dumps({"details": details, "metadata": own})
    chapters.count += 1
    chapters.open = True
    chapters.open_ms = chapters.run_ms = chapters.revision = 0
    chapters.opened_ts = session.last_ts


def complete(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    close(session, CloseReason.COMPLETE, rules, rows)


def skip(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    close(session, CloseReason.SKIP, rules, rows)


def close(session: Session, reason: CloseReason, rules: Rules, rows: list[Row]) -> None:
    """Report the open chapter, if there is one."""
    chapters = session.chapters
    if chapters is None or not chapters.open:
        return
    chapters.open = False
    closed = ClosedChapter(
        chapters.info,
        chapters.count,
        chapters.revision,
        chapters.open_ms,
        chapters.run_ms,
        chapters.opened_ts,
        session.last_ts,
        reason,
    )
    chapters.info = b""
    if reason is not CloseReason.COMPLETE and not rules.unfinished_rows:
        return
    rows.append(report.chapter_close(session, closed))
    if closed.run_ms:
        _remember(session, chapters, closed)
    chapters.run_ms = 0


def _remember(session: Session, chapters: Chapters, closed: ClosedChapter) -> None:
    """Keep a chapter while the run it ended in may still become a stall."""
    kept = chapters.reported
    kept.append(closed)
    if len(kept) > MAX_REPORTED_CHAPTERS or sum(len(chapter.info) for chapter in kept) > MAX_REPORTED_BYTES:
        # What cannot be taken back later must stay play: the run starts anew here.
        session.flags |= flags.TRUNCATED
        session.run_ms = 0
        session.run_events = 1
        kept.clear()
        if session.quality is not None:
            session.quality.run_bitrate_ms = 0
            session.quality.run_bitrate_sum = 0.0


def take_back(session: Session, rows: list[Row]) -> None:
    """The run was a stall: it was no play of the chapters it touched either."""
    chapters = session.chapters
    if chapters is None:
        return
    chapters.open_ms -= chapters.run_ms
    chapters.run_ms = 0
    for chapter in chapters.reported:
        played_ms = chapter.played_ms - chapter.run_ms
        revised = chapter._replace(played_ms=played_ms, revision=chapter.revision + 1)
        rows.append(report.chapter_close(session, revised))
    chapters.reported.clear()


def _details(session: Session, event: Event, rules: Rules) -> dict[str, object]:
    params = event.params
    index = reading.whole(params.get("media.chapter.index")) or 0
    offset = reading.whole(params.get("media.chapter.offset"))
    length = reading.whole(params.get("media.chapter.length"))
    details: dict[str, object] = {"ID": report.chapter_id(session, index, offset, rules), "index": index}
    name = reading.text(session, params.get("media.chapter.friendlyName"))
    if name is not None:
        details["friendlyName"] = name
    if offset is not None:
        details["offset"] = offset
    if length is not None:
        details["length"] = length
    return details
