import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import fastjsonschema
import orjson
import pytest
from jsonschema import Draft4Validator, Draft202012Validator

from schemas import batches, codec
from schemas.events import EventType
from schemas.validation import InvalidDocument, Profile, published
from tests.schemas import examples

LIMITS = batches.BatchLimits(max_events=100, max_event_bytes=65_536)
RECORDS = ("event-envelope.v1", "reject.v1", "closed.v1", "roundware-document.v1")
EVENTS = [example for event_type in EventType for example in examples.in_folder(event_type)]
BODIES = examples.in_folder("bodies")
BATCHES = examples.in_folder("batches")

OURS = {"nesting", "int64", "json"}
"""Rules of ours that no JSON Schema can say."""


def refusals(example: examples.Example, profile: Profile) -> list[tuple[str, str]]:
    try:
        if example.folder == "batches":
            batches.parse_batch(example.body, profile, LIMITS)
        else:
            codec.parse_event(example.body, profile)
    except InvalidDocument as refusal:
        return sorted((violation.path, violation.rule) for violation in refusal.violations)
    return []


def own_schema(name: str) -> Any:
    return orjson.loads(resources.files("schemas").joinpath("json", f"{name}.json").read_bytes())


def published_schema(name: str) -> Any:
    text = published(name)
    assert text is not None
    return orjson.loads(text)


@cache
def readers(event_type: str) -> tuple[Draft4Validator, Callable[[Any], Any]]:
    schema = published_schema(event_type)
    return Draft4Validator(schema), fastjsonschema.compile(schema)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("example", EVENTS + BODIES + BATCHES, ids=str)
def test_an_example_is_judged_as_it_says(example: examples.Example, profile: Profile) -> None:
    assert refusals(example, profile) == example.expected_of(profile)


@pytest.mark.parametrize("example", EVENTS + BODIES, ids=str)
def test_an_example_that_the_door_takes_can_be_decoded(example: examples.Example) -> None:
    if example.expected["lenient"] == "accepted":
        event = codec.decode_event(codec.parse_event(example.body, Profile.LENIENT).body)
        assert example.folder in (event.type, "bodies")
    else:
        assert example.expected["strict"] != "accepted"


@pytest.mark.parametrize("example", EVENTS, ids=str)
def test_two_libraries_read_a_published_schema_alike_on_every_example(example: examples.Example) -> None:
    by_jsonschema, by_fastjsonschema = readers(example.folder)
    expected = all(rule in OURS for _, rule in example.expected_of("strict")) or ends_in_newline(example)
    try:
        by_fastjsonschema(example.document)
        accepted = True
    except fastjsonschema.JsonSchemaValueException:
        accepted = False
    assert by_jsonschema.is_valid(example.document) == accepted == expected


def ends_in_newline(example: examples.Example) -> bool:
    """Python's `$` lets a key end in a newline: the published pattern overlooks it, our compiled one does not."""
    return example.name == "lenient-metadata-key-newline"


@pytest.mark.parametrize("folder", [*EventType, "bodies", "batches", *RECORDS])
def test_a_schema_has_valid_and_invalid_examples(folder: str) -> None:
    kinds = {example.name.split("-")[0] for example in examples.in_folder(folder)}
    assert {"valid", "invalid"} <= kinds <= {"valid", "lenient", "invalid"}


@pytest.mark.parametrize("example", EVENTS + BODIES + BATCHES, ids=str)
def test_the_name_of_an_example_says_who_takes_it(example: examples.Example) -> None:
    takers = tuple(profile for profile in Profile if example.expected[profile] == "accepted")
    kind = {(Profile.STRICT, Profile.LENIENT): "valid", (Profile.LENIENT,): "lenient", (): "invalid"}[takers]
    assert example.name.startswith(f"{kind}-")


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_schema_judges_its_examples_as_they_say(name: str) -> None:
    validator = Draft202012Validator(own_schema(name))
    for example in examples.in_folder(name):
        errors = {
            (place(error.absolute_path), error.validator or "") for error in validator.iter_errors(example.document)
        }
        if example.expected == "accepted":
            assert not errors, example
        else:
            assert (example.expected["path"], example.expected["rule"]) in errors, (str(example), errors)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(own_schema(name))


@pytest.mark.parametrize("event_type", EventType)
def test_a_published_schema_is_a_schema_of_draft_04_with_our_own_address(event_type: EventType) -> None:
    schema = published_schema(event_type)
    Draft4Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert schema["id"] == f"/api/v1/schemas/{event_type}"
    assert schema["definitions"]["eventType"]["enum"] == list(EventType)


def test_examples_and_schemas_lie_side_by_side() -> None:
    schemas = {file.name.removesuffix(".json") for file in resources.files("schemas").joinpath("json").iterdir()}
    assert set(examples.folders()) - {"bodies", "batches", "reports"} == schemas - {"reports"}


def place(path: Any) -> str:
    return re.sub(r"\.(\[)", r"\1", ".".join(f"[{step}]" if isinstance(step, int) else step for step in path))
