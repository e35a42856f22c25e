"""Ad breaks and their ads: which are open, what was played of them, and their rows."""

from typing import Any

import orjson

from processors.session import flags, playback, reading, stalls
from processors.session import rows as report
from processors.session.rules import Rules
from processors.session.sections import Ads
from processors.session.state import COMPLETED, Session
from schemas.events import Event
from schemas.reports import CloseReason, Row

_TEXTS = {
    "media.ad.name": "friendlyName",
    "media.ad.playerName": "playerName",
    "media.ad.advertiser": "advertiser",
    "media.ad.campaignId": "campaignID",
    "media.ad.creativeId": "creativeID",
    "media.ad.siteId": "siteID",
    "media.ad.creativeURL": "creativeURL",
    "media.ad.placementId": "placementID",
}

_INFO = ("name", "friendlyName", "length", "podPosition")
"""What tells one ad from another; the rest only describes it."""


def start_break(session: Session, event: Event, rules: Rules, rows: list[Row]) -> None:
    """Open a break; one still open ends here. The open one repeated is no new one."""
    ads = session.ads
    if ads is None:
        ads = session.ads = Ads()
    pod = orjson.dumps(_pod(session, event))
    if ads.break_open:
        if pod == ads.pod:
            return
        close_break(session, CloseReason.IMPLICIT_SKIP, rules, rows)
    ads.break_open = True
    ads.break_opened_ts = session.last_ts
    ads.pod = pod
    stalls.end_run(session)


def complete_break(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    ads = session.ads
    if ads is None or not ads.break_open:
        return
    close_ad(session, CloseReason.IMPLICIT_SKIP, rules, rows)
    ads.break_open = False
    ads.pod = b""
    playback.end_of_break(session, rules)


def close_break(session: Session, reason: CloseReason, rules: Rules, rows: list[Row]) -> None:
    """End an open break that nobody completed."""
    ads = session.ads
    if ads is None or not ads.break_open:
        return
    close_ad(session, reason, rules, rows)
    ads.break_open = False
    ads.pod = b""
    session.flags |= flags.UNCLOSED_BREAK


def start(session: Session, event: Event, rules: Rules, rows: list[Row]) -> None:
    """Open an ad: the player is taken to play it. Outside a break there are no ads, nor without an id."""
    ads = session.ads
    if ads is None or not ads.break_open:
        session.flags |= flags.IGNORED_AD
        return
    details = _details(session, event)
    if not details.get("name"):
        session.flags |= flags.IGNORED_AD
        close_ad(session, CloseReason.IMPLICIT_SKIP, rules, rows)
        return
    if ads.open:
        told = orjson.loads(ads.ad)["details"]
        if all(told.get(name) == details.get(name) for name in _INFO):
            return
        close_ad(session, CloseReason.IMPLICIT_SKIP, rules, rows)
    pod_name = reading.text(session, event.params.get("media.ad.podFriendlyName"))
    own = reading.metadata(session, event.custom_metadata)
    ads.ad = orjson.dumps({"details": details, "metadata": own, "podName": pod_name})
    ads.count += 1
    ads.open = True
    ads.open_ms = ads.ad_revision = 0
    ads.ad_opened_ts = session.last_ts
    if session.phase != COMPLETED:
        playback.enter_play(session)
    rows.append(report.ad_start(session, ads))


def complete(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    close_ad(session, CloseReason.COMPLETE, rules, rows)


def skip(session: Session, _event: Event, rules: Rules, rows: list[Row]) -> None:
    close_ad(session, CloseReason.SKIP, rules, rows)


def close_ad(session: Session, reason: CloseReason, rules: Rules, rows: list[Row]) -> None:
    """Report the open ad, if there is one. The play state stays as it is."""
    ads = session.ads
    if ads is None or not ads.open:
        return
    ads.open = False
    if reason is CloseReason.COMPLETE or rules.unfinished_rows:
        rows.append(report.ad_close(session, ads, reason))
    ads.ad = b""


def _pod(session: Session, event: Event) -> dict[str, Any]:
    params = event.params
    index = reading.whole(params.get("media.ad.podIndex")) or 0
    offset = reading.whole(params.get("media.ad.podSecond"))
    name = reading.text(session, params.get("media.ad.podFriendlyName"))
    pod: dict[str, Any] = {"ID": report.pod_id(session, index), "index": index}
    if name is not None:
        pod["friendlyName"] = name
    if offset is not None:
        pod["offset"] = offset
    return pod


def _details(session: Session, event: Event) -> dict[str, Any]:
    params = event.params
    details: dict[str, Any] = {"name": reading.text(session, params.get("media.ad.id"))}
    for key, name in _TEXTS.items():
        value = reading.text(session, params.get(key))
        if value is not None:
            details[name] = value
    length = reading.whole(params.get("media.ad.length"))
    position = reading.whole(params.get("media.ad.podPosition"))
    if length is not None:
        details["length"] = length
    if position is not None:
        details["podPosition"] = position
    return details
