"""Where an embedded log refuses to open, and that it says why; what it makes is private and whole."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from deploy import embedded_directory, embedded_file
from deploy.embedded import EmbeddedLog, EmbeddedLogRefused
from deploy.embedded_directory import NETWORK_FILE_SYSTEMS, DataDirectory, file_system_of
from deploy.readers import embedded_reader
from schemas import topics
from schemas.records import Record

MOUNTS = """\
21 26 0:20 / /proc rw,nosuid - proc proc rw
26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 26 0:33 / /srv rw shared:7 - {kind} server:/export rw
41 40 0:34 / /srv/local\\040disk rw - xfs /dev/vdb rw
"""

HOLDS_FOR_EVER = """
import sys
from pathlib import Path
from deploy.embedded_directory import DataDirectory
with DataDirectory.claim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_second_process_on_the_directory_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDS_FOR_EVER, str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout
    assert await holder.stdout.readline() == b"held\n"

    with pytest.raises(EmbeddedLogRefused, match=rf"in use by process {holder.pid}: .*another directory with --data"):
        await EmbeddedLog.open(tmp_path)
    holder.kill()
    await holder.wait()

    await (await EmbeddedLog.open(tmp_path)).close()  # its death gave the directory back


async def test_the_same_process_cannot_open_it_twice_either(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    with pytest.raises(EmbeddedLogRefused, match=f"in use by process {os.getpid()}"):
        await EmbeddedLog.open(tmp_path)
    await log.append(Record(topics.EVENTS.name, 0, b"k", b"the first one goes on"))
    await log.close()


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
async def test_a_network_file_system_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"26 1 254:0 / / rw - ext4 /dev/vda rw\n40 26 0:33 / {tmp_path} rw - {kind} there rw\n")
    monkeypatch.setattr(embedded_directory, "MOUNTINFO", mountinfo)

    with pytest.raises(EmbeddedLogRefused, match=rf"network file system \({kind}\).*local disk"):
        await EmbeddedLog.open(tmp_path / "not" / "there" / "yet")
    assert not (tmp_path / "not").exists()


def test_the_innermost_mount_decides() -> None:
    mounts = MOUNTS.format(kind="nfs4")

    assert file_system_of(Path("/home/data"), mounts) == "ext4"
    assert file_system_of(Path("/srv/data"), mounts) == "nfs4"
    assert file_system_of(Path("/srv"), mounts) == "nfs4"
    assert file_system_of(Path("/srvice"), mounts) == "ext4"
    assert file_system_of(Path("/srv/local disk/data"), mounts) == "xfs"


def test_of_two_mounts_on_one_point_the_later_decides() -> None:
    mounts = MOUNTS.format(kind="nfs4") + "50 26 0:35 / /srv rw - tmpfs tmpfs rw\n"

    assert file_system_of(Path("/srv/data"), mounts) == "tmpfs"


def test_a_link_to_a_network_file_system_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "far")
    mounts = MOUNTS.format(kind="cifs") + f"60 26 0:36 / {os.path.realpath(tmp_path)}/far rw - cifs there rw\n"

    assert file_system_of(tmp_path / "link" / "data", mounts) == "cifs"


async def test_another_number_of_partitions_stops_the_start(tmp_path: Path) -> None:
    await (await EmbeddedLog.open(tmp_path, 4)).close()

    with pytest.raises(EmbeddedLogRefused, match=r"has 4 partitions and 12 are asked for.*MEDIABEAT_PARTITIONS=4"):
        await EmbeddedLog.open(tmp_path, 12)
    await (await EmbeddedLog.open(tmp_path, 4)).close()  # and the refusal let the directory go


async def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    await (await EmbeddedLog.open(tmp_path)).close()
    newer = embedded_file.SCHEMA_VERSION + 1
    _change(tmp_path, f"PRAGMA user_version = {newer}")

    with pytest.raises(EmbeddedLogRefused, match=f"newer mediabeat .layout {newer}, this one knows {newer - 1}"):
        await EmbeddedLog.open(tmp_path)
    with pytest.raises(EmbeddedLogRefused, match="newer mediabeat"):
        embedded_reader(tmp_path)


async def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    _change(tmp_path, "CREATE TABLE theirs (x)")

    with pytest.raises(EmbeddedLogRefused, match="is not a log of mediabeat"):
        await EmbeddedLog.open(tmp_path)
    with apsw.Connection(str(tmp_path / embedded_file.FILE_NAME)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").get == "theirs"


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / embedded_file.FILE_NAME).write_bytes(b"a shopping list\n" * 100)

    with pytest.raises(EmbeddedLogRefused, match=r"not a database; put back a copy .* --data"):
        await EmbeddedLog.open(tmp_path)


async def test_a_damaged_log_is_refused_with_what_to_do(tmp_path: Path) -> None:
    log = await EmbeddedLog.open(tmp_path)
    assert not log.has_events()
    await log.append_all([Record(topics.EVENTS.name, 0, b"k", bytes(3000))] * 50)
    assert log.has_events()
    await log.close()
    with (tmp_path / embedded_file.FILE_NAME).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xee" * (os.fstat(file.fileno()).st_size - 4096))

    with pytest.raises(EmbeddedLogRefused, match=r"malformed; put back a copy .* --data"):
        await EmbeddedLog.open(tmp_path)
    with DataDirectory.claim(tmp_path):
        pass


async def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EmbeddedLogRefused, match=r"cannot use .*file as data directory"):
        await EmbeddedLog.open(tmp_path / "file")


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")

    with pytest.raises(EmbeddedLogRefused, match=r"SQLite 3\.51\.2 may corrupt.*install apsw 3\.51\.3 or newer"):
        await EmbeddedLog.open(tmp_path)


async def test_what_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "made" / "here"
    log = await EmbeddedLog.open(data)

    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in data.iterdir()} == {0o600}
    await log.close()


async def test_names_are_made_durable_before_the_log_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(str(Path(f"/proc/self/fd/{handle}").readlink())), real(handle))
    )

    await (await EmbeddedLog.open(tmp_path / "a" / "b")).close()

    assert synced == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]


@pytest.mark.parametrize("died", ["before a byte", "with a header", "with tables uncommitted"])
async def test_a_start_that_died_while_making_the_file_is_begun_again(tmp_path: Path, died: str) -> None:
    path = tmp_path / embedded_file.FILE_NAME
    path.touch()
    if died != "before a byte":
        connection = apsw.Connection(str(path))
        connection.pragma("journal_mode", "wal")
        if died == "with tables uncommitted":
            connection.execute("BEGIN; CREATE TABLE half (x); ROLLBACK")
        connection.close()

    log = await EmbeddedLog.open(tmp_path, 3)
    await log.append(Record(topics.EVENTS.name, 2, b"k", b"v"))
    await log.close()


def test_a_reader_where_there_is_no_log_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedLogRefused, match=r"no log in .*mediabeat run"):
        embedded_reader(tmp_path)
    (tmp_path / embedded_file.FILE_NAME).touch()
    with pytest.raises(EmbeddedLogRefused, match="just being made"):
        embedded_reader(tmp_path)


def test_a_directory_that_cannot_be_looked_into_is_refused_with_the_reason(tmp_path: Path) -> None:
    place = tmp_path / ("x" * 300)  # as one of another user, which root could look into

    with pytest.raises(EmbeddedLogRefused, match=r"log\.sqlite \(File name too long\): .* --data"):
        embedded_reader(place)


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    directory = DataDirectory.claim(tmp_path)
    directory.release()
    directory.release()
    DataDirectory.claim(tmp_path).release()


def _change(data: Path, sql: str) -> None:
    connection = apsw.Connection(str(data / embedded_file.FILE_NAME))
    connection.execute(sql)
    connection.close()
