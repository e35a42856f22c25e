"""No client can make a record too large: whatever it sends, in events of 64 KiB."""

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.session import packed, reading
from processors.session import rules as limits
from schemas.events import Event, EventType
from schemas.topics import STATE_LIMIT_BYTES
from tests.processors.session.drive import BASE, SID, Drive, at, start

EVENT_BYTES = 64 * 1024
# What makes JSON long: quotes and control characters are escaped, others take up to four bytes.
GREEDY = st.sampled_from(("x", '"', "\\", "\u0001", "é", "語", "😀"))
PARAM_KEYS = {
    EventType.AD_BREAK_START: ("media.ad.podFriendlyName",),
    EventType.AD_START: ("media.ad.id", "media.ad.name", "media.ad.creativeURL", "media.ad.podFriendlyName"),
    EventType.CHAPTER_START: ("media.chapter.friendlyName",),
    EventType.STATE_START: ("media.state.name",),
    EventType.ERROR: ("media.errorId",),
}


def sized(event: Event) -> Event:
    """The event, if a client could have sent it."""
    body = {"params": event.params, "qoeData": event.qoe, "customMetadata": event.custom_metadata}
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= EVENT_BYTES
    return event


@st.composite
def greedy_event(draw: Any, number: int) -> Event:
    """As large as an event can be, in one text, in many, or in its metadata."""
    event_type = draw(st.sampled_from(sorted(PARAM_KEYS)))
    character = draw(GREEDY)
    room = (EVENT_BYTES - 2_000) // max(len(orjson.dumps(character)) - 2, len(character.encode()))
    params: dict[str, Any] = {"media.ad.id": f"ad{number}", "media.chapter.index": number, "media.ad.podIndex": number}
    metadata: dict[str, str] = {}
    where = draw(st.sampled_from(("one", "text", "keys")))
    if where == "one":
        metadata = {"all": character * room}
    elif where == "text":
        keys = PARAM_KEYS[event_type]
        params |= {key: f"{number}" + character * (room // len(keys) - 8) for key in keys}
    else:
        metadata = {f"k{n}": character * max(1, room // 2_000) for n in range(1_500)}
    playhead = draw(st.floats(-1e308, 1e308))
    return sized(Event(EventType(event_type), playhead, BASE + 100 * number, params, {}, metadata))


@st.composite
def greedy_stream(draw: Any) -> list[Event]:
    opening = start(0)
    character = draw(GREEDY)
    width = max(len(orjson.dumps(character)) - 2, len(character.encode()))
    if draw(st.booleans()):
        opening = opening._replace(custom_metadata={"all": character * (60_000 // width)})
    else:
        names = [
            "name",
            "show",
            "season",
            "episode",
            "assetId",
            "genre",
            "rating",
            "originator",
            "network",
            "mvpd",
            "artist",
            "album",
            "label",
        ]
        opening.params.update({f"media.{name}": character * (60_000 // width // len(names)) for name in names})
        opening.params["visitor.customerIDs"] = {f"c{n}": {"id": "x" * 10} for n in range(50)}
    events = [sized(opening), at(0, "play")]
    events += [draw(greedy_event(number)) for number in range(1, draw(st.integers(1, 12)))]
    return events


@settings(max_examples=40)
@given(greedy_stream())
def test_no_stream_of_64_kib_events_makes_a_record_too_large(events: list[Event]) -> None:
    Drive().fold(*events).expire()  # Drive holds every row and every state record against its limit


def test_many_of_everything_stays_small() -> None:
    told = Drive(packing=False).fold(start(0, length=1e9))
    told.fold(at(0, "play"))
    filler = "f" * 30_000
    told.fold(at(1, "adBreakStart", 1, {"media.ad.podIndex": 0, "media.ad.podFriendlyName": filler}))
    told.fold(at(1, "adStart", 1, {"media.ad.id": "1", "media.ad.name": filler}, metadata={"m": "m" * 60_000}))
    told.fold(at(1, "adBreakComplete", 1), at(1, "adBreakStart", 1, {"media.ad.podIndex": 1}))
    told.fold(at(1, "adStart", 1, {"media.ad.id": "2"}, metadata={"m": "m" * 60_000}))
    told.fold(at(1, "chapterStart", 1, {"media.chapter.index": 1}, metadata={"m": "m" * 60_000}))
    for number in range(300):
        qoe = {"media.qoe.errorID": f"{number}" + "\u0001" * 1_000}
        told.fold(at(2 + number, "error", 1_000.123456789 * number, qoe=qoe))
        told.fold(at(2 + number, "stateStart", 0, {"media.state.name": f"{number}" + "語" * 500}))
        told.fold(at(2 + number, "pauseStart", 1_000.123456789 * number))
        told.fold(at(2 + number, "play", 1_000.123456789 * number))
    current = packed.pack(told.open)
    assert 120_000 < len(current) < STATE_LIMIT_BYTES
    told.repack()
    told.fold(at(400, "sessionEnd"))
    assert len(told.close.states) == limits.MAX_STATES
    assert "truncated" in told.close.flags


def test_a_text_is_cut_to_what_fits_as_json() -> None:
    told = Drive().fold(start())
    for character in ('"', "\u0001", "語", "😀", "x"):
        kept = reading.text(told.open, character * 9_000)
        assert kept is not None
        size = len(orjson.dumps(kept)) - 2
        assert limits.MAX_TEXT_BYTES - 6 <= size <= limits.MAX_TEXT_BYTES


def test_a_text_within_its_limit_is_kept_whole() -> None:
    told = Drive().fold(start())
    assert reading.text(told.open, "x" * limits.MAX_TEXT_BYTES) == "x" * limits.MAX_TEXT_BYTES
    assert told.open.flags == 0


def test_numbers_and_booleans_where_texts_belong_are_read_as_said() -> None:
    told = Drive().fold(start())
    assert [reading.text(told.open, value) for value in (True, False, 7, 1.5, None, [], {})] == [
        "true",
        "false",
        "7",
        "1.5",
        None,
        None,
        None,
    ]


def test_an_open_session_is_small() -> None:
    told = Drive().fold(
        start(0, length=600, name="A film", libraryVersion="ios-media-5.0.1"),
        at(0, "play"),
        at(10, "ping", 10, qoe={"media.qoe.bitrate": 3_000}),
        at(20, "bufferStart", 20),
        at(22, "play", 20),
        at(32, "ping", 30),
    )
    assert len(packed.pack(told.open)) <= 400


def test_the_sid_is_no_part_of_what_is_rewritten() -> None:
    told = Drive().fold(start())
    assert SID.encode() not in packed.pack(told.open)
    assert bytes.fromhex(SID) not in packed.pack(told.open)
