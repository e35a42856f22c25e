"""The committed sessions of one partition: their bytes, and drafts kept that still say what the bytes say."""

from collections.abc import Sequence
from typing import Final

from processors.counts import Counts
from processors.deadlines import Deadline
from processors.session.window import TIMED
from processors.state_records import START_SUFFIX
from processors.stored_session import Draft, Kind, clock_of, deadlines_of, kind_of, unpack, waiting_of
from schemas.records import StoredRecord

WARM_DRAFTS: Final = 40_000
"""Drafts kept for the next event of their sessions, by all lanes of a worker: unpacking costs as much as folding."""
COLD_MS: Final = 60_000
"""A draft without an event for so long, by the lane's clock, gives its place to another."""


class Committed:
    """The table holds bytes, which the cyclic collector does not track. Drafts besides them only save unpacking.

    Where more sessions take turns than drafts may be kept, a draft keeps its place: to keep the newest instead would
    mean to drop each one just before its session's next event.
    """

    __slots__ = ("_counts", "_currents", "_open_sessions", "_partition", "_starts", "_waiting", "_warm", "_warm_limit")

    def __init__(self, partition: int, counts: Counts, warm_limit: int) -> None:
        self._partition = partition
        self._counts = counts
        self._warm_limit = warm_limit
        self._starts: dict[str, bytes] = {}
        self._currents: dict[str, bytes] = {}
        self._open_sessions = 0
        self._waiting = 0
        self._warm: dict[str, Draft] = {}
        """Taken out while a transaction has them; the one touched last stands last."""

    def restore(self, records: Sequence[StoredRecord]) -> None:
        for record in records:
            key = record.key.decode()
            sid = key.removesuffix(START_SUFFIX)
            table = self._currents if sid == key else self._starts
            if record.value is None:
                table.pop(sid, None)
            else:
                table[sid] = record.value

    def restored(self, window_ms: int) -> tuple[int, list[Deadline]]:
        """The newest clock of any record, and what is to come due. All records have been given."""
        clock = 0
        entries: list[Deadline] = []
        for sid, current in self._currents.items():
            self._open_sessions += kind_of(current) is Kind.OPEN
            clock = max(clock, clock_of(current))
            entries.append(Deadline(deadlines_of(current)[0], sid, window=False))
            if waits := waiting_of(current):
                self._waiting += waits
                entries += [
                    Deadline(item.received + window_ms, sid, window=True)
                    for item in unpack(sid, None, current).waiting
                    if item.marks & TIMED
                ]
        for sid in self._starts.keys() - self._currents.keys():
            del self._starts[sid]
        self._gauge()
        return clock, entries

    def deadlines(self, sid: str) -> tuple[int, int] | None:
        """The deadline and the window deadline of a session, without unpacking it; None if there is none."""
        current = self._currents.get(sid)
        return None if current is None else deadlines_of(current)

    def draft(self, sid: str) -> Draft | None:
        """A draft of what is committed, for one transaction."""
        draft = self._warm.pop(sid, None)
        if draft is None:
            current = self._currents.get(sid)
            if current is not None:
                draft = unpack(sid, self._starts.get(sid), current)
        return draft

    def commit(self, written: Sequence[tuple[Draft, bytes | None]], clock: int) -> None:
        """The transaction holds, and with it these drafts and their bytes."""
        cold: list[Draft] = []
        for draft, current in written:
            self._write(draft, current)
            if draft.kind is Kind.OPEN:
                draft.settle()
                if draft.warm:
                    self._warm[draft.sid] = draft
                else:
                    cold.append(draft)
        self._warm_up(cold, clock)
        self._gauge()

    def cool(self) -> None:
        """Keep no draft: this table may have seen its last transaction for a while."""
        self._warm = {}
        self._gauge()

    def _write(self, draft: Draft, current: bytes | None) -> None:
        sid, kind = draft.sid, draft.kind
        self._open_sessions += (kind is Kind.OPEN) - (draft.was_kind is Kind.OPEN)
        self._waiting += len(draft.waiting) + len(draft.doubtful) - draft.was_waiting
        if current is None:
            self._currents.pop(sid, None)
        else:
            self._currents[sid] = current
        if kind is not Kind.OPEN and kind is not Kind.INCOMPLETE:
            self._starts.pop(sid, None)
        elif draft.start_is_new and draft.start is not None:
            self._starts[sid] = draft.start

    def _warm_up(self, drafts: list[Draft], clock: int) -> None:
        """Keep as many of these as there is room for."""
        warm = self._warm
        kept = self._counts.warm_drafts
        room = self._warm_limit - sum(kept.values()) + kept.get(self._partition, 0) - len(warm)
        for draft in drafts:
            if room > 0:
                room -= 1
            else:
                oldest = next(iter(warm), None)
                if oldest is None or warm[oldest].received > clock - COLD_MS:
                    return
                del warm[oldest]
            draft.warm = True
            warm[draft.sid] = draft

    def _gauge(self) -> None:
        counts, partition = self._counts, self._partition
        counts.open_sessions[partition] = self._open_sessions
        counts.waiting[partition] = self._waiting
        counts.warm_drafts[partition] = len(self._warm)
