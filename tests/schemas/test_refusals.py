from typing import Any

import pytest

from schemas import refusals
from schemas.violations import MAX_VIOLATIONS, Violation


@pytest.mark.parametrize(
    ("document", "code", "told"),
    [
        ({}, "schema_violation", ("eventType", "required", "is required")),
        ({"eventType": None}, "schema_violation", ("eventType", "type", "must be string")),
        ({"eventType": "x"}, "unknown_event_type", ("eventType", "enum", "must be one of play, ping")),
    ],
)
def test_an_event_without_a_known_type_is_told_which_there_are(document: Any, code: str, told: tuple[str, ...]) -> None:
    error = refusals.untyped(document, ["play", "ping"])
    assert (error.code, error.violations) == (code, (told,))


def test_a_message_names_the_first_place_and_how_many_more_there_are() -> None:
    fault = Violation("params.media.length", "type", "must be number")
    assert (
        refusals.invalid("sessionStart", [fault]).message == "Invalid sessionStart: params.media.length must be number"
    )
    assert (
        refusals.invalid("play", [fault] * 3).message == "Invalid play: params.media.length must be number (and 2 more)"
    )
    assert refusals.batch_rejected([Violation("", "type", "must be array")]).message == (
        "Batch rejected: the body must be array"
    )


def test_a_batch_with_many_faults_is_told_the_first_of_them() -> None:
    faults = [Violation(f"[{position}]", "type", "must be object") for position in range(100)]
    assert refusals.batch_rejected(faults).violations == tuple(faults[:MAX_VIOLATIONS])


def test_a_fault_of_an_element_stands_under_its_position() -> None:
    assert refusals.at(3, Violation("playerTime.ts", "type", "")).path == "[3].playerTime.ts"
    assert refusals.at(3, Violation("customMetadata.", "type", "")).path == "[3].customMetadata."
    assert refusals.at(3, Violation("", "type", "")).path == "[3]"
