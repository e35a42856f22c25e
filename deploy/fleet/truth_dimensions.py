"""Which parameter stands under which name in a row: a second reading of reports.md 2."""

import hashlib
from typing import Any

import orjson

from deploy.fleet.expectation import ABSENT, Maybe, OneOf
from deploy.fleet.rounding import half_up
from deploy.fleet.truth_records import Told

_SAME_NAME = (
    "streamType",
    "playerName",
    "channel",
    "show",
    "season",
    "episode",
    "genre",
    "firstAirDate",
    "firstDigitalDate",
    "rating",
    "originator",
    "network",
    "showType",
    "adLoad",
    "dayPart",
    "feed",
    "streamFormat",
    "artist",
    "album",
    "label",
    "author",
    "station",
    "publisher",
)
SESSION_DIMENSIONS = {f"media.{name}": name for name in _SAME_NAME} | {
    "media.id": "name",
    "media.name": "friendlyName",
    "media.contentType": "contentType",
    "media.sdkVersion": "appVersion",
    "media.assetId": "assetID",
    "media.pass.mvpd": "mvpd",
    "media.pass.auth": "authorized",
}
AD_DIMENSIONS = {
    "media.ad.id": "name",
    "media.ad.name": "friendlyName",
    "media.ad.playerName": "playerName",
    "media.ad.podPosition": "podPosition",
    "media.ad.advertiser": "advertiser",
    "media.ad.campaignId": "campaignID",
    "media.ad.creativeId": "creativeID",
    "media.ad.siteId": "siteID",
    "media.ad.creativeURL": "creativeURL",
    "media.ad.placementId": "placementID",
}
IDENTITY = {
    "analytics.reportSuite": "reportSuite",
    "analytics.trackingServer": "trackingServer",
    "visitor.marketingCloudOrgId": "orgId",
    "analytics.visitorId": "visitorId",
    "visitor.marketingCloudUserId": "marketingCloudUserId",
    "analytics.aid": "aid",
    "visitor.customerIDs": "customerIDs",
    "appInstallationId": "appInstallationId",
}


def _named(params: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names[key]: value for key, value in params.items() if key in names}


def identity(start: Told) -> dict[str, Any]:
    return _named(start.params, IDENTITY)


def session_dimensions(start: Told, *, is_ad: bool) -> dict[str, Any]:
    """`sessionDetails` as every row carries it; `pev3` says whether it is a row of an ad."""
    params = start.params
    details = {"ID": start.sid, "streamType": "video"} | _named(params, SESSION_DIMENSIONS)
    details["pev3"] = details["streamType"] + ("Ad" if is_ad else "")
    if "media.length" in params:
        details["length"] = half_up(params["media.length"])
    if not details.get("contentType"):
        details["contentType"] = "missing_content_type"
    if "genre" in details:
        details["genreList"] = [genre.strip() for genre in details["genre"].split(",")]
    if params.get("media.downloaded") is True:
        details["isDownloaded"] = True
    elif start.source == "batch":
        details["isDownloaded"] = Maybe(True)  # posted to /downloaded, where the flag is not needed
    return details


def ad_dimensions(ad: Told) -> dict[str, Any]:
    details = _named(ad.params, AD_DIMENSIONS)
    if "media.ad.length" in ad.params:
        details["length"] = half_up(ad.params["media.ad.length"])
    return details


def pod_details(start: Told, pod: Told, ad: Told) -> dict[str, Any]:
    index = pod.params["media.ad.podIndex"]
    details = {
        "ID": subject_id(start, index),
        "index": index,
        "offset": half_up(pod.params["media.ad.podSecond"]),
    }
    names = [told.params.get("media.ad.podFriendlyName", ABSENT) for told in (pod, ad)]
    if names[0] is not ABSENT:
        details["friendlyName"] = names[0]
    elif names[1] is not ABSENT:
        # The ad's own copy of its pod's name is only seen in the timelines: used or not.
        details["friendlyName"] = OneOf((names[1], ABSENT))
    return details


def subject_id(start: Told, index: int) -> str:
    """The id of a pod or a chapter: unique within its kind."""
    return hashlib.md5(start.params["media.id"].encode(), usedforsecurity=False).hexdigest() + f"_{index}"


def canonical_sha256(document: Any) -> str:
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
