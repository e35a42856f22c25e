"""The data directory of the embedded log: made durably, held by one process, never on a network file system."""

import errno
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MOUNTINFO: Final = Path("/proc/self/mountinfo")
"""Linux only. Where there is no such file, the kind of file system is not looked at."""

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ncpfs", "ceph", "lustre", "beegfs"),
        *("glusterfs", "gpfs", "ocfs2", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.davfs2"),
        *("fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.goofys", "fuse.juicefs", "fuse.smbnetfs", "fuse.curlftpfs"),
    }
)


class EmbeddedLogRefused(Exception):
    """The embedded log cannot be opened here; the message is one sentence that says why and what to do."""


class DataDirectory:
    """A data directory held by this process until it is released or the process dies."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def claim(cls, path: Path) -> Self:
        """Make the directory if it is not there, and hold it. EmbeddedLogRefused when that cannot be."""
        path = path.absolute()
        refuse_network_file_system(path)
        try:
            _make_durably(path)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedLogRefused(
                f"cannot use {path} as data directory ({error.strerror}); choose another with --data"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise EmbeddedLogRefused(_why_not_locked(path, holder, error)) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

    def sync(self) -> None:
        """Make the names in the directory durable: a new file is not safe before its directory is."""
        _sync(self.path)

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)  # the file stays: removing it would let two holders lock two files of one name
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def refuse_network_file_system(path: Path) -> None:
    """Raise EmbeddedLogRefused when the path is, or would be, on a file system shared over a network."""
    try:
        mounts = MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return
    kind = file_system_of(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise EmbeddedLogRefused(
            f"{path} is on a network file system ({kind}), where locks and shared memory do not hold and records "
            "could be lost; choose a directory on a local disk with --data"
        )


def file_system_of(path: Path, mounts: str) -> str | None:
    """The type of the file system a path is on, from the text of /proc/<pid>/mountinfo; None when it is not told."""
    place = os.path.realpath(path)
    found, depth = None, -1
    for line in mounts.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        mount_point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4]).rstrip("/")
        # Of two mounts on one point the later covers the earlier.
        if (place == mount_point or place.startswith(mount_point + "/")) and len(mount_point) >= depth:
            found, depth = right.split(" ", 1)[0], len(mount_point)
    return found


def _why_not_locked(path: Path, holder: str, error: OSError) -> str:
    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
        return f"cannot lock {path} ({error.strerror}); choose a directory on a local disk with --data"
    return (
        f"{path} is in use by process {holder or 'unknown'}: stop that one or choose another directory with --data "
        "(to read what it writes, use `mediabeat tail`, which needs no directory of its own)"
    )


def _make_durably(path: Path) -> None:
    if path.is_dir():
        return
    _make_durably(path.parent)
    # Sessions and addresses of people are inside: for the owner alone.
    path.mkdir(mode=0o700, exist_ok=True)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
