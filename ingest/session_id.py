"""Mint and verify session ids: 64 hex that carry layout, tenant, creation time and a keyed MAC."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from schemas.session_ids import HEX_LENGTH, MAC_BYTES, SIGNED_BYTES, VERSION, created_at

SECRET_BYTES: Final = 32
TENANT: Final = 0  # single tenant by decision; the layout keeps the place

_PREFIX: Final = bytes([VERSION]) + TENANT.to_bytes(2, "big")
_RANDOM_BYTES: Final = SIGNED_BYTES - len(_PREFIX) - 6
_SIGNED_HEX: Final = 2 * SIGNED_BYTES
_LATEST: Final = (1 << 48) - 1


class SessionKeys:
    """The secrets of a deployment: the first signs, all verify. ValueError for none, or one under 32 bytes.

    Rotating: append the new secret on every door, then move it first everywhere, then drop the old one once no
    session signed with it can still be open.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise ValueError("no secret: session ids cannot be signed")
        if any(len(secret) < SECRET_BYTES for secret in secrets):
            raise ValueError(f"a secret is shorter than {SECRET_BYTES} bytes")
        # Longer secrets are folded to the 64 bytes a blake2b key may have, and the MAC gets a name of its own, so
        # that the same secret used for another purpose can never sign an id.
        self._seals = tuple(
            blake2b(digest_size=MAC_BYTES, key=blake2b(secret).digest(), person=b"mediabeat sid") for secret in secrets
        )

    def mint(self, now_ms: int) -> str:
        """A new id made at `now_ms`. Unguessable: 88 random bits, then 96 bits of MAC."""
        made_at = min(max(now_ms, 0), _LATEST).to_bytes(6, "big")
        signed = _PREFIX + made_at + os.urandom(_RANDOM_BYTES)
        seal = self._seals[0].copy()
        seal.update(signed)
        return (signed + seal.digest()).hex()

    def verify(self, sid: str) -> int | None:
        """Epoch milliseconds at which we minted this id, or None if this deployment never did. No look-up."""
        if len(sid) != HEX_LENGTH:
            return None
        try:
            raw = bytes.fromhex(sid)
        except ValueError:
            return None
        if raw.hex() != sid:  # upper case and blanks, which fromhex forgives
            return None
        signed, mac = raw[:SIGNED_BYTES], raw[SIGNED_BYTES:]
        for keyed in self._seals:
            seal = keyed.copy()
            seal.update(signed)
            if compare_digest(seal.digest(), mac):
                return created_at(sid)
        return None
