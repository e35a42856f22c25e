"""Keeps the embedded log's file in order: retention, compaction and checkpoints, in steps that no append waits for."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
import orjson

from deploy import embedded_file
from deploy.embedded_jobs import Work
from deploy.embedded_snapshot import snapshot
from deploy.embedded_writer import Writer
from schemas import topics
from schemas.records import StoredRecord

STEP_RECORDS: Final = 512
"""The most records one transaction deletes."""

TURN_SECONDS: Final = 30.0
"""How often an idle log is looked after."""

CHECKPOINT_PAGES: Final = 1000  # 4 MB of write-ahead log
LEAST_DIRTY_RECORDS: Final = 10_000
"""Fewer new records than this in a compacted topic are not worth a pass over it before its segment time is over."""

_OLDEST: Final = """
    SELECT json_group_array(json_array(offset, partition))
    FROM (SELECT offset, partition, timestamp FROM "{topic}" ORDER BY offset LIMIT :limit) WHERE timestamp < :older_than
"""
_CHUNK_RECORDS: Final = 100_000  # how many keys a pass holds in memory
_DIRTY_RATIO: Final = 0.5
_SEGMENT_MS: Final = topics.HOUR_MS
_TOMBSTONE_MS: Final = topics.DAY_MS


@dataclass(slots=True)
class Cleaned:
    """How far a compacted topic was compacted."""

    up_to: int = 0
    records: int = 0
    tombstones: int = 0
    at: int = field(default=0)


class Upkeep:
    """A thread of its own. It reads by itself, and has the writer delete between two commits.

    `firsts`: by topic and partition the offset below which retention has left nothing. Another thread may read it: an
    entry is moved before the records go, so that who misses records finds out why.
    """

    def __init__(self, path: Path, writer: Writer, clock: Callable[[], int], firsts: dict[str, dict[int, int]]) -> None:
        self.firsts = firsts
        self._path = path
        self._writer = writer
        self._clock = clock
        self._cleaned = {topic.name: Cleaned(at=clock()) for topic in topics.ALL if topic.compacted}
        self.turns = 0
        self._wanted = threading.Event()
        self._stopping = False
        self._checkpointed_pages = 0
        self._thread = threading.Thread(target=self._run, name="mediabeat-log-upkeep", daemon=True)

    def start(self) -> None:
        self._writer.on_wal_pages = self._heed
        self._thread.start()

    def stop(self) -> None:
        """Blocks until the step under way is done."""
        self._stopping = True
        self._wanted.set()
        self._thread.join()

    def _heed(self, wal_pages: int) -> None:
        self._checkpointed_pages = min(self._checkpointed_pages, wal_pages)  # fewer: it has begun anew
        if wal_pages - self._checkpointed_pages >= CHECKPOINT_PAGES:
            self._checkpointed_pages = wal_pages
            self._wanted.set()

    def _run(self) -> None:
        with contextlib.closing(embedded_file.open_for_upkeep(self._path)) as connection:
            while not self._stopping:
                with contextlib.suppress(apsw.Error):  # a full disk, say: the next turn tries again
                    self.turn(connection)
                self.turns += 1
                self._wanted.wait(TURN_SECONDS)
                self._wanted.clear()

    def turn(self, connection: apsw.Connection) -> None:
        """Whatever is due now."""
        if self._writer.wal_pages >= CHECKPOINT_PAGES:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        for topic in topics.ALL:
            if topic.retention_ms is not None:
                self.expire(connection, topic, self._clock() - topic.retention_ms)
            if topic.compacted and self._is_dirty(topic):
                self.compact(connection, topic)

    def expire(self, connection: apsw.Connection, topic: topics.Topic, older_than: int) -> None:
        """Delete what was appended before `older_than`, oldest first."""
        oldest = _OLDEST.format(topic=topic.name)
        bounds = {"limit": STEP_RECORDS, "older_than": older_than}
        while not self._stopping:
            expired = orjson.loads(connection.execute(oldest, bounds).get)
            if not expired or not self.delete(topic.name, expired, moves_first=True):
                return

    def delete(self, topic: str, records: list[tuple[int, int]], *, moves_first: bool) -> bool:
        """Delete (offset, partition) records in one step; False when the writer could not."""
        firsts = {partition: offset + 1 for offset, partition in records} if moves_first else {0: 0}
        if moves_first:
            self.firsts[topic] = {**self.firsts[topic], **firsts}
        next_offset = self._writer.nexts[topic]

        def do(connection: apsw.Connection) -> None:
            embedded_file.delete(connection, topic, [offset for offset, _ in records])
            embedded_file.raise_bounds(connection, topic, firsts.items(), next_offset)

        work = Work(do)
        self._writer.put(work)
        while not work.done.wait(1.0):
            if self._stopping:  # a disk that does not answer must not keep the log from being closed
                return False
        return work.held

    def _is_dirty(self, topic: topics.Topic) -> bool:
        cleaned = self._cleaned[topic.name]
        dirty = self._writer.nexts[topic.name] - cleaned.up_to
        if dirty >= max(LEAST_DIRTY_RECORDS, (topic.dirty_ratio or _DIRTY_RATIO) * cleaned.records):
            return True
        return (dirty > 0 or cleaned.tombstones > 0) and self._clock() - cleaned.at >= (topic.segment_ms or _SEGMENT_MS)

    def compact(self, connection: apsw.Connection, topic: topics.Topic) -> None:
        """Leave the newest record of each key, and of tombstones those younger than the topic keeps them."""
        end = self._writer.nexts[topic.name]
        while True:
            newest: dict[tuple[int, bytes], int] = {}
            up_to = end
            for partition, record in self._keys(connection, topic.name, self._cleaned[topic.name].up_to, end):
                newest[partition, record.key] = record.offset
                if len(newest) >= _CHUNK_RECORDS:
                    up_to = record.offset + 1
                    break
            if not self._sweep(connection, topic, newest, up_to) or up_to == end:
                return

    def _sweep(
        self, connection: apsw.Connection, topic: topics.Topic, newest: dict[tuple[int, bytes], int], up_to: int
    ) -> bool:
        """Delete what a later record of its key below `up_to` has replaced, and old tombstones; False if cut short."""
        now = self._clock()
        forgotten_before = now - (topic.tombstone_ms or _TOMBSTONE_MS)
        left = Cleaned(up_to=up_to, at=now)
        step: list[tuple[int, int]] = []
        for partition, record in self._keys(connection, topic.name, 0, up_to):
            replaced = record.offset < newest.get((partition, record.key), 0)
            # In offset order, so that a tombstone never goes before what it buries.
            if replaced or (record.value is None and record.timestamp < forgotten_before):
                step.append((record.offset, partition))
            else:
                left.records += 1
                left.tombstones += record.value is None
            if len(step) >= STEP_RECORDS:
                if self._stopping or not self.delete(topic.name, step, moves_first=False):
                    return False
                step = []
        if step and not self.delete(topic.name, step, moves_first=False):
            return False
        self._cleaned[topic.name] = left
        return True

    def _keys(
        self, connection: apsw.Connection, topic: str, begin: int, end: int
    ) -> Iterator[tuple[int, StoredRecord]]:
        while found := snapshot(connection, topic, partition=None, begin=begin, end=end, with_values=False):
            yield from found
            begin = found[-1][1].offset + 1
