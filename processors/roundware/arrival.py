"""A record of a Roundware session as it reaches the lane."""

from hashlib import blake2b
from typing import Final, NamedTuple

from schemas import roundware
from schemas.codec import Undecodable
from schemas.events import Envelope
from schemas.roundware import Document, Event

_SENT_MEMBER: Final = b',"sent":'
_DIGEST_BYTES: Final = 8


class Arrival(NamedTuple):
    """What a record tells. `received` is what clocks go by, `received_at` what the door said; epoch ms.

    `sent` is a digest of an event's type and of what its client sent, empty for anything else.
    """

    document: Document
    received: int
    received_at: int
    sent: str


def read(key: bytes, envelope: Envelope, received: int) -> Arrival:
    """Read the event of an envelope. Undecodable for any that is not of the session which its key names."""
    document = roundware.decode(envelope.event)
    sid = roundware.session_key(document.session)
    if envelope.source != roundware.SOURCE or envelope.sid != sid or key != sid.encode() or document.session < 0:
        raise Undecodable("not a record of a Roundware session under its own key")
    sent = _digest(document, envelope.event) if isinstance(document, Event) else ""
    return Arrival(document, received, envelope.received_at, sent)


def _digest(event: Event, body: bytes) -> str:
    # The first such member is the door's: every string before it is escaped, so none can hold an unescaped quote.
    _, _, sent = body.partition(_SENT_MEMBER)
    return blake2b(event.event_type.encode() + b"\0" + sent, digest_size=_DIGEST_BYTES).hexdigest()
