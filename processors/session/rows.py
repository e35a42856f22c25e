"""The rows a session makes, in the shape of the open media reporting schema; what is ours stands in `mediabeat`."""

from datetime import date, timedelta
from hashlib import md5
from typing import Any, Final

import orjson

from processors.session import flags, reading
from processors.session.clock import is_date
from processors.session.rules import LAST_TS, Rules
from processors.session.sections import NEVER, Ads, ClosedChapter
from processors.session.state import Session
from schemas.reports import CloseReason, Row, RowKind

VERSION: Final = 1

_EVENT_TYPES: Final = {
    RowKind.SESSION_START: "media.sessionStart",
    RowKind.AD_START: "media.adStart",
    RowKind.AD_CLOSE: "media.adComplete",
    RowKind.CHAPTER_CLOSE: "media.chapterComplete",
    RowKind.SESSION_CLOSE: "media.sessionComplete",
    RowKind.HEARTBEAT: "media.ping",
}
_EPOCH: Final = date(1970, 1, 1)
_DAYS_REMEMBERED: Final = 1_000
_days: Final[dict[int, str]] = {}
"""Dates by the number of their day since 1970: most rows are of today."""
_TWO: Final = [f"{number:02}" for number in range(60)]
_THREE: Final = [f"{number:03}" for number in range(1000)]


def pod_id(session: Session, index: int) -> str:
    """An ad pod's id within its kind: MD5 of the content id, and the pod's index as sent."""
    return f"{session.told()['content']}_{index}"


def chapter_id(session: Session, index: int, offset: int | None, rules: Rules) -> str:
    """A chapter's id within its kind: MD5 of the content id and the index, or a hash of both with the offset."""
    content = session.told()["content"]
    if rules.chapter_id == "offset":
        return md5(f"{content}_{index}_{offset}".encode(), usedforsecurity=False).hexdigest()
    return f"{content}_{index}"


def session_start(session: Session, fingerprint: str, rules: Rules) -> Row:
    told = session.told()
    details = dimensions(session)
    if rules.resumed_is_start or not told["resume"]:
        details["isViewed"] = True
    extras: dict[str, Any] = {"startHash": fingerprint, **told["optOuts"]}
    if "library" in told:
        extras["libraryVersion"] = told["library"]
    if "length" in told:
        extras["lengthSeconds"] = told["length"]
    own = heading(session, RowKind.SESSION_START, 1, 0)
    own["startedAt"] = session.started_ts
    return row(session, own, {"sessionDetails": details}, told["metadata"], extras)


def ad_start(session: Session, ads: Ads) -> Row:
    blocks, metadata = _ad_blocks(session, ads)
    blocks["advertisingDetails"]["isStarted"] = True
    own = heading(session, RowKind.AD_START, ads.count, 0)
    own["startedAt"] = ads.ad_opened_ts
    return row(session, own, blocks, metadata, {})


def ad_close(session: Session, ads: Ads, reason: CloseReason) -> Row:
    blocks, metadata = _ad_blocks(session, ads)
    details = blocks["advertisingDetails"]
    details["timePlayed"] = reading.seconds(ads.open_ms)
    if reason is CloseReason.COMPLETE:
        details["isCompleted"] = True
    own = heading(session, RowKind.AD_CLOSE, ads.count, ads.ad_revision)
    own["closeReason"] = str(reason)
    own["startedAt"] = ads.ad_opened_ts
    own["endedAt"] = session.last_ts
    return row(session, own, blocks, metadata, {"adMs": ads.open_ms})


def chapter_close(session: Session, chapter: ClosedChapter) -> Row:
    told = session.told()
    known = orjson.loads(chapter.info)
    details = {**known["details"], "isStarted": True, "timePlayed": reading.seconds(chapter.played_ms)}
    if chapter.reason == CloseReason.COMPLETE:
        details["isCompleted"] = True
    blocks = {"sessionDetails": dimensions(session), "chapterDetails": details}
    own = heading(session, RowKind.CHAPTER_CLOSE, chapter.instance, chapter.revision)
    own["closeReason"] = str(chapter.reason)
    own["startedAt"] = chapter.started_ts
    own["endedAt"] = chapter.ended_ts
    metadata = {**told["metadata"], **known["metadata"]}
    return row(session, own, blocks, metadata, {"contentMs": chapter.played_ms})


def row(
    session: Session,
    own: dict[str, Any],
    blocks: dict[str, Any],
    metadata: dict[str, str],
    extras: dict[str, Any],
) -> Row:
    """The whole document. What is empty is absent."""
    kind: RowKind = own["kind"]
    told = session.told()
    own["kind"] = str(kind)
    own["identity"] = told["identity"]
    own["receivedAt"] = session.row_received_at
    own["source"] = session.source
    if session.row_closed_at != NEVER:
        own["closedAt"] = session.row_closed_at
    if extras:
        own["extras"] = extras
    if not own["flags"]:
        del own["flags"]
    instance, revision = own["instance"], own["revision"]
    document: dict[str, Any] = {
        "_id": f"{session.sid}:{kind}:{instance}:{revision}",
        "timestamp": _utc(session.row_stamp),
        "eventType": _EVENT_TYPES[kind],
        "mediaReporting": blocks,
        "mediabeat": own,
    }
    if metadata:
        document["customMetadata"] = metadata
    return Row(kind, session.sid, instance, revision, document)


def stamp(ts: int, received_at: int) -> int:
    """A row's moment: the player's, unless its clock shows no date."""
    return ts if is_date(ts) else received_at


def heading(session: Session, kind: RowKind, instance: int, revision: int) -> dict[str, Any]:
    """The beginning of a row's `mediabeat` block."""
    return {
        "kind": kind,
        "v": VERSION,
        "sessionId": session.sid,
        "instance": instance,
        "revision": revision,
        "flags": flags.words(session.flags),
    }


def dimensions(session: Session, *, ad: bool = False) -> dict[str, Any]:
    """What every row repeats of its session."""
    told = session.told()["dims"]
    stream = "audio" if told["streamType"].casefold() == "audio" else "video"
    return {"ID": session.sid, **told, "pev3": f"{stream}Ad" if ad else stream}


def _ad_blocks(session: Session, ads: Ads) -> tuple[dict[str, Any], dict[str, str]]:
    told = session.told()
    known = orjson.loads(ads.ad)
    pod = orjson.loads(ads.pod)
    if known["podName"] is not None:
        pod.setdefault("friendlyName", known["podName"])
    blocks = {
        "sessionDetails": dimensions(session, ad=True),
        "advertisingDetails": known["details"],
        "advertisingPodDetails": pod,
    }
    return blocks, {**told["metadata"], **known["metadata"]}


def _utc(milliseconds: int) -> str:
    """A moment as RFC 3339, by arithmetic: every row has one, and a datetime costs more than all its heading."""
    day, in_day = divmod(max(0, min(milliseconds, LAST_TS)), 86_400_000)
    name = _days.get(day)
    if name is None:
        if len(_days) >= _DAYS_REMEMBERED:
            _days.clear()
        name = _days[day] = (_EPOCH + timedelta(days=day)).isoformat()
    second, millis = divmod(in_day, 1000)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{name}T{_TWO[hour]}:{_TWO[minute]}:{_TWO[second]}.{_THREE[millis]}Z"
