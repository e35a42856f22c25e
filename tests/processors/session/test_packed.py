"""Sessions as bytes: the layout is a promise to the next release."""

from inspect import isdatadescriptor
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.session import packed
from processors.session.sections import Ads, Chapters, PlayerState, Quality
from processors.session.state import Session
from schemas.events import Event
from schemas.reports import CloseReason
from tests.processors.session.drive import BASE, SID, Drive, at, drive, start
from tests.processors.session.streams import realistic, wild

GOLDEN = Path(__file__).parent / "golden_state_1.json"
"""Records of layout 1, and the close rows made of them. Written once; never rewritten, or the promise is none."""


def attributes(session: Session) -> dict[str, object]:
    """Everything a session knows, deep. Compiled or not, an attribute is a data descriptor of its class."""

    def known(value: object) -> object:
        kind = type(value)
        if isinstance(value, dict):
            return {key: known(item) for key, item in value.items()}
        if kind not in (Session, Ads, Chapters, Quality, PlayerState):
            return tuple(value) if isinstance(value, list) else value
        names = [name for name in dir(kind) if name[0] != "_" and isdatadescriptor(getattr(kind, name))]
        return {name: known(getattr(value, name)) for name in names if name not in transient}

    transient = ("start_document", "row_stamp", "row_received_at", "row_closed_at")
    told = known(session)
    assert isinstance(told, dict)
    assert len(told) > 60
    return told


@settings(max_examples=40)
@given(st.one_of(realistic(), wild()))
def test_unpacking_gives_back_every_attribute(events: list[Event]) -> None:
    told = Drive(packing=False)
    for event in events:
        told.fold(event)
        again = packed.unpack(SID, packed.pack_start(told.open), packed.pack(told.open))
        assert attributes(again) == attributes(told.open)
        assert packed.pack(again) == packed.pack(told.open)


def test_every_attribute_of_a_session_survives() -> None:
    session = busy().open
    again = packed.unpack(SID, session.start, packed.pack(session))
    assert attributes(again) == attributes(session)
    # Each of these is set, so that the comparison above has something to compare.
    assert session.ads is not None
    assert session.ads.open
    assert session.chapters is not None
    assert session.chapters.open
    assert session.quality is not None
    assert session.quality.error_ids == (["e"], ["x"])
    assert session.states
    assert session.intervals


def test_the_start_record_never_changes() -> None:
    told = drive(start())
    first = packed.pack_start(told.open)
    told.fold(at(0, "play"), at(5, "error"), at(9, "sessionEnd", 9))
    assert packed.pack_start(told.open) == first


def test_a_layout_of_a_later_release_is_refused_by_name() -> None:
    told = drive(start())
    current = bytes([packed.LAYOUT + 1]) + packed.pack(told.open)[1:]
    with pytest.raises(packed.UnknownLayout, match=f"layout {packed.LAYOUT + 1}"):
        packed.unpack(SID, told.open.start, current)


def test_records_of_layout_1_are_read_as_they_were_written() -> None:
    golden = orjson.loads(GOLDEN.read_bytes())
    assert sorted(golden) == sorted(SAMPLES)
    for name, record in golden.items():
        told = Drive()
        told.source = record["source"]
        told.session = packed.unpack(SID, bytes.fromhex(record["start"]), bytes.fromhex(record["current"]))
        assert told.session.source == record["source"]
        told.expire(CloseReason.CAP_24H, BASE + 86_400_000)
        assert orjson.loads(orjson.dumps(told.of(told.rows[-1].kind)[-1])) == record["close"], name


def test_this_release_still_writes_what_layout_1_says() -> None:
    golden = orjson.loads(GOLDEN.read_bytes())
    for name, sample in SAMPLES.items():
        session = sample().open
        assert packed.pack(session).hex() == golden[name]["current"], name
        assert packed.pack_start(session).hex() == golden[name]["start"], name


def fresh() -> Drive:
    return drive(start(0, name="A film", libraryVersion="js-3.1.0"))


def busy() -> Drive:
    """A session with something in every section."""
    return drive(
        start(0, length=600, resume=True),
        at(0, "bufferStart"),
        at(2, "play", 0, qoe={"media.qoe.bitrate": 2_000, "media.qoe.timeToStart": 900, "media.qoe.droppedFrames": 3}),
        at(5, "stateStart", 3, {"media.state.name": "mute"}),
        at(12, "error", 10, qoe={"media.qoe.errorID": "e"}),
        at(13, "error", 11, {"media.errorId": "x", "media.errorSource": "external"}),
        at(20, "pauseStart", 18),
        at(22, "play", 100),
        at(25, "chapterStart", 103, {"media.chapter.index": 1}, metadata={"k": "v"}),
        at(35, "ping", 103),
        at(40, "chapterComplete", 103),
        at(40, "chapterStart", 103, {"media.chapter.index": 2}),
        at(41, "adBreakStart", 103, {"media.ad.podIndex": 0, "media.ad.podSecond": 103}),
        at(41, "adStart", 103, {"media.ad.id": "ad", "media.ad.length": 15}, metadata={"slot": "1"}),
        at(44, "ping", 103),
    )


def in_a_run() -> Drive:
    """Where a stall may still be found in a chapter already reported."""
    return drive(
        start(0, length=600),
        at(0, "play"),
        at(0, "chapterStart", 0, {"media.chapter.index": 1}),
        at(10, "ping", 10),
        at(20, "chapterComplete", 10),
    )


def replaying() -> Drive:
    return drive(start(), at(0, "play"), at(20, "sessionComplete", 20), at(40, "play", 0), at(45, "ping", 5))


def batch() -> Drive:
    return drive(start(), at(0, "play"), at(20, "ping", 20), source="batch")


SAMPLES = {"fresh": fresh, "busy": busy, "inARun": in_a_run, "replaying": replaying, "batch": batch}
