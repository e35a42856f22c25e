"""A worker's name in its group: on one host no two processes hold the same."""

import fcntl
import os
import re
import tempfile
from pathlib import Path
from typing import Self
from zlib import crc32


class SlotTaken(Exception):
    """Another process on this host has this name."""


class Slot:
    """A name held until `release`, or until the process ends however it ends."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_directory(bootstrap: str, group: str) -> Path:
    """Where this host's workers of one group on one cluster lock their names."""
    cluster = f"{crc32(bootstrap.encode()):08x}"
    return Path(tempfile.gettempdir()) / f"mediabeat-slots-{os.getuid()}" / cluster / _file_name(group)


def take_slot(directory: Path, host: str, name: str | None = None) -> Slot:
    """Hold `name`, or `<host>-<n>` with the first n that is free. SlotTaken: two workers with one name would take each
    other's partitions away at every heartbeat, so the second does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if name is not None:
        slot = _lock(directory, name)
        if slot is None:
            raise SlotTaken(f"another worker on this host is {name!r}: give each its own SLOT, or none")
        return slot
    number = 0
    while (slot := _lock(directory, f"{host}-{number}")) is None:
        number += 1
    return slot


def _lock(directory: Path, name: str) -> Slot | None:
    # Never unlinked: a file removed under a lock lets two hold "the same" one. The kernel frees it with the process.
    descriptor = os.open(directory / f"{_file_name(name)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Slot(name, descriptor)


def _file_name(name: str) -> str:
    """A file name of its own for each name."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return plain if plain == name else f"{plain}-{crc32(name.encode()):08x}"
