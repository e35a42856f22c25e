"""Reading the embedded log: short snapshots of committed records, taken on threads that only read."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import orjson

from deploy import embedded_file
from schemas.records import LogUnavailable, StoredRecord

SNAPSHOT_RECORDS: Final = 1000
"""The most rows one read takes: a longer snapshot would keep the write-ahead log from being reused."""

SNAPSHOT_BYTES: Final = 4 * 1024 * 1024
"""Where a snapshot of large values ends early; it holds one record at least."""

# The whole snapshot is one row: each row fetched gives the interpreter's lock away and has to win it back, which on a
# busy event loop takes far longer than the reading. The blobs are laid end to end, their lengths beside them.
_NO_VALUE: Final = "CASE WHEN value IS NOT NULL THEN zeroblob(0) END"
_SNAPSHOT: Final = """
    SELECT json_group_array(json_array(offset, timestamp, partition, length(key), length(value))),
           CAST(group_concat(key, '') AS BLOB), CAST(group_concat(value, '') AS BLOB)
    FROM (
        SELECT *, sum(coalesce(length(value), 0)) OVER (ORDER BY offset ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
            SELECT offset, timestamp, partition, key, {value} AS value FROM "{topic}"
            WHERE {where} offset >= :begin AND offset < :end ORDER BY offset LIMIT :limit
        )
    ) WHERE bytes - coalesce(length(value), 0) < :bytes
"""

Answer = TypeVar("Answer")


def snapshot(
    connection: apsw.Connection,
    topic: str,
    *,
    partition: int | None,
    begin: int,
    end: int,
    limit: int = SNAPSHOT_RECORDS,
    with_values: bool = True,
) -> list[tuple[int, StoredRecord]]:
    """(partition, record) of a topic, or of one partition of it, with begin <= offset < end, in offset order.

    At most `limit` records, never more than SNAPSHOT_RECORDS, and about SNAPSHOT_BYTES of values. Without values they
    are empty, but a tombstone's still None.
    """
    where = "" if partition is None else "partition = :partition AND"
    sql = _SNAPSHOT.format(topic=topic, where=where, value="value" if with_values else _NO_VALUE)
    bounds = {"begin": begin, "end": end, "limit": min(limit, SNAPSHOT_RECORDS), "bytes": SNAPSHOT_BYTES}
    if partition is not None:
        bounds["partition"] = partition
    row: Any = connection.execute(sql, bounds).fetchall()[0]
    lengths, keys, values = row[0], row[1] or b"", row[2] or b""
    records = []
    key_at = value_at = 0
    for offset, timestamp, of_partition, key_length, value_length in orjson.loads(lengths):
        key, value = keys[key_at : key_at + key_length], None
        key_at += key_length
        if value_length is not None:
            value = values[value_at : value_at + value_length]
            value_at += value_length
        records.append((of_partition, StoredRecord(offset, timestamp, key, value)))
    return records


class SnapshotReaders:
    """A few threads, each with a connection of its own that cannot write."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._path = path
        self._own = threading.local()
        self._opened: list[apsw.Connection] = []
        self._threads = ThreadPoolExecutor(threads, "mediabeat-log-reader")

    async def ask(self, question: Callable[[apsw.Connection], Answer]) -> Answer:
        """Run `question` on a reading thread. LogUnavailable when the file cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)

    def _answer(self, question: Callable[[apsw.Connection], Answer]) -> Answer:
        try:
            connection = getattr(self._own, "connection", None)
            if connection is None:
                connection = self._own.connection = embedded_file.open_for_reading(self._path)
                self._opened.append(connection)
            return question(connection)
        except apsw.Error as error:
            raise LogUnavailable(f"the log in {self._path.parent} cannot be read: {error}") from error

    def close(self) -> None:
        """Wait for the reads under way, then close. Blocks: not for the event loop's thread."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
