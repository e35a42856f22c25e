from typing import Any

import pytest

from schemas.violations import explain, find, place


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"type": "string"}, 1, [("", "type", "must be string")]),
        ({"type": ["integer", "null"]}, "x", [("", "type", "must be integer or null")]),
        ({"type": "integer"}, True, [("", "type", "must be integer")]),
        ({"type": "number"}, False, [("", "type", "must be number")]),
        ({"type": "boolean"}, 0, [("", "type", "must be boolean")]),
        ({"enum": [0, 1]}, 2, [("", "enum", "must be one of 0, 1")]),
        ({"minimum": 0}, -1, [("", "minimum", "must be at least 0")]),
        ({"maximum": 0}, 1, [("", "maximum", "must be at most 0")]),
        ({"required": ["a", "b"]}, {}, [("a", "required", "is required"), ("b", "required", "is required")]),
        ({"additionalProperties": False}, {"a": 1}, [("a", "additionalProperties", "is not allowed here")]),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, [("a", "type", "must be null")]),
        ({"patternProperties": {"^a": {"type": "null"}}}, {"ab": 1, "b": 1}, [("ab", "type", "must be null")]),
        ({"items": {"type": "null"}}, [None, 1], [("[1]", "type", "must be null")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"c": 1}, [("", "anyOf", "must contain a or b")]),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"b": 1}, []),
        ({"properties": {"a": {"items": {"required": ["b"]}}}}, {"a": [{}]}, [("a[0].b", "required", "is required")]),
    ],
)
def test_each_broken_rule_is_named_with_its_place(schema: dict[str, Any], value: Any, told: list[Any]) -> None:
    assert list(explain(schema, value, integral_floats=False)) == told


@pytest.mark.parametrize(("value", "lawful"), [(1.0, True), (-0.0, True), (1e300, True), (1.5, False), (True, False)])
def test_a_whole_float_is_an_integer_only_where_it_is_said_so(value: object, lawful: bool) -> None:
    schema = {"type": "integer"}
    assert (not list(explain(schema, value, integral_floats=True))) is lawful
    assert list(explain(schema, value, integral_floats=False))


def test_a_path_is_written_as_a_player_engineer_would() -> None:
    assert place("", "params") == "params"
    assert place("params", "media.length") == "params.media.length"
    assert place("[3]", "playerTime") == "[3].playerTime"


def test_the_first_wanted_value_is_found_in_the_order_of_the_document() -> None:
    document = {"a": [1, {"b": 2}], "c": 2}
    assert find(document, lambda value, _: value == 2) == "a[1].b"
    assert find(document, lambda _, level: level == 4) == "a[1].b"
    assert find(document, lambda value, _: value == document) == ""
    assert find(document, lambda value, _: value == 3) is None


def test_a_search_goes_deeper_than_the_interpreter_recurses() -> None:
    document: list[Any] = []
    for _ in range(100_000):
        document = [document]
    assert find(document, lambda _, level: level == 50_000) == "[0]" * 49_999
