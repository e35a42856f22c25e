"""The `mediabeat` command."""

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol, cast

from deploy import settings as settings_module
from deploy.failure import Failure
from deploy.settings import BY_NAME, Settings, WrongSetting
from schemas.records import LogUnavailable

OK: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
INTERRUPTED: Final = 130

COMMANDS: Final = {
    "run": "everything in one process on the embedded log",
    "ingest": "front doors on Kafka",
    "worker": "lanes on Kafka",
    "topics": "make the topics on Kafka, or check them",
    "tail": "print the records of a topic as JSON lines",
    "replay": "put rejects back through the door after a fix",
    "fleet": "simulated players, and the check of every report row against the truth",
}


class Command(Protocol):
    """What a file in deploy/commands/ gives."""

    SETTINGS: Sequence[str]
    """Names of the settings it takes as flags."""

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def execute(self, arguments: argparse.Namespace, settings: Settings) -> int | None: ...


class OneLineParser(argparse.ArgumentParser):
    """Bad usage is one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else ""
    if name not in COMMANDS:
        return _no_command(given)
    module = importlib.import_module(f"deploy.commands.{name}")
    command = cast("Command", module)
    parser = _parser(name, module.__doc__, command)
    parsed = parser.parse_args(given[1:])
    try:
        flags = {setting: getattr(parsed, setting) for setting in command.SETTINGS}
        status = command.execute(parsed, settings_module.load(flags)) or OK
        sys.stdout.flush()
    except WrongSetting as wrong:
        return _say(name, str(wrong), BAD_USAGE)
    except Failure as failure:
        return _say(name, str(failure), FAILED)
    except LogUnavailable as away:
        return _say(name, f"the log does not answer ({away}): try again when it does", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has what it wanted (`tail | head`). Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def _no_command(given: Sequence[str]) -> int:
    parser = OneLineParser(
        prog="mediabeat",
        description="An open event pipeline for video and audio players.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
        + "\n\n`mediabeat COMMAND --help` says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="mediabeat COMMAND [options]",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mediabeat {_version()}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.parse_args(given[:1])
    parser.error(f"no command {given[0]!r}" if given else "a command is missing")


def _parser(name: str, description: str | None, command: Command) -> argparse.ArgumentParser:
    parser = OneLineParser(prog=f"mediabeat {name}", description=description, allow_abbrev=False)
    command.configure(parser)
    group = parser.add_argument_group("settings", "each also as an environment variable, named in brackets")
    for setting_name in command.SETTINGS:
        setting = BY_NAME[setting_name]
        default = f", default {setting.default}" if setting.default is not None else ""
        group.add_argument(
            setting.flag,
            dest=setting.name,
            metavar="VALUE",
            help=f"{setting.help} ({setting.reading.allowed}{default}) [{setting.variable}]".replace("%", "%%"),
        )
    return parser


def _version() -> str:
    return importlib.metadata.version("mediabeat")


def _say(name: str, sentence: str, status: int) -> int:
    print(f"mediabeat {name}: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
