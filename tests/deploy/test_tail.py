import base64
from collections.abc import AsyncIterator

import orjson

from deploy.commands.tail import line, print_records
from schemas import topics
from schemas.records import StoredRecord

SID = "ab" * 32


def test_a_line_has_five_members_and_the_value_as_json() -> None:
    written = line(3, StoredRecord(17, 1_700_000_000_000, SID.encode(), b'{"_id":"x","n":1.0}'), is_private=False)

    assert written == (
        b'{"partition":3,"offset":17,"timestamp":1700000000000,"key":"'
        + SID.encode()
        + b'","value":{"_id":"x","n":1.0}}\n'
    )


def test_a_value_laid_out_over_lines_is_shown_on_one() -> None:
    written = line(0, StoredRecord(0, 0, b"k", b'{"event":{\r\n  "name":"a\\nb"}}'), is_private=False)

    assert written.splitlines(keepends=True) == [written]
    assert orjson.loads(written)["value"] == {"event": {"name": "a\nb"}}


def test_a_tombstone_is_null() -> None:
    assert orjson.loads(line(0, StoredRecord(0, 0, b"k", None), is_private=False))["value"] is None


def test_a_private_value_is_base64() -> None:
    packed = bytes(range(256))

    shown = orjson.loads(line(0, StoredRecord(0, 0, b"k", packed), is_private=True))["value"]

    assert base64.b64decode(shown) == packed


def test_what_somebody_else_wrote_is_shown_as_text_on_one_line() -> None:
    written = line(0, StoredRecord(0, 0, b"\xff", b"no\njson"), is_private=False)

    assert written.count(b"\n") == 1
    assert orjson.loads(written)["value"] == "no\njson"


async def test_only_records_of_the_session_are_shown_its_second_state_record_too() -> None:
    async def found() -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        yield 0, [StoredRecord(0, 0, SID.encode(), b"1"), StoredRecord(1, 0, b"other", b"2")]
        yield 1, [StoredRecord(0, 0, SID.encode() + b"/start", b"3"), StoredRecord(4, 0, SID.encode() + b"x", b"4")]

    lines: list[bytes] = []
    flushes: list[int] = []
    await print_records(topics.EVENTS, SID, found(), lines.append, lambda: flushes.append(len(lines)))

    assert [orjson.loads(written)["value"] for written in lines] == [1, 3]
    assert flushes == [1, 2]
