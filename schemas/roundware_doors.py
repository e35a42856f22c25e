"""What the doors tell each other on the folded topic: who has registered, and how far each door may number."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas import codec
from schemas.roundware import wire_name

_VERSION: Final = 1


class User(NamedTuple):
    """Who registered at POST users/: kept by the doors on the folded topic, under `user_key`."""

    id: int
    device: str
    client_type: str
    token: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None


def user_key(user: int) -> str:
    return f"u:{user}"


def encode_user(user: User) -> bytes:
    return codec.encode({"v": _VERSION, **{wire_name(field): getattr(user, field) for field in User._fields}})


def decode_user(value: bytes) -> User:
    """Read what `encode_user` wrote. `codec.Undecodable`."""
    members: Mapping[str, Any] = codec.decode(value)
    try:
        return User(**{field: members[wire_name(field)] for field in User._fields if wire_name(field) in members})
    except (TypeError, AttributeError) as error:
        raise codec.Undecodable(f"not a Roundware user: {error}") from error


def door_key(door: int) -> str:
    """The key under which a door keeps on the folded topic how far it may number."""
    return f"d:{door}"


class Reservation(NamedTuple):
    """A door may give out numbers up to the end of `until`, in seconds of `ingest.roundware.numbers`.

    `owner` is chance, one for each life of a door.
    """

    until: int
    owner: str


def encode_reservation(reservation: Reservation) -> bytes:
    return codec.encode({"v": _VERSION, **reservation._asdict()})


def decode_reservation(value: bytes) -> Reservation:
    """Read what `encode_reservation` wrote. `codec.Undecodable`."""
    members: Mapping[str, Any] = codec.decode(value)
    try:
        return Reservation(int(members["until"]), str(members["owner"]))
    except (TypeError, LookupError, ValueError) as error:
        raise codec.Undecodable(f"not a reservation of numbers: {error}") from error
