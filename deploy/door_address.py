"""The address of a front door, as commands that post to one are given it."""

import argparse
import socket
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from deploy.failure import Failure

_KNOCK_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2


def door_url(text: str) -> str:
    """A URL without a slash at its end; for argparse."""
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise argparse.ArgumentTypeError(f"{text!r} is no address like http://127.0.0.1:8080")
    return text.rstrip("/")


def refuse_without_door(urls: Sequence[str], patience_seconds: float = 10.0) -> None:
    """Failure when nobody takes a connection at any of these for so long: one may just be being replaced."""
    give_up = time.monotonic() + patience_seconds
    while True:
        reasons = [reason for url in urls if (reason := _why_not(url)) is not None]
        if len(reasons) < len(urls):
            return
        if time.monotonic() > give_up:
            raise Failure(f"no front door at {' or '.join(urls)} ({reasons[-1]}): start one, or give another --url")
        time.sleep(_PAUSE_SECONDS)


def _why_not(url: str) -> str | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _KNOCK_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
