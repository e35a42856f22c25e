"""A session as bytes and back: the layout of the state records, and nothing else.

    what was told:   1 byte layout | JSON                          written once
    what changes:    1 byte layout | fixed head | sections present only where the session has them

A section is `<length: 4 bytes> <bytes>`. The head names the sections in one byte of bits. A change of layout takes the
next number; the reader of the number before stays, so that a release reads what the last one wrote.
"""

from struct import Struct
from typing import Final

import orjson

from processors.session.sections import Ads, Chapters, ClosedChapter, PlayerState, Quality
from processors.session.state import SOURCES, Session

LAYOUT: Final = 1

# layout sections source phase phase_before | serial markers played completed closed infer stalled | crossed
# flags folded heartbeats close_revision pauses buffers stalls seeks run_events | 21 times and the digest | 8 playheads
_HEAD: Final = Struct("<BBBBB???????BIIIIIIIII22q8d")
_SOURCE_AT: Final = 2
_LENGTH: Final = Struct("<I")
_ADS: Final = Struct("<I??qqqqqqII")
_CHAPTERS: Final = Struct("<I?qqqI")
_QUALITY: Final = Struct("<dqdqdqqqdII")

_WITH_ADS: Final = 1
_WITH_CHAPTERS: Final = 2
_WITH_QUALITY: Final = 4
_WITH_STATES: Final = 8
_WITH_INTERVALS: Final = 16

_SOURCE_CODES: Final = {source: code for code, source in enumerate(SOURCES)}


class UnknownLayout(Exception):
    """State written by a release this one cannot read. Says which layout it has."""


def pack_start(session: Session) -> bytes:
    """What the session was told at its start: the same bytes for its whole life."""
    return session.start


def pack(session: Session) -> bytes:
    """What changes, as it stands now."""
    s = session
    sections = 0
    tail = b""
    if s.ads is not None:
        sections |= _WITH_ADS
        tail += _pack_ads(s.ads)
    if s.chapters is not None:
        sections |= _WITH_CHAPTERS
        tail += _pack_chapters(s.chapters)
    if s.quality is not None:
        sections |= _WITH_QUALITY
        tail += _pack_quality(s.quality)
    if s.states:
        sections |= _WITH_STATES
        tail += _section(orjson.dumps([(n, v.count, v.total_ms, v.since_at, v.since_ts) for n, v in s.states.items()]))
    if s.intervals:
        sections |= _WITH_INTERVALS
        tail += _section(orjson.dumps(s.intervals))
    head = _HEAD.pack(
        LAYOUT, sections, _SOURCE_CODES[s.source], s.phase, s.phase_before_play,
        s.is_serial, s.with_markers, s.played, s.completed, s.closed, s.may_infer_play, s.stalled,
        s.crossed, s.flags,
        s.folded_events, s.heartbeats, s.close_revision, s.pause_count, s.buffer_count, s.stall_count, s.seek_count,
        s.run_events,
        s.created_at, s.started_ts, s.last_ts, s.last_received_at, s.last_heartbeat_received_at,
        s.clock_ms, s.completed_ms, s.largest_gap_ms, s.moved_at, s.last_action_at, s.play_entered_at,
        s.server_startup_ms, s.starting_ms, s.content_ms, s.pause_ms, s.buffer_ms, s.buffer_startup_ms,
        s.buffer_ad_ms, s.stall_ms, s.error_ms, s.run_ms, s.close_digest,
        s.length, s.playhead, s.main_playhead, s.low, s.high, s.played_from, s.played_to, s.next_marker,
    )  # fmt: skip
    return head + tail


def unpack(sid: str, start: bytes, current: bytes) -> Session:
    """The session these two records hold. UnknownLayout if a later release wrote them."""
    reader = _READERS.get(current[0])
    if reader is None:
        raise UnknownLayout(f"session state has layout {current[0]}; this release reads {sorted(_READERS)}")
    return reader(sid, start, current)


def _unpack_1(sid: str, start: bytes, current: bytes) -> Session:
    s = Session(sid, SOURCES[current[_SOURCE_AT]])
    s.start = start
    (
        _layout, sections, _source, s.phase, s.phase_before_play,
        s.is_serial, s.with_markers, s.played, s.completed, s.closed, s.may_infer_play, s.stalled,
        s.crossed, s.flags,
        s.folded_events, s.heartbeats, s.close_revision, s.pause_count, s.buffer_count, s.stall_count, s.seek_count,
        s.run_events,
        s.created_at, s.started_ts, s.last_ts, s.last_received_at, s.last_heartbeat_received_at,
        s.clock_ms, s.completed_ms, s.largest_gap_ms, s.moved_at, s.last_action_at, s.play_entered_at,
        s.server_startup_ms, s.starting_ms, s.content_ms, s.pause_ms, s.buffer_ms, s.buffer_startup_ms,
        s.buffer_ad_ms, s.stall_ms, s.error_ms, s.run_ms, s.close_digest,
        s.length, s.playhead, s.main_playhead, s.low, s.high, s.played_from, s.played_to, s.next_marker,
    ) = _HEAD.unpack_from(current)  # fmt: skip
    if sections:
        _unpack_sections(s, sections, current)
    return s


_READERS: Final = {1: _unpack_1}


def _unpack_sections(session: Session, sections: int, current: bytes) -> None:
    at = _HEAD.size
    if sections & _WITH_ADS:
        session.ads, at = _unpack_ads(current, at)
    if sections & _WITH_CHAPTERS:
        session.chapters, at = _unpack_chapters(current, at)
    if sections & _WITH_QUALITY:
        session.quality, at = _unpack_quality(current, at)
    if sections & _WITH_STATES:
        content, at = _cut(current, at)
        session.states = {}
        for name, count, total_ms, since_at, since_ts in orjson.loads(content):
            state = session.states[name] = PlayerState()
            state.count, state.total_ms, state.since_at, state.since_ts = count, total_ms, since_at, since_ts
    if sections & _WITH_INTERVALS:
        content, at = _cut(current, at)
        session.intervals = [(start, end) for start, end in orjson.loads(content)]


def _section(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


def _cut(current: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(current, at)
    at += _LENGTH.size
    return current[at : at + length], at + length


def _pack_ads(ads: Ads) -> bytes:
    head = _ADS.pack(
        ads.count, ads.open, ads.break_open,
        ads.ad_ms, ads.gap_ms, ads.credited_gap_ms, ads.open_ms, ads.ad_opened_ts, ads.break_opened_ts,
        ads.ad_revision, len(ads.ad),
    )  # fmt: skip
    return head + ads.ad + _section(ads.pod)


def _unpack_ads(current: bytes, at: int) -> tuple[Ads, int]:
    ads = Ads()
    (
        ads.count, ads.open, ads.break_open,
        ads.ad_ms, ads.gap_ms, ads.credited_gap_ms, ads.open_ms, ads.ad_opened_ts, ads.break_opened_ts,
        ads.ad_revision, length,
    ) = _ADS.unpack_from(current, at)  # fmt: skip
    at += _ADS.size
    ads.ad = current[at : at + length]
    ads.pod, at = _cut(current, at + length)
    return ads, at


def _pack_chapters(chapters: Chapters) -> bytes:
    head = _CHAPTERS.pack(
        chapters.count, chapters.open, chapters.open_ms, chapters.opened_ts, chapters.run_ms, chapters.revision
    )
    reported = orjson.dumps([(chapter.info.decode(), *chapter[1:]) for chapter in chapters.reported])
    return head + _section(chapters.info) + _section(reported if chapters.reported else b"")


def _unpack_chapters(current: bytes, at: int) -> tuple[Chapters, int]:
    chapters = Chapters()
    (
        chapters.count, chapters.open, chapters.open_ms, chapters.opened_ts, chapters.run_ms, chapters.revision
    ) = _CHAPTERS.unpack_from(current, at)  # fmt: skip
    chapters.info, at = _cut(current, at + _CHAPTERS.size)
    reported, at = _cut(current, at)
    chapters.reported = (
        [ClosedChapter(info.encode(), *rest) for info, *rest in orjson.loads(reported)] if reported else []
    )
    return chapters, at


def _pack_quality(quality: Quality) -> bytes:
    head = _QUALITY.pack(
        quality.bitrate, quality.bitrate_ms, quality.bitrate_sum, quality.run_bitrate_ms, quality.run_bitrate_sum,
        quality.time_to_start_ms, quality.dropped_frames, quality.dropped_frames_sum, quality.frames_per_second,
        quality.bitrate_changes, quality.errors,
    )  # fmt: skip
    ids = quality.error_ids
    return head + _section(orjson.dumps(ids) if ids is not None else b"")


def _unpack_quality(current: bytes, at: int) -> tuple[Quality, int]:
    quality = Quality()
    (
        quality.bitrate, quality.bitrate_ms, quality.bitrate_sum, quality.run_bitrate_ms, quality.run_bitrate_sum,
        quality.time_to_start_ms, quality.dropped_frames, quality.dropped_frames_sum, quality.frames_per_second,
        quality.bitrate_changes, quality.errors,
    ) = _QUALITY.unpack_from(current, at)  # fmt: skip
    ids, at = _cut(current, at + _QUALITY.size)
    if ids:
        player, external = orjson.loads(ids)
        quality.error_ids = (player, external)
    return quality, at
