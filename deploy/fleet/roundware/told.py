"""What the events topic says Roundware clients told: the door's wrappers read back, session by session.

Read with the JSON parser alone, on purpose, and from what the client sent: what the door made of it is compared with
this reading, not used by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from deploy.fleet.truth_records import APPEND_TIME_SLACK_MS
from schemas.records import StoredRecord


@dataclass(frozen=True, slots=True)
class Heard:
    """One accepted request as it stands in the log.

    `received_at` is the door's clock, `arrived_at` = min(received_at, append time + 2 s), `clock` the highest of these
    of the dialect on the partition so far, `at` the highest of the session so far; all in epoch milliseconds. `sent`:
    the client's document, empty where it says nothing that matters. `made`: the door's.
    """

    sid: str
    partition: int
    offset: int
    received_at: int
    arrived_at: int
    clock: int
    at: int
    kind: str
    number: int
    sent: dict[str, Any]
    made: dict[str, Any]


def read_partition(partition: int, records: Iterable[StoredRecord]) -> list[Heard]:
    """The Roundware records of one partition of the events topic, in offset order."""
    clock = 0
    heard = []
    for record in records:
        if record.value is None:
            continue
        envelope = orjson.loads(record.value)
        arrived_at = min(envelope["receivedAt"], record.timestamp + APPEND_TIME_SLACK_MS)
        if envelope["source"] != "roundware":
            continue  # another dialect, with a clock of its own
        clock = max(clock, arrived_at)
        made = envelope["event"]
        heard.append(
            Heard(
                sid=envelope["sid"],
                partition=partition,
                offset=record.offset,
                received_at=envelope["receivedAt"],
                arrived_at=arrived_at,
                clock=clock,
                at=arrived_at,
                kind=made["kind"],
                number=made["id"],
                sent=made["sent"] or {},
                made=made,
            )
        )
    return heard


def by_session(partitions: Iterable[list[Heard]]) -> dict[str, list[Heard]]:
    """Each session's records in arrival order. A session is on one partition, so offset order is arrival order."""
    sessions: dict[str, list[Heard]] = {}
    for heard in partitions:
        for record in heard:
            known = sessions.setdefault(record.sid, [])
            known.append(replace(record, at=max(record.at, known[-1].at)) if known else record)
    return sessions
