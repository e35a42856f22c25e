"""Timeline 1 of the Media Collection API's documentation: two pre-rolls, a buffer, a mid-roll, a pause, to the end."""

from typing import Any

from tests.e2e.players import START_PARAMS, event

SPAN_MS = 88_000

_AD = {
    "media.ad.playerName": "Sample Player",
    "media.ad.advertiser": "Ad Guys",
    "media.ad.siteId": "XYZ",
    "media.ad.creativeURL": "https://example.com",
}
_STEPS: list[tuple[int, str, float]] = [
    (0, "sessionStart", 0),
    (0, "adBreakStart", 0),
    (0, "adStart", 0),
    (1, "ping", 0),
    (2, "ping", 0),
    (3, "ping", 0),
    (15, "adComplete", 0),
    (15, "adStart", 0),
    (20, "ping", 0),
    (22, "adComplete", 0),
    (22, "adBreakComplete", 0),
    (22, "play", 0),
    (30, "ping", 8),
    (33, "bufferStart", 11),
    (36, "play", 11),
    (40, "ping", 15),
    (46, "adBreakStart", 21),
    (46, "adStart", 21),
    (50, "ping", 21),
    (54, "adComplete", 21),
    (54, "adBreakComplete", 21),
    (60, "ping", 27),
    (64, "pauseStart", 31),
    (70, "ping", 31),
    (74, "play", 31),
    (80, "ping", 37),
    (88, "sessionComplete", 45),
]


def _break(index: int, second: int) -> dict[str, Any]:
    return {
        "params": {
            "media.ad.podIndex": index,
            "media.ad.podSecond": second,
            "media.ad.podFriendlyName": f"ad_pod{index + 1}",
        }
    }


def _ad(number: int, length: int, position: int, *others: str) -> dict[str, Any]:
    pod, campaign, creative, place = others
    params = {
        "media.ad.id": f"00{number}",
        "media.ad.name": f"Ad {number}",
        "media.ad.length": length,
        "media.ad.podPosition": position,
        "media.ad.podFriendlyName": pod,
        "media.ad.campaignId": campaign,
        "media.ad.creativeId": creative,
        "media.ad.placementId": place,
    }
    return {"params": _AD | params}


def events(began_at: int) -> list[dict[str, Any]]:
    """The 27 events as a player posts them, the session beginning at `began_at` by its clock."""
    start = {
        "params": START_PARAMS
        | {
            "media.id": "VA API Sample Player",
            "media.name": "ClickMe",
            "media.length": 60.3333333333333,
            "media.channel": "sample-channel",
            "media.playerName": "sample-html5-api-player",
            "media.sdkVersion": "va-api-0.0.0",
            "analytics.enableSSL": False,
        }
    }
    first_ad = _ad(1, 15, 1, "ad_pod1", "1", "42", "sample_placement") | {
        "customMetadata": {"myCustomData1": "CustomData1", "myCustomData2": "CustomData2"}
    }
    members = {
        "sessionStart": iter([start]),
        "adBreakStart": iter([_break(0, 0), _break(1, 21)]),
        "adStart": iter(
            [
                first_ad,
                _ad(2, 7, 1, "ad_pod1", "2", "44", "sample_placement2"),
                _ad(3, 8, 2, "ad_pod2", "7", "40", "sample_placement2"),
            ]
        ),
    }
    return [
        event(kind, began_at + 1000 * second, playhead, **next(members.get(kind, iter([])), {}))
        for second, kind, playhead in _STEPS
    ]
