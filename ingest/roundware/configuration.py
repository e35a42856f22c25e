"""The file of MEDIABEAT_ROUNDWARE_FILE: projects, languages, tokens issued elsewhere and revoked ones, stubs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from schemas import codec

STUBS: Final[dict[str, Any]] = {
    "project": None,
    "uiconfig": {"listen": [], "speak": []},
    "tags": {"listen": [], "speak": []},
    "uigroups": [],
    "tagcategories": [],
    "speakers": [],
    "audiotracks": [],
    "timedassets": [],
    "assets": [],
}
"""What a client asks for when it starts, empty, as it is without a file. None: there is none, 404."""


class WrongConfiguration(Exception):
    """What in the file cannot be used, and what is allowed."""


class IssuedToken(NamedTuple):
    """A token that another server issued, and whose it is. `staff` may see everybody's sessions."""

    token: str
    device_id: str
    client_type: str
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """What a project sets for its sessions, and its answers to a client that starts, by the names of STUBS."""

    id: int
    geo_listen_enabled: bool = True
    stubs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configuration:
    """`projects` None: any positive number is a project. `origins` None: pages of any origin may ask."""

    projects: Mapping[int, Project] | None = None
    languages: Mapping[str, int] = field(default_factory=lambda: {"en": 1, "es": 2})
    tokens: Mapping[str, IssuedToken] = field(default_factory=dict)
    revoked_tokens: frozenset[str] = frozenset()
    revoked_devices: frozenset[str] = frozenset()
    origins: frozenset[str] | None = None
    stream_url: str | None = None

    def project(self, number: int) -> Project | None:
        """The project of this number, None if there is none."""
        if self.projects is None:
            return Project(number) if number > 0 else None
        return self.projects.get(number)

    def default_language(self) -> str:
        """The one that an unknown code becomes: number 1, else the least."""
        return min(self.languages, key=lambda code: self.languages[code])

    def language_of(self, number: int) -> str | None:
        return next((code for code, of in self.languages.items() if of == number), None)

    def stub(self, name: str, project: int | None) -> Any:
        """What a starting client is told; None: nothing."""
        found = None if project is None else self.project(project)
        if found is not None and name in found.stubs:
            return found.stubs[name]
        if project is not None and found is None:
            return None
        return STUBS[name]


def parse(text: bytes) -> Configuration:
    """The configuration that a file says, as docs/roundware.json shows it. WrongConfiguration."""
    try:
        document = codec.decode(text)
    except codec.Undecodable as error:
        raise WrongConfiguration(f"it is no JSON: {error}") from error
    members = _object(document, "the file", set(_MEMBERS))
    return Configuration(**{name: value for key, of in members.items() for name, value in _MEMBERS[key](of).items()})


def _projects(value: Any) -> dict[str, Any]:
    projects = {}
    for at, item in enumerate(_list(value, "projects")):
        where = f"projects[{at}]"
        members = _object(item, where, {"id", "geo_listen_enabled", "stubs"})
        number = members.get("id")
        if type(number) is not int or number < 1:
            _refuse(f"{where}.id", "a number from 1")
        geo = _true_or_false(members.get("geo_listen_enabled", True), f"{where}.geo_listen_enabled")
        projects[number] = Project(number, geo, _object(members.get("stubs", {}), f"{where}.stubs", set(STUBS)))
    return {"projects": projects or None}


def _languages(value: Any) -> dict[str, Any]:
    if type(value) is not dict or not value or any(type(of) is not int or of < 1 for of in value.values()):
        _refuse("languages", 'codes with their numbers, {"en": 1, "es": 2}')
    return {"languages": value}


def _tokens(value: Any) -> dict[str, Any]:
    tokens = {}
    for at, item in enumerate(_list(value, "tokens")):
        where = f"tokens[{at}]"
        members = _object(item, where, set(IssuedToken._fields))
        token, device, client = (
            _text(members.get(name), f"{where}.{name}") for name in ("token", "device_id", "client_type")
        )
        is_staff = _true_or_false(members.get("staff", False), f"{where}.staff")
        tokens[token] = IssuedToken(token, device, client, is_staff)
    return {"tokens": tokens}


def _revoked(value: Any) -> dict[str, Any]:
    members = _object(value, "revoked", {"tokens", "devices"})
    return {
        f"revoked_{name}": frozenset(_text(item, f"revoked.{name}") for item in _list(of, f"revoked.{name}"))
        for name, of in members.items()
    }


def _origins(value: Any) -> dict[str, Any]:
    return {"origins": frozenset(_text(item, "origins") for item in _list(value, "origins"))}


def _stream_url(value: Any) -> dict[str, Any]:
    return {"stream_url": None if value is None else _text(value, "stream_url")}


_MEMBERS: Final = {
    "projects": _projects,
    "languages": _languages,
    "tokens": _tokens,
    "revoked": _revoked,
    "origins": _origins,
    "stream_url": _stream_url,
}


def _object(value: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    if type(value) is not dict or not set(value) <= allowed:
        _refuse(where, "an object of " + ", ".join(sorted(allowed)))
    found: dict[str, Any] = value
    return found


def _list(value: Any, where: str) -> list[Any]:
    if type(value) is not list:
        _refuse(where, "a list")
    found: list[Any] = value
    return found


def _text(value: Any, where: str) -> str:
    if type(value) is not str or not value.strip():
        _refuse(where, "text")
    return str(value)


def _true_or_false(value: Any, where: str) -> bool:
    if type(value) is not bool:
        _refuse(where, "true or false")
    return bool(value)


def _refuse(where: str, allowed: str) -> NoReturn:
    raise WrongConfiguration(f"{where}; allowed: {allowed}")
