"""The one thread that writes the embedded log: what waits is merged into one commit, then everybody is told."""

import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import apsw

from deploy import embedded_file
from deploy.embedded_file import Row
from deploy.embedded_jobs import Claim, LaneKey, Settled, Vices, Work, Write
from schemas import topics
from schemas.records import LaneFenced, LogUnavailable

COMMIT_BYTES: Final = 8 * 1024 * 1024  # about how much one commit takes of what waits

PROBE_SECONDS: Final = 1.0
"""How often a log in trouble tries to write when nobody else does."""

_WAL_PAGES: Final = 8000  # 32 MB: by then the writer itself makes the write-ahead log reusable
_READERS_LEAVE_MS: Final = 250  # new readers use the file alone then; those under way are waited for so long

# After these the file may differ from what SQLite believes; only a new start reads it afresh.
_LASTING: Final = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})
_DISK: Final = (
    *(apsw.FullError, apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.ReadOnlyError, apsw.CantOpenError),
    *(apsw.CorruptError, apsw.NotADBError, apsw.NoMemError, apsw.PermissionsError, apsw.ProtocolError),
)

Outcome = tuple[Write | Claim, Exception | None]
Positions = dict[tuple[str, str], dict[int, int]]


class Writer:
    """Owns the writing connection from `start` to `stop`. Everything else reaches it through `put`.

    `ends`, `nexts`, `trouble` and `busy_since` are plain values other threads may read: each is written whole.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        partitions: int,
        clock: Callable[[], int],
        settle: Callable[[Settled], None],
        vices: Vices | None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._settle = settle
        self._vices = vices
        self._chance = random.Random(7)  # noqa: S311 - no secret: when a test's log shows its vices
        self._queue: queue.SimpleQueue[Write | Claim | Work | None] = queue.SimpleQueue()
        self._claims: dict[LaneKey, Claim] = {}
        self._newest_timestamp = 0
        self._lasting_trouble = False
        self._thread = threading.Thread(target=self._run, name="mediabeat-log-writer", daemon=True)
        self.nexts = {topic.name: embedded_file.next_offset(connection, topic.name) for topic in topics.ALL}
        self.ends = {
            (topic.name, partition): embedded_file.end_offset(connection, topic.name, partition)
            for topic in topics.ALL
            for partition in range(partitions)
        }
        self.trouble: str | None = None
        self.busy_since: float | None = None
        self.wal_pages = self._wal_pages_tried = 0
        self.on_wal_pages: Callable[[int], None] = lambda _: None
        connection.set_wal_hook(self._count_wal_pages)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Write | Claim | Work) -> None:
        self._queue.put(job)

    def stop(self) -> None:
        """Write what waits, then close the file. Blocks: not for the event loop's thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            jobs = self._take()
            self.busy_since = time.monotonic()
            going = None not in jobs
            self._do(job for job in jobs if job is not None)
            self.busy_since = None
        with contextlib.suppress(apsw.Error):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()

    def _take(self) -> list[Write | Claim | Work | None]:
        while True:
            try:
                jobs = [self._queue.get(timeout=PROBE_SECONDS if self.trouble else None)]
                break
            except queue.Empty:
                self._probe()
        size = 0
        with contextlib.suppress(queue.Empty):
            while size < COMMIT_BYTES:
                if isinstance(jobs[-1], Write):
                    size += jobs[-1].size
                jobs.append(self._queue.get_nowait())
        return jobs

    def _do(self, jobs: Iterable[Write | Claim | Work]) -> None:
        writes: list[Write] = []
        for job in jobs:
            if isinstance(job, Write):
                writes.append(job)
                continue
            self._commit(writes)  # what came before a claim is settled before it answers
            writes = []
            if isinstance(job, Claim):
                self._admit(job)
            else:
                self._work(job)
        self._commit(writes)

    def _commit(self, writes: list[Write]) -> None:
        if not writes:
            return
        outcomes: list[Outcome] = []
        admitted = [write for write in writes if self._admitted(write, outcomes)]
        rows: dict[str, list[Row]] = {}
        try:
            rows = self._written(admitted, outcomes) if admitted else {}
        except _DISK as error:
            self._note(error)
            outcomes.extend((write, LogUnavailable(self.trouble)) for write in admitted)
        self._publish(rows)
        self._settle(Settled(outcomes, rows))
        self._keep_wal_short()

    def _admitted(self, write: Write, outcomes: list[Outcome]) -> bool:
        refusal: Exception
        if self._lasting_trouble:
            refusal = LogUnavailable(self.trouble)
        elif time.monotonic() > write.expires_at or write.future.done():
            refusal = LogUnavailable("the log was too slow to begin this write, and will not")
        elif write.claim is not None and self._claims.get(write.claim.key) is not write.claim:
            refusal = LaneFenced(f"lane {write.claim.key[2]} of {write.claim.key[1]} was opened by a successor")
        else:
            return True
        outcomes.append((write, refusal))
        return False

    def _written(self, writes: Sequence[Write], outcomes: list[Outcome]) -> dict[str, list[Row]]:
        """The rows now durable, with the outcomes noted; if it raises, nothing holds and nothing is noted."""
        try:
            rows = self._write_merged(writes)
        except _DISK:
            raise
        except Exception:  # noqa: BLE001 - one write that cannot be stored must not fail its neighbours
            return self._write_each(writes, outcomes)
        self.trouble = None
        outcomes.extend((write, self._vice()) for write in writes)
        return rows

    def _write_merged(self, writes: Sequence[Write]) -> dict[str, list[Row]]:
        nexts = dict(self.nexts)
        rows, positions = self._laid_out(writes, nexts)
        # A lone statement is a transaction by itself, and each statement less is a wait less for the interpreter.
        alone = not positions and len(rows) == 1 and all(map(embedded_file.is_one_insert, rows.values()))
        with self._transaction(alone=alone):
            self._put_down(rows, positions)
        self.nexts = nexts
        return rows

    def _write_each(self, writes: Sequence[Write], outcomes: list[Outcome]) -> dict[str, list[Row]]:
        """The slow way, when merging failed for another reason than the disk: a savepoint for each write."""
        all_rows: dict[str, list[Row]] = {}
        noted: list[Outcome] = []
        nexts = dict(self.nexts)
        with self._transaction(alone=False):
            for write in writes:
                rows, positions = self._laid_out([write], nexts)
                try:
                    with self._connection:  # inside a transaction this is a savepoint
                        self._put_down(rows, positions)
                except _DISK:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it is, it is this write's outcome
                    noted.append((write, LogUnavailable(f"the log cannot store this: {error}")))
                    continue
                noted.append((write, self._vice()))
                for topic, of_topic in rows.items():
                    all_rows.setdefault(topic, []).extend(of_topic)
        self.nexts = nexts
        outcomes.extend(noted)
        return all_rows

    @contextlib.contextmanager
    def _transaction(self, *, alone: bool) -> Iterator[None]:
        try:
            if not alone:
                self._connection.execute("BEGIN IMMEDIATE")
            yield
            if not alone:
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # on some errors SQLite has rolled back already
                self._connection.execute("ROLLBACK")
            raise

    def _put_down(self, rows: dict[str, list[Row]], positions: Positions) -> None:
        for topic, of_topic in rows.items():
            embedded_file.insert(self._connection, topic, of_topic)
        for (consumers, topic), of_topic_positions in positions.items():
            embedded_file.consume(self._connection, consumers, topic, list(of_topic_positions.items()))

    def _laid_out(self, writes: Iterable[Write], nexts: dict[str, int]) -> tuple[dict[str, list[Row]], Positions]:
        """Rows by topic with their offsets, and the consumed positions; `nexts` is moved on."""
        self._newest_timestamp = timestamp = max(self._newest_timestamp, self._clock())
        rows: dict[str, list[Row]] = {}
        positions: Positions = {}
        for write in writes:
            for topic, partition, key, value in write.records:
                offset = nexts[topic]
                if self._vices and self._vices.skip_offsets:
                    offset += self._chance.randrange(4)
                rows.setdefault(topic, []).append((offset, partition, timestamp, key, value))
                nexts[topic] = offset + 1
            if write.claim is not None:
                consumers, topic, partition = write.claim.key
                positions.setdefault((consumers, topic), {})[partition] = write.consumed
        return rows, positions

    def _vice(self) -> Exception | None:
        if self._vices and self._chance.random() < self._vices.share_raising:
            return LogUnavailable("the write held, but its answer was lost")
        return None

    def _publish(self, rows: dict[str, list[Row]]) -> None:
        for topic, of_topic in rows.items():
            for row in of_topic:
                self.ends[topic, row[1]] = row[0] + 1

    def _admit(self, claim: Claim) -> None:
        """From here on no predecessor of this claim can commit; what one had sent before is settled."""
        self._claims[claim.key] = claim
        try:
            found = embedded_file.consumed(self._connection, *claim.key)
        except apsw.Error as error:
            self._note(error)
            self._settle(Settled([(claim, LogUnavailable(self.trouble))], {}))
            return
        claim.consumed = -1 if found is None else found
        self._settle(Settled([(claim, None)], {}))

    def _work(self, work: Work) -> None:
        try:
            if not self._lasting_trouble:
                with self._transaction(alone=False):
                    work.do(self._connection)
                work.held = True
        except apsw.Error as error:
            self._note(error)
        finally:
            work.done.set()
        self._keep_wal_short()

    def _note(self, error: apsw.Error) -> None:
        self.trouble = f"the log could not write: {error}"
        if getattr(error, "extendedresult", 0) in _LASTING or isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
            self._lasting_trouble = True
            self.trouble += "; look after the disk, then start again"

    def _probe(self) -> None:
        """See whether a log in trouble takes records again, so that it can be called ready before it gets any."""
        if self._lasting_trouble:
            return
        try:
            with self._transaction(alone=True):
                embedded_file.probe(self._connection)
            self.trouble = None
        except apsw.Error as error:
            self._note(error)

    def _count_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        self.on_wal_pages(pages)
        return apsw.SQLITE_OK

    def _keep_wal_short(self) -> None:
        """Make the write-ahead log begin anew: under load the upkeep thread never quite reaches its end."""
        self._wal_pages_tried = min(self._wal_pages_tried, self.wal_pages)  # it has begun anew
        if self.wal_pages - self._wal_pages_tried < _WAL_PAGES:
            return
        self._wal_pages_tried = self.wal_pages
        self._connection.set_busy_timeout(_READERS_LEAVE_MS)
        with contextlib.suppress(apsw.Error):  # a full disk or a stranger's long read: tried again when it has grown
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        self._connection.set_busy_timeout(embedded_file.BUSY_MS)
