"""The secret of an embedded deployment: made once, kept in its data directory for the owner alone."""

import logging
import os
import secrets
from pathlib import Path
from typing import Final

from deploy.failure import Failure
from deploy.settings import BY_NAME

FILE_NAME: Final = "secret"

logger = logging.getLogger(__name__)


def keep_secret(data: Path, *, is_missed: bool = False) -> tuple[bytes, ...]:
    """The secrets of DATA/secret, comma-separated as in MEDIABEAT_SECRET. Makes the file where there is none.

    `is_missed`: ids have been handed out here, so there has been one; said, for whoever can put it back.

    The directory must be held by this process. Returns once the file is durable: an id that was handed out must verify
    after a power cut.
    """
    path = data / FILE_NAME
    try:
        if is_missed and not path.exists():
            logger.warning("%s is gone and made anew: ids and tokens of before are not known now; put it back", path)
        text = path.read_text(encoding="utf-8") if path.exists() else _make(path)
        found: tuple[bytes, ...] = BY_NAME["SECRET"].reading.parse(text.strip())
    except OSError as error:
        raise Failure(f"cannot keep a secret in {path} ({error.strerror}): set MEDIABEAT_SECRET") from error
    except ValueError as error:
        allowed = BY_NAME["SECRET"].reading.allowed
        raise Failure(f"{path} holds no usable secret; it must be {allowed}, or set MEDIABEAT_SECRET") from error
    return found


def _make(path: Path) -> str:
    text = secrets.token_hex(32)
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return text
