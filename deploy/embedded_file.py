"""The SQLite file of the embedded log: its tables, how it is opened, and every statement run on it.

One table a topic. The offset is the table's row number, counted over all partitions of the topic: every append goes
to the right edge of one tree, and the offsets of one partition increase and skip. One insert carries many rows,
because each step of a statement gives the interpreter's lock away and has to win it back.
"""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import apsw

from deploy.embedded_directory import EmbeddedLogRefused
from schemas import topics

FILE_NAME: Final = "log.sqlite"
APPLICATION_ID: Final = 0x6D626C67  # "mblg"
SCHEMA_VERSION: Final = 1

BUSY_MS: Final = 1000
"""How long a write waits for a stranger who holds the file, an operator's SQLite shell say."""

LEAST_SQLITE: Final = (3, 51, 3)
"""Older ones may corrupt the file when a checkpoint and a write meet (the WAL reset bug)."""

_INSERT_ROWS: Final = (256, 64, 16, 4, 1)
_DELETE_ROWS: Final = (256, 16, 1)

Row = tuple[int, int, int, bytes, bytes | None]
"""offset, partition, timestamp, key, value."""


def open_for_writing(path: Path, partitions: int) -> apsw.Connection:
    """The one connection that writes. Makes the file where there is none; EmbeddedLogRefused where it does not fit."""
    _refuse_old_sqlite()
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=256)
    except (OSError, apsw.Error) as error:
        raise EmbeddedLogRefused(f"cannot open {path} ({error}); choose another directory with --data") from None
    try:
        connection.set_busy_timeout(BUSY_MS)
        _refuse_foreign(connection, path)
        _keep_durably(connection, path)
        _make_tables(connection, partitions)
        _refuse_other_partitions(connection, path, partitions)
    except apsw.Error as error:
        connection.close()
        raise unusable("use", path, error) from None
    except EmbeddedLogRefused:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> apsw.Connection:
    """A connection that cannot write. EmbeddedLogRefused when there is no log of ours there."""
    _refuse_old_sqlite()
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise EmbeddedLogRefused(
            f"there is no log in {path.parent}: start `mediabeat run` there, or give its --data"
        ) from None
    except OSError as error:  # of another user, most often
        raise EmbeddedLogRefused(
            f"cannot read {path} ({error.strerror}): be the user it belongs to, or give another --data"
        ) from None
    try:
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(2000)
        _refuse_foreign(connection, path)
        if connection.pragma("user_version") == 0:
            connection.close()
            raise EmbeddedLogRefused(f"the log in {path.parent} is just being made: try again")
    except apsw.Error as error:
        if isinstance(error, (apsw.CantOpenError, apsw.ReadOnlyError)) and not os.access(path.parent, os.W_OK):
            raise EmbeddedLogRefused(
                f"cannot read {path}: SQLite keeps small files beside a log while it is read, and {path.parent} cannot "
                "be written to; copy the directory to where it can, and give that as --data"
            ) from None
        raise unusable("read", path, error) from None
    return connection


def open_for_upkeep(path: Path) -> apsw.Connection:
    """A connection beside the writing one, for checkpoints and reads."""
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def unusable(verb: str, path: Path, error: apsw.Error) -> EmbeddedLogRefused:
    """What to say of an error of SQLite's; of a damaged file, with what to do."""
    is_damaged = isinstance(error, (apsw.CorruptError, apsw.NotADBError))
    todo = "; put back a copy of its directory, or choose another with --data" if is_damaged else ""
    return EmbeddedLogRefused(f"cannot {verb} {path}: {error}{todo}")


def _refuse_old_sqlite() -> None:
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < LEAST_SQLITE:
        raise EmbeddedLogRefused(
            f"SQLite {version} may corrupt a log under load; install apsw {'.'.join(map(str, LEAST_SQLITE))} or newer"
        )


def _refuse_foreign(connection: apsw.Connection, path: Path) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_schema").get:
        return  # new, or a start that died before its tables were committed
    if connection.pragma("application_id") != APPLICATION_ID:
        raise EmbeddedLogRefused(f"{path} is not a log of mediabeat; choose another directory with --data")
    version = connection.pragma("user_version")
    if version > SCHEMA_VERSION:
        raise EmbeddedLogRefused(
            f"{path} was written by a newer mediabeat (layout {version}, this one knows {SCHEMA_VERSION}): "
            "use that release, or choose another directory with --data"
        )


def _keep_durably(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        raise EmbeddedLogRefused(f"{path} cannot be kept in WAL mode here; choose a directory on a local disk")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)  # the upkeep thread's work, so that no append waits for it
    connection.pragma("journal_size_limit", 64 * 1024 * 1024)
    connection.pragma("cache_size", -16_000)


def _make_tables(connection: apsw.Connection, partitions: int) -> None:
    """One transaction: a start that dies inside it leaves an empty file, which the next start takes for new."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if there.issuperset(topic.name for topic in topics.ALL):
        return  # nothing is written, so that a start succeeds on a full disk
    with connection:
        for topic in topics.ALL:
            connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{topic.name}" (offset INTEGER PRIMARY KEY, partition INTEGER NOT NULL, '
                f"timestamp INTEGER NOT NULL, key BLOB NOT NULL, value BLOB);"
                f'CREATE INDEX IF NOT EXISTS "{topic.name}/partition" ON "{topic.name}" (partition)'
            )
        connection.execute(
            # `first`: nothing below it is left. `next`: a floor of the next offset, for when all rows are gone.
            "CREATE TABLE IF NOT EXISTS bounds (topic TEXT, partition INTEGER, first INTEGER NOT NULL, "
            "next INTEGER NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS consumed (consumers TEXT, topic TEXT, partition INTEGER, "
            "next_offset INTEGER NOT NULL, PRIMARY KEY (consumers, topic, partition)) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID"
        )
        connection.execute("INSERT OR IGNORE INTO facts VALUES ('partitions', ?)", (partitions,))
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)


def partitions_in(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT value FROM facts WHERE name = 'partitions'").get)


def _refuse_other_partitions(connection: apsw.Connection, path: Path, partitions: int) -> None:
    there = partitions_in(connection)
    if there != partitions:
        raise EmbeddedLogRefused(
            f"the log in {path.parent} has {there} partitions and {partitions} are asked for: their number is fixed "
            f"when the log is made, so set MEDIABEAT_PARTITIONS={there} or choose another directory with --data"
        )


def insert(connection: apsw.Connection, topic: str, rows: Sequence[Row]) -> None:
    at, left = 0, len(rows)
    for size in _INSERT_ROWS:
        while left >= size:
            connection.execute(_insert_sql(topic, size), [value for row in rows[at : at + size] for value in row])
            at, left = at + size, left - size


def is_one_insert(rows: Sequence[Row]) -> bool:
    """Whether `insert` needs one statement only."""
    return len(rows) in _INSERT_ROWS


@cache
def _insert_sql(topic: str, rows: int) -> str:
    return f'INSERT INTO "{topic}" VALUES ' + ",".join(["(?,?,?,?,?)"] * rows)  # noqa: S608 - names of our own tables


def delete(connection: apsw.Connection, topic: str, offsets: Sequence[int]) -> None:
    at, left = 0, len(offsets)
    for size in _DELETE_ROWS:
        while left >= size:
            marks = ",".join("?" * size)
            connection.execute(f'DELETE FROM "{topic}" WHERE offset IN ({marks})', offsets[at : at + size])  # noqa: S608
            at, left = at + size, left - size


def raise_bounds(connection: apsw.Connection, topic: str, firsts: Iterable[tuple[int, int]], next_offset: int) -> None:
    """Note that nothing below `first` is left in a partition, and that offsets of the topic go on at `next_offset`."""
    connection.executemany(
        "INSERT INTO bounds VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
        "first = max(first, excluded.first), next = max(next, excluded.next)",
        [(topic, partition, first, next_offset) for partition, first in firsts],
    )


def first_offsets(connection: apsw.Connection, topic: str) -> dict[int, int]:
    found = connection.execute("SELECT partition, first FROM bounds WHERE topic = ?", (topic,))
    return {int(partition): int(first) for partition, first in found}


def end_offset(connection: apsw.Connection, topic: str, partition: int) -> int:
    """One past the newest record of a partition; 0 when it has none."""
    newest = f'SELECT offset + 1 FROM "{topic}" WHERE partition = ? ORDER BY offset DESC LIMIT 1'  # noqa: S608
    return int(connection.execute(newest, (partition,)).get or 0)


def next_offset(connection: apsw.Connection, topic: str) -> int:
    """Where the topic goes on: above every offset it ever had."""
    highest = connection.execute(f'SELECT coalesce(max(offset) + 1, 0) FROM "{topic}"').get  # noqa: S608
    floor = connection.execute("SELECT coalesce(max(next), 0) FROM bounds WHERE topic = ?", (topic,)).get
    return int(max(highest, floor))


def consume(connection: apsw.Connection, consumers: str, topic: str, positions: Sequence[tuple[int, int]]) -> None:
    rows = ",".join(["(?,?,?,?)"] * len(positions))
    values = [value for partition, position in positions for value in (consumers, topic, partition, position)]
    connection.execute(f"INSERT OR REPLACE INTO consumed VALUES {rows}", values)  # noqa: S608 - marks only


def consumed(connection: apsw.Connection, consumers: str, topic: str, partition: int) -> int | None:
    found = connection.execute(
        "SELECT next_offset FROM consumed WHERE consumers = ? AND topic = ? AND partition = ?",
        (consumers, topic, partition),
    ).get
    return None if found is None else int(found)


def probe(connection: apsw.Connection) -> None:
    """Write more than the page or two that a full disk may still have to give; each probe overwrites the last."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES ('probe', randomblob(262144))")
