"""The file of projects and tokens."""

from pathlib import Path

import orjson
import pytest

from ingest.roundware.configuration import Configuration, Project, WrongConfiguration, parse

EXAMPLE = Path(__file__).parents[3] / "docs" / "roundware.json"


def test_the_example_can_be_used_as_it_is() -> None:
    found = parse(EXAMPLE.read_bytes())

    assert found.projects is not None
    assert [project.id for project in found.projects.values()] == [1, 2]
    assert found.tokens["4ee0fc210823c2c2f72f06e3fe862c0f6740d3b4"].client_type == "iPhone"
    assert found.stub("project", 1)["recording_radius"] == 15
    assert found.stub("uiconfig", 2) == {"listen": [], "speak": []}
    assert found.stub("uiconfig", 3) is None


def test_without_a_file_any_positive_number_is_a_project_and_stubs_are_empty() -> None:
    empty = parse(b"{}")

    assert empty == Configuration()
    assert empty.project(7) == Project(7)
    assert empty.project(0) is None
    assert empty.stub("speakers", None) == []
    assert empty.stub("project", 7) is None


def test_the_default_language_is_number_one_or_the_least() -> None:
    assert Configuration().default_language() == "en"
    assert Configuration(languages={"es": 5, "fr": 3}).default_language() == "fr"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "the file"),
        ({"project": []}, "the file"),
        ({"projects": {}}, "projects"),
        ({"projects": [{"id": 0}]}, "projects[0].id"),
        ({"projects": [{"id": 1}, {"id": 2, "geo_listen_enabled": "yes"}]}, "projects[1].geo_listen_enabled"),
        ({"projects": [{"id": 1, "stubs": {"speeches": []}}]}, "projects[0].stubs"),
        ({"languages": {}}, "languages"),
        ({"languages": {"en": "1"}}, "languages"),
        ({"tokens": [{"token": "x", "device_id": "y"}]}, "tokens[0].client_type"),
        ({"tokens": [{"token": " ", "device_id": "y", "client_type": "z"}]}, "tokens[0].token"),
        ({"tokens": [{"token": "x", "device_id": "y", "client_type": "z", "staff": 1}]}, "tokens[0].staff"),
        ({"revoked": {"users": []}}, "revoked"),
        ({"revoked": {"tokens": [1]}}, "revoked.tokens"),
        ({"origins": "https://a"}, "origins"),
        ({"stream_url": ""}, "stream_url"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(document: object, named: str) -> None:
    with pytest.raises(WrongConfiguration) as wrong:
        parse(orjson.dumps(document))

    assert str(wrong.value).startswith(f"{named}; allowed: ")


def test_what_is_no_json_says_so() -> None:
    with pytest.raises(WrongConfiguration, match="it is no JSON"):
        parse(b"{")
