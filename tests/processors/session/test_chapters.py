"""Chapters, rule by rule."""

from hashlib import md5

import pytest

from processors.session.rules import Rules
from schemas.reports import RowKind
from tests.processors.session.drive import BASE, LATENCY, Drive, at, drive, start

CONTENT = md5(b"content", usedforsecurity=False).hexdigest()


def chapter(index: int, name: str | None = None) -> dict[str, object]:
    named = {} if name is None else {"media.chapter.friendlyName": name}
    return {"media.chapter.index": index, "media.chapter.offset": 12.5, "media.chapter.length": 29.4} | named


def test_a_chapter_has_one_row_when_it_ends() -> None:
    told = Drive().fold(
        start()._replace(custom_metadata={"a": "1", "b": "1"}),
        at(0, "play"),
        at(5, "chapterStart", 5, chapter(3, "opening"), metadata={"b": "2"}),
        at(20, "chapterComplete", 20),
    )
    (row,) = told.of(RowKind.CHAPTER_CLOSE)
    assert row["mediaReporting"]["chapterDetails"] == {
        "ID": f"{CONTENT}_3",
        "friendlyName": "opening",
        "index": 3,
        "offset": 13,
        "length": 29,
        "isStarted": True,
        "timePlayed": 15,
        "isCompleted": True,
    }
    assert row["customMetadata"] == {"a": "1", "b": "2"}
    assert row["mediabeat"]["extras"] == {"contentMs": 15_000}
    assert row["mediabeat"]["startedAt"] == BASE + 5_000
    assert row["mediaReporting"]["sessionDetails"]["pev3"] == "video"


def test_only_main_play_counts_in_a_chapter() -> None:
    told = drive(
        start(),
        at(0, "chapterStart", 0, chapter(1)),
        at(5, "play"),
        at(10, "pauseStart", 5),
        at(13, "bufferStart", 5),
        at(15, "play", 5),
        at(20, "adBreakStart", 10, {"media.ad.podIndex": 1, "media.ad.podSecond": 10}),
        at(22, "adStart", 10, {"media.ad.id": "1"}),
        at(30, "adBreakComplete", 10),
        at(35, "chapterSkip", 15),
        at(40, "sessionEnd", 20),
    )
    (closed,) = told.chapters
    assert closed.extras["contentMs"] == 15_000
    assert closed.reason == "skip"
    assert told.close.extras["contentMs"] == 22_000  # with the gap in the break and what came after


def test_a_chapter_said_again_is_none_and_one_replayed_is_one() -> None:
    told = drive(
        start(),
        at(0, "play"),
        at(0, "chapterStart", 0, chapter(1)),
        at(5, "chapterStart", 5, chapter(1)),
        at(10, "chapterComplete", 10),
        at(10, "chapterStart", 10, chapter(1)),
        at(15, "sessionComplete", 15),
    )
    assert [(row.own["instance"], row["timePlayed"], row.reason) for row in told.chapters] == [
        (1, 10, "complete"),
        (2, 5, "sessionEnd"),
    ]
    assert told.close["chapterCount"] == 2


def test_ends_without_an_open_chapter_are_ignored() -> None:
    told = drive(start(), at(0, "play"), at(1, "chapterComplete", 1), at(2, "chapterSkip", 2), at(3, "sessionEnd", 3))
    assert told.chapters == []
    assert told.close["chapterCount"] == 0


def test_a_chapter_open_at_a_timeout_counts_up_to_the_last_event() -> None:
    told = drive(start(), at(0, "play"), at(0, "chapterStart", 0, chapter(1)), at(8, "ping", 8)).expire()
    (closed,) = told.chapters
    assert (closed["timePlayed"], closed["isCompleted"], closed.reason) == (8, None, "timeout")
    assert closed.own["closedAt"] == told.close.own["closedAt"] == BASE + 608_000 + LATENCY


@pytest.mark.parametrize(("rule", "expected"), [("index", f"{CONTENT}_1"), ("offset", None)])
def test_a_chapters_id_can_include_its_offset(rule: str, expected: str | None) -> None:
    told = drive(
        start(),
        at(0, "chapterStart", 0, chapter(1)),
        at(1, "chapterStart", 0, chapter(1) | {"media.chapter.offset": 90}),
        at(2, "sessionEnd"),
        rules=Rules(chapter_id=rule),  # type: ignore[arg-type]
    )
    ids = [row["ID"] for row in told.chapters]
    if expected is not None:
        assert ids == [expected, expected]
    else:
        assert len(set(ids)) == 2
