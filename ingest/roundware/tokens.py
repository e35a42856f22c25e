"""Who asks: tokens that carry their user and a keyed proof, so that any door knows them without a look-up.

    7 bytes user | 13 bytes keyed MAC, written as 40 lower-case hex

The user's number is a plain hash of the device id: the same device is the same user everywhere and for ever, and has
the same token while the first secret stays. What a token cannot carry, the device id itself and the client type, comes
from the folded topic; so does the token of a device that had one before the secret changed.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, NamedTuple

from ingest.roundware.configuration import Configuration
from ingest.roundware.refusals import unauthenticated
from schemas.roundware_doors import User

_USER_BYTES: Final = 7
_USER_BITS: Final = 53
_MAC_BYTES: Final = 13
_TOKEN: Final = re.compile(r"[0-9a-f]{40}").fullmatch
_SCHEME: Final = "token"


class Caller(NamedTuple):
    """Whom a token names. `device` and `client_type` are None where this door does not know them."""

    user: int
    device: str | None
    client_type: str | None
    is_staff: bool = False

    @property
    def listed(self) -> int | None:
        """Whose documents its lists are made of: its own user's; None: everybody's."""
        return None if self.is_staff else self.user


class TokenKeys:
    """Makes and verifies tokens with the secrets of `session_id.SessionKeys`: the first signs, all verify."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._seals = tuple(
            blake2b(digest_size=_MAC_BYTES, key=blake2b(secret).digest(), person=b"mediabeat rw-t")
            for secret in secrets
        )

    def mint(self, user: int) -> str:
        return self._token(user, 0)

    def verify(self, token: str) -> int | None:
        """The user whom this token names, or None if no secret of ours made it."""
        user = claimed_user(token)
        if user is not None:
            for secret in range(len(self._seals)):
                if compare_digest(self._token(user, secret), token):
                    return user
        return None

    def _token(self, user: int, secret: int) -> str:
        named = user.to_bytes(_USER_BYTES, "big")
        seal = self._seals[secret].copy()
        seal.update(named)
        return (named + seal.digest()).hex()


def claimed_user(token: str) -> int | None:
    """The user whom a token says it is of; not proven."""
    return int(token[: 2 * _USER_BYTES], 16) if _TOKEN(token) else None


def user_of(device: str) -> int:
    """The number of a device's user: 53 bits, and above 2, which upstream keeps for itself."""
    digest = blake2b(device.encode("utf-8", "replace"), digest_size=8, person=b"mediabeat rw-u").digest()
    return max(int.from_bytes(digest, "big") >> (64 - _USER_BITS), 3)


def username_of(device: str) -> str:
    """Ten digits and the last four characters of the device id, as upstream's names look; the same for ever."""
    return f"{1_000_000_000 + user_of(device) % 9_000_000_000}{device[-4:]}"


class Gate:
    """Lets callers in by the `Authorization` header. `known` looks a user up among the registered."""

    def __init__(self, keys: TokenKeys, configuration: Configuration, known: Callable[[int], User | None]) -> None:
        self._keys = keys
        self._configuration = configuration
        self._known = known
        self._issued = {issued.device_id: issued for issued in configuration.tokens.values()}

    def caller(self, header: str | None) -> Caller:
        """Refusal 401, in upstream's words."""
        scheme, *parts = (header or "").split() or [""]
        if scheme.lower() != _SCHEME:
            raise unauthenticated("Authentication credentials were not provided.")
        if not parts:
            raise unauthenticated("Invalid token header. No credentials provided.")
        if len(parts) > 1:
            raise unauthenticated("Invalid token header. Token string should not contain spaces.")
        return self._of_token(parts[0])

    def registered(self, user: User) -> User:
        """The user with the token the file says, else the one it was given first, else a new one."""
        issued = self._issued.get(user.device)
        if issued is not None:
            return user._replace(token=issued.token, client_type=issued.client_type)
        return user if user.token else user._replace(token=self._keys.mint(user.id))

    def _of_token(self, token: str) -> Caller:
        caller = self._caller(token)
        if caller is None:
            raise unauthenticated("Invalid token.")
        if token in self._configuration.revoked_tokens or caller.device in self._configuration.revoked_devices:
            raise unauthenticated("User inactive or deleted.")
        return caller

    def _caller(self, token: str) -> Caller | None:
        issued = self._configuration.tokens.get(token)
        if issued is not None:
            return Caller(user_of(issued.device_id), issued.device_id, issued.client_type, issued.staff)
        user = claimed_user(token)
        known = None if user is None else self._known(user)
        is_first = known is not None and compare_digest(known.token, token)
        if user is None or not (is_first or self._keys.verify(token) == user):
            return None
        return Caller(user, known.device, known.client_type) if known else Caller(user, None, None)
