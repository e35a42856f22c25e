"""What a session was told at its start, as every row repeats it: one immutable record."""

from hashlib import md5, sha256
from typing import Any, Final

import orjson

from processors.session import flags, reading
from processors.session.rules import MAX_CUSTOMER_IDS, MAX_GENRES
from processors.session.state import Session
from schemas.events import Event

LAYOUT: Final = b"\x01"

_DIMENSIONS: Final = {
    "media.id": "name",
    "media.name": "friendlyName",
    "media.contentType": "contentType",
    "media.playerName": "playerName",
    "media.channel": "channel",
    "media.sdkVersion": "appVersion",
    "media.show": "show",
    "media.season": "season",
    "media.episode": "episode",
    "media.assetId": "assetID",
    "media.genre": "genre",
    "media.firstAirDate": "firstAirDate",
    "media.firstDigitalDate": "firstDigitalDate",
    "media.rating": "rating",
    "media.originator": "originator",
    "media.network": "network",
    "media.showType": "showType",
    "media.adLoad": "adLoad",
    "media.pass.mvpd": "mvpd",
    "media.pass.auth": "authorized",
    "media.dayPart": "dayPart",
    "media.feed": "feed",
    "media.streamFormat": "streamFormat",
    "media.artist": "artist",
    "media.album": "album",
    "media.label": "label",
    "media.author": "author",
    "media.station": "station",
    "media.publisher": "publisher",
}
_IDENTITY: Final = {
    "analytics.reportSuite": "reportSuite",
    "analytics.trackingServer": "trackingServer",
    "visitor.marketingCloudOrgId": "orgId",
    "analytics.visitorId": "visitorId",
    "visitor.marketingCloudUserId": "marketingCloudUserId",
    "analytics.aid": "aid",
    "appInstallationId": "appInstallationId",
}
_OPT_OUTS: Final = {
    "analytics.optOutServerSideForwarding": "optOutServerSideForwarding",
    "analytics.optOutShare": "optOutShare",
}


def record(session: Session, event: Event, *, downloaded: bool) -> bytes:
    """The start record: dimensions, identity and custom metadata, within their limits."""
    params = event.params
    told: dict[str, Any] = {
        "dims": _dimensions(session, event, downloaded=downloaded),
        "identity": _identity(session, event),
        "metadata": reading.metadata(session, event.custom_metadata),
        "resume": params.get("media.resume") is True,
        "optOuts": {name: params[key] for key, name in _OPT_OUTS.items() if isinstance(params.get(key), bool)},
        "content": md5(str(params.get("media.id", "")).encode(), usedforsecurity=False).hexdigest(),
    }
    library = reading.text(session, params.get("media.libraryVersion"))
    if library is not None:
        told["library"] = library
    length = reading.number(params.get("media.length"))
    if length is not None:
        told["length"] = length
    session.start_document = told
    return LAYOUT + orjson.dumps(told)


def fingerprint(document: bytes) -> str:
    """SHA-256 of the canonical start document without its `ts`: retries of one start have one fingerprint."""
    start = orjson.loads(document)
    start.get("playerTime", {}).pop("ts", None)
    return sha256(orjson.dumps(start, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _dimensions(session: Session, event: Event, *, downloaded: bool) -> dict[str, Any]:
    params = event.params
    dimensions: dict[str, Any] = {}
    for key, name in _DIMENSIONS.items():
        value = reading.text(session, params.get(key)) if key in params else None
        if value is not None:
            dimensions[name] = value
    length = reading.whole(params.get("media.length"))
    if length is not None:
        dimensions["length"] = length
    dimensions["streamType"] = reading.text(session, params.get("media.streamType")) or "video"
    genres = [genre for part in dimensions.get("genre", "").split(",") if (genre := part.strip())]
    if len(genres) > MAX_GENRES:
        session.flags |= flags.TRUNCATED
    if genres:
        dimensions["genreList"] = genres[:MAX_GENRES]
    if downloaded or params.get("media.downloaded") is True:
        dimensions["isDownloaded"] = True
    return dimensions


def _identity(session: Session, event: Event) -> dict[str, Any]:
    params = event.params
    identity: dict[str, Any] = {}
    for key, name in _IDENTITY.items():
        value = reading.text(session, params.get(key)) if key in params else None
        if value is not None:
            identity[name] = value
    sent = params.get("visitor.customerIDs")
    if isinstance(sent, dict) and sent:
        identity["customerIDs"] = _customer_ids(session, sent)
    return identity


def _customer_ids(session: Session, sent: dict[str, Any]) -> dict[str, Any]:
    """As sent: a name, the id under that name, and whether that customer was logged in."""
    if len(sent) > MAX_CUSTOMER_IDS:
        session.flags |= flags.TRUNCATED
    ids: dict[str, Any] = {}
    for key, value in list(sent.items())[:MAX_CUSTOMER_IDS]:
        known = value if isinstance(value, dict) else {"id": value}
        customer: dict[str, Any] = {}
        customer_id = reading.text(session, known.get("id"))
        state = reading.whole(known.get("authState"))
        if customer_id is not None:
            customer["id"] = customer_id
        if state is not None:
            customer["authState"] = state
        ids[reading.text(session, key) or ""] = customer
    return ids
