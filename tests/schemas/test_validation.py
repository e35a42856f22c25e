from typing import Any

import fastjsonschema
import orjson
import pytest
from hypothesis import example, given, settings
from jsonschema import Draft4Validator

from schemas.events import EventType
from schemas.validation import FILLED, Profile, judge, prepare, published, schema_of, validator_for
from schemas.violations import MAX_VIOLATIONS, Violation
from tests.schemas.documents import STRICT, lawful_events, odd_events

READERS = {event_type: Draft4Validator(orjson.loads(published(event_type) or b"")) for event_type in EventType}


def start(**params: Any) -> dict[str, Any]:
    required = STRICT[EventType.SESSION_START]["properties"]["params"]["required"]
    told = dict.fromkeys(required, "told") | {"media.length": 60}
    return {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 0}, "params": told | params}


def accepted(event_type: EventType, profile: Profile, document: Any) -> bool:
    try:
        validator_for(event_type, profile).accepts(document)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@pytest.mark.parametrize("profile", Profile)
@given(document=lawful_events())
def test_what_the_published_schema_accepts_passes_in_both_profiles(profile: Profile, document: dict[str, Any]) -> None:
    assert judge(document, EventType(document["eventType"]), profile) == []


@given(document=odd_events())
@settings(max_examples=150)
def test_strict_accepts_nothing_that_lenient_refuses(document: Any) -> None:
    for event_type in wire_types(document):
        if accepted(event_type, Profile.STRICT, document):
            assert accepted(event_type, Profile.LENIENT, document)


@pytest.mark.parametrize("profile", Profile)
@given(document=odd_events())
@settings(max_examples=150)
def test_the_explanation_finds_fault_exactly_where_the_compiled_schema_does(profile: Profile, document: Any) -> None:
    for event_type in wire_types(document):
        found = list(prepare(profile)[event_type].violations(document))
        assert bool(found) is not accepted(event_type, profile, document), found


@given(document=odd_events())
@example(document=start(**{"visitor.customerIDs": {"0": {"authState": None}}}))
@settings(max_examples=120)
def test_a_second_library_has_the_same_opinion_of_the_published_schema(document: Any) -> None:
    for event_type in wire_types(document):
        errors = list(READERS[event_type].iter_errors(document))
        mistyped = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
        faults = {
            Violation("", str(error.validator), "").rule
            for error in errors
            if error.validator == "type"
            or tuple(error.absolute_path) not in mistyped  # of a wrong type: no more is said
        }
        ours = {violation.rule for violation in judge(document, event_type, Profile.STRICT)}
        assert faults == ours or newline_key(document)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("event_type", EventType)
def test_each_published_key_must_have_its_type(event_type: EventType, profile: Profile) -> None:
    for key, rule in schema_of(event_type, profile)["properties"]["params"].get("properties", {}).items():
        wrong: Any = 5 if rule["type"] == "string" else "five"
        faults = judge(with_param(event_type, key, wrong), event_type, profile)
        assert (f"params.{key}", "type") in [fault[:2] for fault in faults]


@pytest.mark.parametrize("event_type", EventType)
def test_each_missing_key_is_named_and_names_may_be_left_out_in_the_lenient_profile(event_type: EventType) -> None:
    required = STRICT[event_type]["properties"].get("params", {}).get("required", [])
    document = {"eventType": event_type, "playerTime": {"playhead": 0, "ts": 0}, "params": {}}
    missing = [f"params.{key}" for key in required]
    forgiven = [f"params.{key}" for key in FILLED.get(event_type, ())]
    assert paths(document, event_type, Profile.STRICT, "required") == missing
    assert paths(document, event_type, Profile.LENIENT, "required") == [key for key in missing if key not in forgiven]


def test_a_path_keeps_keys_with_dots_and_braces_whole() -> None:
    document = start(**{"visitor.customerIDs": {"x.{y}": {"id": 1}}})
    (fault,) = judge(document, EventType.SESSION_START, Profile.STRICT)
    assert fault == ("params.visitor.customerIDs.x.{y}.id", "type", "must be string")


def test_a_document_with_countless_faults_gets_twenty_of_them() -> None:
    document = start(**{f"k{i}": 0 for i in range(1000)})
    assert len(judge(document, EventType.SESSION_START, Profile.STRICT)) == MAX_VIOLATIONS


def test_a_fault_under_an_endless_key_is_told_short() -> None:
    (fault,) = judge(start(**{"k" * 60_000: 0}), EventType.SESSION_START, Profile.STRICT)
    assert len(fault.path) < 200


def test_schemas_are_published_for_the_twenty_types_alone() -> None:
    assert len(EventType) == 20
    assert all(published(event_type) for event_type in EventType)
    for stranger in ("", "Ping", "contentComplete", "event-envelope.v1", "../json/ping", "ping.json", "reports"):
        assert published(stranger) is None


def test_a_key_that_ends_in_a_newline_is_refused_though_the_published_pattern_lets_it_pass() -> None:
    document = start() | {"customMetadata": {"a\n": "x"}}
    assert READERS[EventType.SESSION_START].is_valid(document)
    assert not accepted(EventType.SESSION_START, Profile.STRICT, document)


def wire_types(document: Any) -> list[EventType]:
    name = document.get("eventType")
    return [EventType(name)] if isinstance(name, str) and name in list(EventType) else [EventType.PING]


def newline_key(document: Any) -> bool:
    metadata = document.get("customMetadata")
    return isinstance(metadata, dict) and any(key.endswith("\n") for key in metadata)


def with_param(event_type: EventType, key: str, value: Any) -> dict[str, Any]:
    return {"eventType": event_type, "playerTime": {"playhead": 0, "ts": 0}, "params": {key: value}}


def paths(document: Any, event_type: EventType, profile: Profile, rule: str) -> list[str]:
    return [fault.path for fault in judge(document, event_type, profile) if fault.rule == rule]
