import re
from dataclasses import fields
from pathlib import Path

import pytest

from deploy import settings
from deploy.settings import BY_NAME, SETTINGS, WrongSetting, load, misspelt
from processors.session.rules import Rules
from schemas.validation import Profile

EXAMPLE = Path(__file__).parents[2] / "docs" / "settings.env"
LINE = re.compile(r"^(#?)(MEDIABEAT_[A-Z_]+)=(.*)$", re.MULTILINE)


def example() -> dict[str, tuple[bool, str]]:
    return {name: (not commented, value) for commented, name, value in LINE.findall(EXAMPLE.read_text())}


def test_without_anything_the_documented_defaults_hold() -> None:
    found = load(environ={})

    assert (found.port, found.host, found.data) == (8080, "127.0.0.1", Path("mediabeat-data"))
    assert found.profile is Profile.LENIENT
    assert found.secret == ()
    assert found.rules() == Rules()


def test_the_example_file_names_every_setting_once_and_no_other() -> None:
    names = [name for _, name, _ in LINE.findall(EXAMPLE.read_text())]

    assert sorted(names) == sorted(setting.variable for setting in SETTINGS)


def test_the_example_file_shows_the_defaults() -> None:
    shown = {name: value for name, (active, value) in example().items() if active}

    assert load(environ=shown) == load(environ={})
    assert shown == {setting.variable: setting.default for setting in SETTINGS if setting.default is not None}


def test_the_examples_behind_comments_are_allowed_values(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    shown = {
        name: str(file) if value.startswith("/etc/") else value
        for name, (active, value) in example().items()
        if not active
    }

    found = load(environ=shown)

    assert found.bootstrap == "kafka-1:9092,kafka-2:9092"
    assert len(found.secret) == 1
    assert found.tls_key == file


def test_times_are_written_in_seconds_and_may_have_fractions() -> None:
    found = load(environ={"MEDIABEAT_IDLE_TIMEOUT": "2.5", "MEDIABEAT_COMMIT_INTERVAL": "0.02"})

    assert (found.idle_timeout_ms, found.commit_interval_ms) == (2500, 20)
    assert found.rules().idle_timeout_ms == 2500


def test_every_switch_of_the_report_rules_is_a_setting() -> None:
    reached = {field for setting in SETTINGS for field in (setting.field.removeprefix("rules."),)}

    assert {field.name for field in fields(Rules)} <= reached


def test_the_switches_of_the_report_rules_can_be_turned() -> None:
    found = load(
        {"MARKER_RULE": "reached", "ERROR_INTERRUPTS": "True", "LIVE_MARKERS": "never"},
        {"MEDIABEAT_GAP_CAP": "1.5", "MEDIABEAT_MAX_RATE": "3.5", "MEDIABEAT_REORDER_WINDOW_EVENTS": "20"},
    ).rules()

    assert found == Rules(
        marker_rule="reached",
        error_interrupts=True,
        live_markers="never",
        gap_cap_ms=1500,
        max_rate=3.5,
        reorder_window_events=20,
    )


def test_a_flag_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"MEDIABEAT_PORT": "9000", "MEDIABEAT_HOST": "::1"}

    found = load({"PORT": "9001", "HOST": None}, environ)

    assert (found.port, found.host, found.group) == (9001, "::1", "mediabeat")


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert load(environ={"MEDIABEAT_BOOTSTRAP": "", "MEDIABEAT_PORT": ""}) == load(environ={})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("ADMIN_PORT", "1e3"),
        ("HOST", " "),
        ("DATA", " "),
        ("BOOTSTRAP", "kafka"),
        ("BOOTSTRAP", "kafka:0"),
        ("BOOTSTRAP", "a:1,:2"),
        ("PARTITIONS", "0"),
        ("PROFILE", "loose"),
        ("IDLE_TIMEOUT", "0"),
        ("IDLE_TIMEOUT", "nan"),
        ("STILL_TIMEOUT", "inf"),
        ("SESSION_CAP", "a day"),
        ("GRACE", "-1"),
        ("REORDER_WINDOW", "601"),
        ("COMMIT_INTERVAL", "0"),
        ("MAX_EVENT_BYTES", "10MB"),
        ("MAX_BATCH_EVENTS", "0"),
        ("GROUP", "a group"),
        ("SLOT", "../etc"),
        ("GRACE_STOP", "0"),
        ("PEER_PRIVACY", "half"),
        ("ROUNDWARE_IDLE_TIMEOUT", "0"),
        ("ROUNDWARE_FILE", "/no/such/file"),
        ("ROUNDWARE_DOOR", "64"),
        ("LOG_LEVEL", "verbose"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("TLS_CERT", "/no/such/file"),
        ("MARKER_RULE", "landing"),
        ("LIVE_MARKERS", "fromzero"),
        ("UNFINISHED_ROWS", "yes"),
        ("MAX_RATE", "0.5"),
        ("MAX_RATE", "nan"),
        ("STALL_EVENTS", "1"),
    ],
)
def test_a_wrong_value_names_itself_and_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(WrongSetting) as from_environment:
        load(environ={f"MEDIABEAT_{name}": value})
    with pytest.raises(WrongSetting) as from_flag:
        load({name: value}, {})

    allowed = BY_NAME[name].reading.allowed
    assert str(from_environment.value) == f"MEDIABEAT_{name} is {value!r}; allowed: {allowed}"
    assert str(from_flag.value) == f"--{name.lower().replace('_', '-')} is {value!r}; allowed: {allowed}"


def test_a_short_secret_is_refused_and_never_shown() -> None:
    with pytest.raises(WrongSetting) as refused:
        load(environ={"MEDIABEAT_SECRET": "x" * 40 + ",hunter2"})

    assert "MEDIABEAT_SECRET" in str(refused.value)
    assert "32 bytes" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_several_secrets_keep_their_order() -> None:
    new, old = "n" * 32, "o" * 33

    assert load(environ={"MEDIABEAT_SECRET": f"{new}, {old}"}).secret == (new.encode(), old.encode())


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"MEDIABEAT_TLS_CERT": __file__}, "MEDIABEAT_TLS_KEY"),
        ({"MEDIABEAT_TLS_KEY": __file__}, "MEDIABEAT_TLS_CERT"),
        ({"MEDIABEAT_KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}, "MEDIABEAT_KAFKA_SASL_MECHANISM"),
        ({"MEDIABEAT_PORT": "9", "MEDIABEAT_ADMIN_PORT": "9"}, "MEDIABEAT_PORT"),
        ({"MEDIABEAT_MAX_BATCH_BYTES": "2000"}, "MEDIABEAT_MAX_EVENT_BYTES"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given: dict[str, str], missing: str) -> None:
    with pytest.raises(WrongSetting, match=missing):
        load(environ=given)


def test_a_misspelt_variable_is_found() -> None:
    environ = {"MEDIABEAT_IDEL_TIMEOUT": "1", "MEDIABEAT_PORT": "1", "PATH": "x"}

    assert misspelt(environ) == ["MEDIABEAT_IDEL_TIMEOUT"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        settings.load(environ={}).port = 1  # type: ignore[misc]
