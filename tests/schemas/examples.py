"""The example documents beside the schemas, as tests read them."""

import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

ROOT = resources.files("schemas").joinpath("examples")


class Example(NamedTuple):
    """`expected` as the file has it: by profile for the events, alone for the records."""

    folder: str
    name: str
    expected: Any
    body: bytes
    document: Any

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    def expected_of(self, profile: str) -> list[tuple[str, str]]:
        """Pairs of path and rule; empty where the profile accepts the document."""
        told = self.expected[profile]
        return [] if told == "accepted" else sorted((violation["path"], violation["rule"]) for violation in told)


def _read(folder: str, file: Traversable) -> Example:
    told = json.loads(file.read_text(encoding="utf-8"))
    document = told.get("document")
    if "body" in told:
        body = told["body"].encode()
    elif "bodyHex" in told:
        body = bytes.fromhex(told["bodyHex"])
    else:
        body = json.dumps(document).encode()
    return Example(folder, file.name.removesuffix(".json"), told["expected"], body, document)


@cache
def in_folder(folder: str) -> list[Example]:
    files = sorted(ROOT.joinpath(folder).iterdir(), key=lambda file: file.name)
    return [_read(folder, file) for file in files if file.name.endswith(".json")]


def folders() -> list[str]:
    return sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir())
