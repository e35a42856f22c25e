"""A state record holds at most 256 KiB and a row 512 KiB, whatever a client sends; most are small."""

import sys

import orjson
import pytest

from processors.session.rules import Rules
from processors.stored_session import VERSION, kind_of, unpack
from schemas import topics
from tests.processors.partition import MINUTE, T0, Partition, document, sid_of

A = sid_of(1)


def largest(partition: Partition, topic: str) -> int:
    return max((len(record.value or b"") for record in partition.written if topic in record.topic), default=0)


def test_events_that_wait_never_make_a_state_record_too_large() -> None:
    partition = Partition()
    partition.start(A)
    for number in range(10):
        body = document("ping", number, T0 + number, customMetadata={f"key{n}": "x" * 1000 for n in range(62)})
        partition.put(A, orjson.dumps(body), T0)
        partition.fold()
    assert partition.counts.waiting == {3: 1}
    assert partition.counts.folded == 10
    assert largest(partition, "state.session") < 100_000


def test_an_event_too_large_to_wait_is_folded_at_once() -> None:
    partition = Partition()
    partition.start(A)
    body = document("ping", 1, T0 + 1, customMetadata={"key": "x" * 300_000})
    partition.put(A, orjson.dumps(body), T0)
    partition.fold()
    assert (partition.counts.folded, partition.counts.waiting) == (2, {3: 0})
    assert not partition.rejects()


@pytest.mark.parametrize("seed", [1, 2**31])
def test_no_client_makes_a_record_too_large_to_commit(seed: int) -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=1_000))
    wide = {f"k{n:05}{seed}": "ü" * 100 for n in range(300)}
    partition.start(A, **{"media.name": "n" * 20_000, "media.id": "i" * 20_000})
    for number in range(60):
        ts = number * 1_000
        name = f"{seed}-{number}" * 500
        for event_type, params in (
            ("stateStart", {"media.state.name": name}),
            ("adBreakStart", {"media.ad.podFriendlyName": name, "media.ad.podIndex": number, "media.ad.podSecond": 0}),
            ("adStart", {"media.ad.id": name, "media.ad.length": 1, "media.ad.podPosition": number}),
            ("chapterStart", {"media.chapter.index": number, "media.chapter.offset": 0, "media.chapter.length": 1}),
            ("play", {}),
        ):
            partition.post(A, event_type, number * 7 % 13, ts, params=params, customMetadata=wide)
        partition.post(A, "error", number, ts, qoeData={"media.qoe.errorID": name, "media.qoe.errorSource": "player"})
    partition.fold()
    partition.pass_time(20 * MINUTE)
    assert largest(partition, "state.session") <= topics.STATE_LIMIT_BYTES
    assert largest(partition, "media.reports") <= topics.ROW_LIMIT_BYTES
    assert not partition.rejects("poisoned")
    assert len(partition.rows("session-close")) == 1


def test_an_ordinary_session_in_play_is_small() -> None:
    partition = Partition()
    partition.start(A)
    partition.post(A, "play", 0, 0)
    for number in range(1, 100):
        partition.post(A, "ping", number * 10, number * 10_000)
    partition.fold()
    start = next(record.value for record in partition.state() if record.key.endswith(b"/start"))
    current = next(record.value for record in partition.state() if record.key == A.encode())
    assert start is not None
    assert current is not None
    draft = unpack(A, start, current)
    waits = sum(len(item.arrival.envelope.event) for item in draft.waiting)
    assert len(current) - waits <= 560
    # A table entry: two dictionary entries, one key, two values, one deadline.
    assert sum(map(sys.getsizeof, (A, start, current))) < 1_700


def test_a_record_of_an_unknown_version_is_refused_by_name() -> None:
    partition = Partition()
    partition.start(A)
    partition.fold()
    [current] = [record for record in partition.state() if record.key == A.encode()]
    table = partition.new_table()
    table.restore([current._replace(value=bytes([VERSION + 7]) + (current.value or b"")[1:])])
    with pytest.raises(ValueError, match=f"version {VERSION + 7}"):
        table.restored()


def test_a_draft_survives_its_bytes() -> None:
    partition = Partition()
    partition.start(A, **{"media.libraryVersion": "ios-media-5"})
    partition.post(A, "pauseStart", 0, 1_000)
    partition.post(A, "adComplete", 0, 1_000, peer=None)
    partition.fold()
    current = {record.key: record.value for record in partition.state()}[A.encode()]
    assert current is not None
    draft = unpack(A, None, current)
    assert kind_of(current) is draft.kind
    assert draft.serial
    assert [item.arrival.envelope.peer for item in draft.waiting] == ["192.0.2.0", None]
    assert [item.arrival.envelope.event for item in draft.waiting] == [
        orjson.dumps(document("pauseStart", 0, T0 + 1_000)),
        orjson.dumps(document("adComplete", 0, T0 + 1_000)),
    ]
    assert draft.knows(draft.waiting[0].arrival.digest)
