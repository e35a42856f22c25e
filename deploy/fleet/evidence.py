"""What stands on the topics after a run: told events by session of each dialect, rows, the workers' rejects."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from deploy.fleet.roundware import told as roundware_told
from deploy.fleet.truth_records import Told, by_session, read_partition
from schemas import topics
from schemas.records import StoredRecord

ROW_TOPICS = {
    "session-start": topics.SESSION_START,
    "ad-start": topics.AD_START,
    "ad-close": topics.AD_CLOSE,
    "chapter-close": topics.CHAPTER_CLOSE,
    "session-close": topics.SESSION_CLOSE,
    "heartbeat": topics.HEARTBEAT,
}


class Reader(Protocol):
    """The part of `deploy.readers.TopicReader` that is needed here."""

    def records(self, topic: str, *, from_start: bool, follow: bool) -> AsyncIterator[tuple[int, list[StoredRecord]]]:
        """(partition, committed records in offset order) of a topic, from its start to its present end."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A row as it was found. `topic_kind`: the kind its topic is for."""

    topic_kind: str
    partition: int
    offset: int
    key: str
    row: dict[str, Any]


@dataclass(slots=True)
class Evidence:
    """`sessions` of the Media Collection dialect, `roundware` those of the other; both in arrival order."""

    sessions: dict[str, list[Told]] = field(default_factory=dict)
    rows: dict[str, list[Landed]] = field(default_factory=dict)
    rejects: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    partitions: int = 0
    roundware: dict[str, list[roundware_told.Heard]] = field(default_factory=dict)

    @property
    def newest_at(self) -> int:
        """Arrival of the youngest record, epoch ms; 0 when there is none."""
        last = [told[-1].arrived_at for told in self.sessions.values()]
        last += [heard[-1].arrived_at for heard in self.roundware.values()]
        return max(last, default=0)


async def gather(reader: Reader, partitions: int) -> Evidence:
    """Read every topic a check needs, from its start. `partitions`: how many each topic has."""
    events = await _read(reader, topics.EVENTS.name)
    evidence = Evidence(partitions=partitions)
    evidence.sessions = by_session(read_partition(partition, records) for partition, records in events.items())
    evidence.roundware = roundware_told.by_session(
        roundware_told.read_partition(partition, records) for partition, records in events.items()
    )
    for kind, topic in ROW_TOPICS.items():
        for partition, records in (await _read(reader, topic.name)).items():
            for record in records:
                _note_row(evidence, kind, partition, record)
    for records in (await _read(reader, topics.REJECTS.name)).values():
        for record in records:
            _note_reject(evidence, record)
    return evidence


async def _read(reader: Reader, topic: str) -> dict[int, list[StoredRecord]]:
    found: dict[int, list[StoredRecord]] = {}
    async for partition, records in reader.records(topic, from_start=True, follow=False):
        found.setdefault(partition, []).extend(records)
    return found


def _note_row(evidence: Evidence, kind: str, partition: int, record: StoredRecord) -> None:
    row = orjson.loads(record.value or b"{}")
    landed = Landed(kind, partition, record.offset, record.key.decode(), row)
    evidence.rows.setdefault(landed.key, []).append(landed)


def _note_reject(evidence: Evidence, record: StoredRecord) -> None:
    reject = orjson.loads(record.value or b"{}")
    origin = reject.get("origin")
    if reject.get("stage") == "worker" and origin and origin["topic"] == topics.EVENTS.name:
        evidence.rejects.setdefault((origin["partition"], origin["offset"]), []).append(reject["code"])
