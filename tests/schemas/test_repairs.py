import json
from typing import Any

import pytest

from schemas import codec
from schemas.events import Event, EventType
from schemas.validation import Profile

TIME = {"playhead": 1, "ts": 2}
START = {
    "analytics.trackingServer": "t",
    "analytics.reportSuite": "r",
    "visitor.marketingCloudOrgId": "o",
    "media.id": "i",
    "media.length": 60,
    "media.contentType": "vod",
}


def taken(event_type: str, **members: Any) -> Event:
    """The event as a worker reads it, after a lenient door."""
    body = json.dumps({"eventType": event_type, "playerTime": TIME, **members}).encode()
    return codec.decode_event(codec.parse_event(body, Profile.LENIENT).body)


def test_names_a_client_was_never_told_are_unknown() -> None:
    params = taken("sessionStart", params=START).params
    assert (params["media.playerName"], params["media.channel"]) == ("unknown", "unknown")
    ad = {"media.ad.id": "a", "media.ad.length": 5, "media.ad.podPosition": 1}
    assert taken("adStart", params=ad).params == ad | {"media.ad.playerName": "unknown"}


def test_names_that_were_told_stay() -> None:
    params = taken("sessionStart", params=START | {"media.playerName": "", "media.channel": "c"}).params
    assert (params["media.playerName"], params["media.channel"]) == ("", "c")


def test_other_events_get_no_names() -> None:
    assert taken("play", params={"x": 1}).params == {"x": 1}


def test_content_complete_is_the_session_complete_of_2017() -> None:
    assert taken("contentComplete").type is EventType.SESSION_COMPLETE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (1.0, "1"),
        (1.5, "1.5"),
        (-0.0, "0"),
        (1e300, "1e+300"),
        ("", ""),
    ],
)
def test_metadata_is_text(value: object, text: str) -> None:
    assert taken("ping", customMetadata={"k": value}).custom_metadata == {"k": text}


def test_metadata_without_a_value_or_a_lawful_key_is_left_out() -> None:
    metadata = {"a": None, "b c": "x", "d\n": "x", "": "x", "é": {"not": "looked at"}, "media.show_1": "kept"}
    assert taken("ping", customMetadata=metadata).custom_metadata == {"media.show_1": "kept"}


@pytest.mark.parametrize(
    ("value", "text"), [("e", "e"), (404, "404"), (1.0, "1"), (False, "false"), ({"code": [1]}, '{"code":[1]}')]
)
def test_an_error_id_is_text_whatever_was_sent(value: object, text: str) -> None:
    for event_type in ("error", "ping"):
        assert taken(event_type, qoeData={"media.qoe.errorID": value}).qoe == {"media.qoe.errorID": text}


def test_an_error_id_of_null_is_none() -> None:
    assert taken("error", qoeData={"media.qoe.errorID": None}).qoe == {}


@pytest.mark.parametrize(
    ("members", "qoe"),
    [
        ({"qoeData": {"bitrate": 10_000}}, {"media.qoe.bitrate": 10_000}),
        ({"params": {"media.qoe.bitrate": 5}}, {"media.qoe.bitrate": 5}),
        ({"params": {"media.errorId": "e"}}, {"media.qoe.errorID": "e"}),
        ({"params": {"media.errorSource": "external"}}, {"media.qoe.errorSource": "external"}),
        ({"qoeData": {"media.qoe.media.errorSource": "player"}}, {"media.qoe.errorSource": "player"}),
        ({"qoeData": {"media.qoe.framesPerSecond": 23.5}}, {"media.qoe.framesPerSecond": 23.5}),
        ({"params": {"media.errorId": "new", "media.qoe.errorID": "old"}}, {"media.qoe.errorID": "old"}),
        (
            {"params": {"media.errorId": "p"}, "qoeData": {"media.qoe.errorID": "q"}},
            {"media.qoe.errorID": "q"},
        ),
    ],
)
def test_quality_is_found_under_each_of_its_names_and_the_documented_one_wins(
    members: dict[str, Any], qoe: dict[str, Any]
) -> None:
    found = taken("error", **members).qoe
    assert {key: value for key, value in found.items() if key in qoe} == qoe


def test_known_keys_of_a_wrong_type_in_an_unwonted_place_are_dropped_and_unknown_ones_stay() -> None:
    event = taken(
        "play",
        params={
            "media.id": 5,
            "media.ad.podIndex": 1.5,
            "media.ad.podPosition": 2.0,
            "own": {"x": [1]},
            "media.resume": 1,
        },
        qoeData={"media.qoe.errorSource": 1, "own": None, "bitrate": "high"},
    )
    assert event.params == {"media.ad.podPosition": 2, "own": {"x": [1]}}
    assert type(event.params["media.ad.podPosition"]) is int
    assert event.qoe == {"own": None, "bitrate": "high"}


def test_whole_floats_become_integers_where_an_integer_is_meant() -> None:
    event = taken(
        "chapterStart", params={"media.chapter.index": 3.0, "media.chapter.offset": 0, "media.chapter.length": 5.0}
    )
    assert [type(event.params[f"media.chapter.{key}"]) for key in ("index", "length")] == [int, float]


def test_no_location_hint_is_none() -> None:
    assert (
        "visitor.aamLocationHint" not in taken("sessionStart", params=START | {"visitor.aamLocationHint": None}).params
    )


def test_customers_keep_what_can_be_relied_on() -> None:
    told = {"crm": {"id": "c", "authState": 1.0}, "mail": {"authState": 0, "more": 1}}
    params = taken("sessionStart", params=START | {"visitor.customerIDs": told}).params
    assert params["visitor.customerIDs"] == {"crm": {"id": "c", "authState": 1}, "mail": {"authState": 0, "more": 1}}
    stray = {"a": "text", "b": {"id": 1}, "c": {"id": "c", "authState": "x"}}
    assert taken("ping", params={"visitor.customerIDs": stray}).params == {"visitor.customerIDs": {"c": {"id": "c"}}}
    assert taken("ping", params={"visitor.customerIDs": [stray]}).params == {}


def test_states_in_an_unwonted_place_keep_their_shape() -> None:
    stray = {"statesStart": [{"media.state.name": "mute"}, {"media.state.name": 1}, "x"], "statesEnd": "x"}
    assert taken("ping", params=stray).params == {"statesStart": [{"media.state.name": "mute"}]}


def test_a_deep_error_id_in_a_record_no_door_let_in_is_dropped() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    record = b'{"eventType":"error","playerTime":{"playhead":1,"ts":2},"qoeData":{"media.qoe.errorID":' + deep + b"}}"
    assert codec.decode_event(record).qoe == {}
