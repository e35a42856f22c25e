"""Every row obeys the published schema, and every word that can stand on one is in it and in the manual."""

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from processors.roundware import reading
from processors.roundware.rules import RoundwareRules
from schemas import roundware
from schemas.reports import CloseReason
from tests.processors.roundware.listening import SCHEMA, Rounds

HERE = Path(__file__).parents[3]
FLAGS = SCHEMA["$defs"]["numbers"]["properties"]["flags"]["items"]["enum"]
TYPES = SCHEMA["$defs"]["numbers"]["properties"]["eventsByType"]["propertyNames"]["enum"]
MANUAL = (HERE / "docs" / "reports.md").read_text().split("## Roundware sessions")[1].split("\n## ")[0]


def rows() -> list[dict[str, Any]]:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=1_000))
    rounds.open(stoptime="2026-01-01T00:00:10", language=None, device=None, client_type=None)
    rounds.hear(1, 2)
    rounds.fold()
    rounds.tell("location_update", 20, latitude=-90, longitude=180)
    rounds.fold()
    rounds.tell("stop_session", 30)
    rounds.fold()
    return rounds.all_rows()


def test_rows_of_every_kind_obey_the_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    found = rows()
    assert {row["mediabeat"]["kind"] for row in found} == {"session-start", "heartbeat", "session-close"}
    for row in found:
        Draft202012Validator(SCHEMA).validate(row)


@pytest.mark.parametrize("member", ["_id", "timestamp", "eventType", "mediaReporting", "mediabeat", "roundware"])
def test_a_row_that_lacks_a_member_does_not_obey(member: str) -> None:
    for row in rows():
        del row[member]
        assert not Draft202012Validator(SCHEMA).is_valid(row)


def test_every_flag_that_code_raises_is_in_the_schema_and_in_the_manual() -> None:
    sources = "".join(path.read_text() for path in (HERE / "processors" / "roundware").glob("*.py"))
    raised = set(re.findall(r'flag\("(\w+)"\)', sources)) | set(map(str, roundware.Quality))
    raised |= set(
        re.findall(r'^[A-Z_]+: Final = "(\w+)"$', (HERE / "processors/roundware/visit.py").read_text(), re.MULTILINE)
    )
    assert raised == set(FLAGS)
    assert set(re.findall(r"^\| `(\w+)` \|", MANUAL.split("| Flag")[1], re.MULTILINE)) == raised


def test_every_type_is_in_the_schema_and_in_the_manual() -> None:
    assert set(reading.CANONICAL) == set(TYPES)
    for word in reading.CANONICAL:
        assert f"`{word}`" in MANUAL
    for source in reading._CANONICAL:
        assert f"`{source}`" in MANUAL


def test_every_close_reason_is_in_the_schema_and_in_the_manual() -> None:
    words = SCHEMA["$defs"]["sessionClose"]["properties"]["mediabeat"]["properties"]["closeReason"]["enum"]
    assert set(words) <= set(CloseReason)
    assert set(words) == {"explicit", "client", "timeout", "no_activity"}
    for word in words:
        assert f"| `{word}` |" in MANUAL
