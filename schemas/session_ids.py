"""How a session id is laid out: 32 bytes, written as 64 lowercase hex, that carry their own creation time.

    1 byte version | 2 bytes tenant | 6 bytes creation time, epoch ms | 11 random bytes | 12 bytes keyed MAC

The MAC is made and verified in `ingest/session_id.py`; workers only read the creation time. The id of an offline
batch is a SHA-256 and carries nothing: whether an id has a creation time is told by the record's `source`.
"""

from typing import Final

VERSION: Final = 1
ID_BYTES: Final = 32
HEX_LENGTH: Final = 64
SIGNED_BYTES: Final = 20
MAC_BYTES: Final = 12


def created_at(sid: str) -> int:
    """Epoch milliseconds at which this id was minted. The caller knows that it is one of ours."""
    return int(sid[6:18], 16)
