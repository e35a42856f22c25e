import importlib
import subprocess
import sys

import pytest

from deploy.__main__ import COMMANDS, main
from deploy.settings import BY_NAME


def exit_status(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_everywhere(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(*command, "--help") == 0
    assert capsys.readouterr().out.startswith("usage: mediabeat")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_its_settings_both_ways(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    exit_status(name, "--help")

    out = capsys.readouterr().out
    for setting in importlib.import_module(f"deploy.commands.{name}").SETTINGS:
        assert f"  {BY_NAME[setting].flag} " in out
        assert f"[{BY_NAME[setting].variable}]" in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["stop"],
        ["tail"],
        ["tail", "no-such-topic"],
        ["tail", "events", "extra"],
        ["run", "--no-such-flag"],
        ["run", "--port", "eighty"],
        ["run", "--idle", "5"],
        ["replay", "--from", "rejects"],
        ["replay", "--from", "events", "--url", "http://x"],
        ["replay", "--from", "rejects", "--url", "x"],
        ["replay", "--from", "rejects", "--url", "http://x", "--since", "yesterday"],
    ],
)
def test_bad_usage_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(*arguments) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mediabeat")
    assert captured.err.count("\n") == 1


def test_a_wrong_setting_of_the_environment_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIABEAT_GRACE", "a minute")

    assert exit_status("run") == 2
    assert capsys.readouterr().err == (
        "mediabeat run: MEDIABEAT_GRACE is 'a minute'; allowed: seconds, from 0 to 86400\n"
    )


def test_a_failure_is_one_sentence_and_status_1(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("tail", "events", "--no-follow", "--data", str(tmp_path / "nothing")) == 1

    captured = capsys.readouterr()
    assert captured.err.startswith("mediabeat tail: there is no log in ")
    assert captured.err.count("\n") == 1


def test_it_also_runs_as_a_module() -> None:
    found = subprocess.run([sys.executable, "-m", "deploy", "--version"], capture_output=True, text=True, check=True)

    assert found.stdout.startswith("mediabeat 0.")
