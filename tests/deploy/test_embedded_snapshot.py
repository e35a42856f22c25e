"""A snapshot gives back what was written, whatever bytes it was."""

import apsw
from hypothesis import given
from hypothesis import strategies as st

from deploy import embedded_file
from deploy.embedded_snapshot import snapshot
from schemas.records import StoredRecord

ROWS = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=20), st.none() | st.binary(max_size=60)), max_size=40)


def written(rows: list[tuple[int, bytes, bytes | None]]) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute('CREATE TABLE "t" (offset INTEGER PRIMARY KEY, partition, timestamp, key, value)')
    embedded_file.insert(connection, "t", [(3 * at, part, 7 + at, *rest) for at, (part, *rest) in enumerate(rows)])
    return connection


@given(ROWS)
def test_every_key_and_value_comes_back_byte_for_byte(rows: list[tuple[int, bytes, bytes | None]]) -> None:
    expected = [(part, StoredRecord(3 * at, 7 + at, *rest)) for at, (part, *rest) in enumerate(rows)]

    assert snapshot(written(rows), "t", partition=None, begin=0, end=1000) == expected


@given(ROWS, st.integers(0, 2), st.integers(0, 120), st.integers(0, 120), st.integers(1, 50))
def test_partition_bounds_and_limit_choose_the_same_as_a_filter_would(
    rows: list[tuple[int, bytes, bytes | None]], partition: int, begin: int, end: int, limit: int
) -> None:
    offsets = [3 * at for at, row in enumerate(rows) if row[0] == partition and begin <= 3 * at < end][:limit]

    found = snapshot(written(rows), "t", partition=partition, begin=begin, end=end, limit=limit)

    assert [record.offset for _, record in found] == offsets
    assert {part for part, _ in found} <= {partition}


@given(ROWS)
def test_without_values_only_tombstones_are_told_apart(rows: list[tuple[int, bytes, bytes | None]]) -> None:
    found = snapshot(written(rows), "t", partition=None, begin=0, end=1000, with_values=False)

    assert [record.key for _, record in found] == [key for _, key, _ in rows]
    assert [record.value for _, record in found] == [None if value is None else b"" for _, _, value in rows]
