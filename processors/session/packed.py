"""A session as bytes and back."""

from processors.session.state import Session


def pack_start(session: Session) -> bytes:
    raise NotImplementedError


def pack(session: Session) -> bytes:
    raise NotImplementedError


def unpack(sid: str, start: bytes, current: bytes) -> Session:
    raise NotImplementedError
