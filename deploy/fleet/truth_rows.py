"""What stands in each report row: a second reading of reports.md 1, 2, 5 and topics.md 3, from a story so far."""

from fractions import Fraction
from typing import Any, NamedTuple

from deploy.fleet.expectation import ABSENT, Maybe, Near, OneOf, Unordered, plain
from deploy.fleet.rounding import half_up, seconds, utc
from deploy.fleet.truth_dimensions import (
    ad_dimensions,
    canonical_sha256,
    identity,
    pod_details,
    session_dimensions,
    subject_id,
)
from deploy.fleet.truth_extras import MARKERS, session_extras
from deploy.fleet.truth_flags import flags_of
from deploy.fleet.truth_story import Story
from deploy.fleet.truth_subjects import Note, Subject
from deploy.fleet.truth_time import BLUR_MS

EVENT_TYPES = {
    "session-start": "media.sessionStart",
    "ad-start": "media.adStart",
    "ad-close": "media.adComplete",
    "chapter-close": "media.chapterComplete",
    "session-close": "media.sessionComplete",
    "heartbeat": "media.ping",
}
Document = dict[str, Any]


class Moment(NamedTuple):
    """Which record made a row. `ts` in the player's clock; `closed_at` is the deadline on rows a timeout made.

    `since_last_call`: the seconds between the last call and the close, 0 where a call closed the session. `is_dated`:
    whether that record's own `ts` is a date; the row is stamped with its arrival if not.
    """

    ts: Any
    received_at: Any
    closed_at: Any = ABSENT
    since_last_call: Any = 0
    is_dated: bool = True


def row(story: Story, note: Note, moment: Moment) -> Document:
    """The expected row but for `_id` and `revision`, which depend on the rows before it."""
    subject = note.subject
    reporting: Document = {"sessionDetails": session_dimensions(story.start, is_ad=note.kind.startswith("ad"))}
    extras: Document = {"lengthSeconds": _raw_length(story, subject, note.kind)}
    metadata = dict(story.start.metadata)
    ours: Document = {"extras": extras}
    if note.kind == "session-start":
        reporting["sessionDetails"]["isViewed"] = True
        extras["libraryVersion"] = Maybe(story.start.params.get("media.libraryVersion", ABSENT))
        extras["startHash"] = canonical_sha256(story.start.start_document)
    elif subject is not None and note.kind.startswith("ad"):
        reporting |= _ad(story, subject, note)
        if note.kind == "ad-close":
            extras["adMs"] = story.timeline.sum_ms("ad", ad=subject.instance)
    elif subject is not None:
        reporting["chapterDetails"] = _chapter(story, subject)
        extras["contentMs"] = story.timeline.sum_ms("content", chapter=subject.instance)
    else:
        reporting = whole_session(story, moment, is_open=note.kind == "heartbeat")
        extras.update(session_extras(story))
        if note.kind == "heartbeat" and "dropReason" in extras:
            extras["dropReason"] = Maybe(extras["dropReason"])
        ours["final"] = note.kind == "session-close"
    if subject is not None:
        metadata |= subject.told.metadata
    return _frame(story, note, moment, {"mediaReporting": reporting, "customMetadata": metadata}, ours)


def _frame(story: Story, note: Note, moment: Moment, blocks: Document, ours: Document) -> Document:
    subject = note.subject
    out_of_years = not moment.is_dated or utc(plain(moment.ts)) is None
    document: Document = {
        "timestamp": _each(moment.received_at if out_of_years else moment.ts, utc),
        "eventType": EVENT_TYPES[note.kind],
        **blocks,
        "mediabeat": {
            "kind": note.kind,
            "v": 1,
            "sessionId": story.start.sid,
            "instance": subject.instance if subject else 1,
            "identity": identity(story.start),
            "startedAt": subject.started_at if subject else story.start.ts,
            "receivedAt": moment.received_at,
            "source": story.start.source,
            "flags": flags_of(story, note.kind, out_of_years=out_of_years),
            **ours,
        },
    }
    if not note.kind.endswith("start"):
        document["mediabeat"]["endedAt"] = subject.ended_at if subject else moment.ts
    if note.reason is not None:
        document["mediabeat"]["closeReason"] = note.reason
    if moment.closed_at is not ABSENT:
        document["mediabeat"]["closedAt"] = moment.closed_at
    return document


def whole_session(story: Story, moment: Moment, *, is_open: bool) -> Document:
    """The blocks of a session-close, or of a heartbeat while the session is open."""
    details = session_dimensions(story.start, is_ad=False) | _session_metrics(story)
    # What only a close can know may stand on a heartbeat or not: topics.md 3 says "as session-close, values so far".
    details["secondsSinceLastCall"] = OneOf((ABSENT, 0)) if is_open else moment.since_last_call
    if story.start.params.get("media.resume") is True:
        details["hasResume"] = Maybe(True) if is_open else True
    quality = _quality(story)
    if story.first_play_at is None:
        quality["isDroppedBeforeStart"] = Maybe(True) if is_open else True
    blocks: Document = {"sessionDetails": details, "qoeDataDetails": quality}
    states = [
        {"name": state["name"], "isSet": True, "count": state["count"], "time": seconds(state["ms"])}
        for state in story.states.rows(story.timeline.now)
    ]
    if states:
        blocks["states"] = Unordered(states)
    return blocks


def _session_metrics(story: Story) -> Document:
    time = story.timeline
    content_ms = time.content_ms()
    media_ms = content_ms + time.sum_ms("ad")
    metrics: Document = {
        "timePlayed": seconds(content_ms),
        "totalTimePlayed": seconds(media_ms),
        "uniqueTimePlayed": seconds(story.timeline.unique_ms()),
        "pauseCount": story.playback.pauses,
        "pauseTime": seconds(time.sum_ms("pause")),
        "adCount": len(story.ads),
        "chapterCount": len(story.chapters),
        "estimatedStreams": media_ms // 1_800_000 + 1,
    }
    _flag(metrics, "hasPauseImpactedStreams", story.playback.pauses > 0)
    _flag(metrics, "isCompleted", story.completed)
    if story.first_play_at is not None:
        metrics |= {"isPlayed": True, "hasSegmentView": True, "segment": _segment(story)}
        metrics |= {f"hasProgress{marker}": True for marker in _markers_crossed(story)}
        if story.length is not None:
            metrics["averageMinuteAudience"] = Near(content_ms / 1000 / story.length, 0.00005)
    return metrics


def _quality(story: Story) -> Document:
    quality, time = story.quality, story.timeline
    details: Document = {
        "bufferCount": story.playback.buffers,
        "bufferTime": seconds(time.sum_ms("buffer")),
        "stallCount": time.stalls,
        "stallTime": seconds(time.sum_ms("stall")),
        "bitrateChangeCount": quality.bitrate_changes,
        "errorCount": quality.errors,
    }
    _flag(details, "hasBufferImpactedStreams", story.playback.buffers > 0)
    _flag(details, "hasStallImpactedStreams", time.stalls > 0)
    _flag(details, "hasBitrateChangeImpactedStreams", quality.bitrate_changes > 0)
    _flag(details, "hasErrorImpactedStreams", quality.errors > 0)
    bitrate = time.mean_bitrate()
    if bitrate is None:
        bitrate = quality.bitrate
    if bitrate is not None:
        details["bitrateAverage"] = half_up(bitrate)
        # Of the mean as published or before it was rounded: reports.md 5.6 does not say.
        details["bitrateAverageBucket"] = OneOf((_bucket(bitrate), _bucket(half_up(bitrate))))
    time_to_start = quality.time_to_start_ms()
    if time_to_start is not None:
        details["timeToStart"] = seconds(time_to_start)
    if quality.dropped_frames:
        details["droppedFrames"] = quality.dropped_frames[-1]
        _flag(details, "hasDroppedFrameImpactedStreams", quality.dropped_frames[-1] > 0)
    if quality.frames_per_second is not None:
        # An integer in the schema, a fraction from SDKs: rounded or as sent.
        details["framesPerSecond"] = OneOf((quality.frames_per_second, half_up(quality.frames_per_second)))
    for source, name in (("player", "playerSdkErrors"), ("external", "externalErrors")):
        if quality.error_ids[source]:
            details[name] = Unordered(list(quality.error_ids[source]))
    return details


def _ad(story: Story, ad: Subject, note: Note) -> Document:
    details = ad_dimensions(ad.told)
    if note.kind == "ad-start":
        details["isStarted"] = True
    else:
        details["timePlayed"] = seconds(story.timeline.sum_ms("ad", ad=ad.instance))
        _flag(details, "isCompleted", ad.reason == "complete")
    assert ad.pod is not None
    return {"advertisingDetails": details, "advertisingPodDetails": pod_details(story.start, ad.pod, ad.told)}


def _chapter(story: Story, chapter: Subject) -> Document:
    params = chapter.told.params
    details: Document = {
        "ID": subject_id(story.start, params["media.chapter.index"]),
        "index": params["media.chapter.index"],
        "offset": half_up(params["media.chapter.offset"]),
        "length": half_up(params["media.chapter.length"]),
        "isStarted": True,
        "timePlayed": seconds(story.timeline.sum_ms("content", chapter=chapter.instance)),
    }
    if "media.chapter.friendlyName" in params:
        details["friendlyName"] = params["media.chapter.friendlyName"]
    _flag(details, "isCompleted", chapter.reason == "complete")
    return details


def _markers_crossed(story: Story) -> list[int]:
    """Markers inside a played interval, ends included; none for live and linear, where players count from midnight."""
    length_ms = story.length_ms
    if length_ms is None or not story.has_markers:
        return []
    at = {marker: marker * length_ms / 100 for marker in MARKERS}
    union = story.timeline.union()
    return [marker for marker in MARKERS if any(_lies(at[marker], low, high) for low, high in union)]


def _lies(at: Fraction, low: Fraction, high: Fraction) -> bool:
    return low - BLUR_MS <= at <= high + BLUR_MS


def _segment(story: Story) -> str:
    """Minutes of the main playheads seen, from floor(lowest) to ceil(highest): reports.md 2.2."""
    seen = story.timeline.seen
    return f"[{min(seen) // 60_000}-{-(-max(seen) // 60_000)}]"


def _bucket(bitrate: float) -> str:
    hundreds = int(bitrate // 100)
    return f"{hundreds * 100}-{hundreds * 100 + 99}"


def _raw_length(story: Story, subject: Subject | None, kind: str) -> Any:
    """Named for "the raw length" without saying which rows carry it: required where ratios are."""
    length = story.start.params.get("media.length", ABSENT)
    if kind in ("session-close", "heartbeat"):
        return length
    own = (
        subject.told.params.get("media.ad.length", subject.told.params.get("media.chapter.length")) if subject else None
    )
    return OneOf((length, ABSENT, own))


def _flag(block: Document, name: str, is_set: bool) -> None:
    if is_set:
        block[name] = True


def _each(value: Any, reading: Any) -> Any:
    if isinstance(value, OneOf):
        return OneOf(tuple(reading(one) for one in value.values))
    return reading(value)
