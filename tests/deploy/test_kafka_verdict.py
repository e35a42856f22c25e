"""What the places of a lane tell of a transaction that is open in one of them: a table."""

import pytest
from aiokafka.structs import TopicPartition

from deploy.kafka_verdict import (
    CLOCKS_MS,
    Leftover,
    Outcome,
    Standing,
    Written,
    by_log,
    by_open_offset,
    by_standings,
    is_shared,
    leftover,
    witnesses,
)

COMMIT, ABORT = Outcome.COMMIT, Outcome.ABORT
AT = 1_800_000_000_000
"""When the transaction wrote what is open."""

ROWS, STATE, OFFSETS = (TopicPartition(name, 0) for name in ("rows", "state", "offsets"))
T = 7
"""Its epoch."""

DATA, DATA_LATER = Written(T), Written(T + 1)


def opened(tp: TopicPartition, epoch: int = T, at: int = AT) -> Standing:
    return Standing(tp, epoch, 0, at, 5)


def closed(tp: TopicPartition, epoch: int, sequence: int = -1, at: int = AT) -> Standing:
    return Standing(tp, epoch, sequence, at)


def marker(outcome: Outcome, epoch: int) -> Written:
    return Written(epoch, outcome)


def left(offset: Standing | None, *others: Standing) -> Leftover:
    found = leftover([opened(ROWS), *others], offset)
    assert found is not None
    assert found.epoch == T
    return found


def test_nothing_is_left_where_nothing_is_open() -> None:
    assert leftover([closed(ROWS, T), Standing(STATE)], closed(OFFSETS, T)) is None
    assert leftover([Standing(ROWS)], None) is None


def test_of_several_transactions_the_oldest_comes_first() -> None:
    found = leftover([opened(ROWS, T + 4), opened(STATE)], opened(OFFSETS, T + 4))
    assert found is not None
    assert found.epoch == T
    assert [place.tp for place in found.places] == [STATE]


@pytest.mark.parametrize(
    "there",
    [
        left(opened(OFFSETS)),
        left(opened(OFFSETS), opened(STATE)),
        left(opened(OFFSETS), closed(STATE, T)),  # the marker of the transaction before, in two steps
        left(opened(OFFSETS), closed(STATE, T, sequence=3, at=AT - 1)),  # the same, classic
        left(Standing(TopicPartition("offsets", -1))),  # nobody has ever had one
        left(closed(OFFSETS, T - 1)),
        left(closed(OFFSETS, T - 1), closed(STATE, T + 3)),  # of one that came later, and did not get its offset either
    ],
)
def test_whose_offset_is_open_or_was_never_written_is_aborted(there: Leftover) -> None:
    assert by_standings(there) is ABORT


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (left(opened(OFFSETS), closed(STATE, T + 1)), [(STATE, AT)]),
        (left(opened(OFFSETS), closed(STATE, T + 2)), [(STATE, AT - CLOCKS_MS)]),
        (left(opened(OFFSETS), closed(STATE, T + 2), closed(STATE, T + 1)), [(STATE, AT), (STATE, AT - CLOCKS_MS)]),
        (left(closed(OFFSETS, T + 1), closed(STATE, T + 1)), [(STATE, AT), (OFFSETS, AT - CLOCKS_MS)]),
        (left(closed(OFFSETS, T + 1)), [(OFFSETS, AT - CLOCKS_MS)]),
        (left(closed(OFFSETS, T + 1, at=AT - 9)), [(OFFSETS, AT - 9 - CLOCKS_MS)]),  # the worker's clock is ahead
        (left(Standing(OFFSETS)), [(OFFSETS, AT - CLOCKS_MS)]),  # never written, or its partition has forgotten
        (left(closed(OFFSETS, T + 9)), [(OFFSETS, AT - CLOCKS_MS)]),
        (left(opened(OFFSETS, T + 9)), [(OFFSETS, AT - CLOCKS_MS)]),
        (left(closed(OFFSETS, T)), [(OFFSETS, AT - CLOCKS_MS)]),
        (left(None, closed(STATE, T + 1)), [(STATE, AT)]),
        (left(None, closed(STATE, T)), []),
        (left(opened(OFFSETS), closed(STATE, T, sequence=3)), []),  # a classic commit has been here, and maybe ours
    ],
)
def test_else_the_log_is_asked(there: Leftover, asked: list[tuple[TopicPartition, int]]) -> None:
    assert by_standings(there) is None
    assert [(witness.tp, since) for witness, since in witnesses(there)] == asked


def test_what_we_may_not_see_may_have_been_committed() -> None:
    assert by_standings(left(opened(OFFSETS))._replace(whole=False)) is None
    assert by_standings(left(closed(OFFSETS, T - 1))._replace(whole=False)) is ABORT


def test_an_open_offset_means_abort_when_no_later_row_tells_otherwise() -> None:
    there = left(opened(OFFSETS), closed(STATE, T + 2))
    assert by_log(there, there.rows[1], [DATA_LATER, marker(ABORT, T + 2)]) is None
    assert by_open_offset(there) is ABORT
    assert by_log(there, there.rows[1], [DATA, marker(COMMIT, T + 1), DATA_LATER, marker(ABORT, T + 2)]) is COMMIT
    assert by_open_offset(left(closed(OFFSETS, T + 1))) is None


@pytest.mark.parametrize(
    ("written", "shared"),
    [
        ([], False),
        ([marker(COMMIT, T), DATA, marker(ABORT, T + 1)], False),  # in two steps
        ([DATA, marker(COMMIT, T), DATA, marker(ABORT, T + 1)], True),  # classic: the first of these was committed
        ([DATA, marker(COMMIT, T + 1)], False),
    ],
)
def test_an_epoch_of_more_than_one_transaction_is_known_by_a_commit_behind_its_batches(
    written: list[Written], *, shared: bool
) -> None:
    assert is_shared(written, T) is shared


@pytest.mark.parametrize(
    ("there", "written", "verdict"),
    [
        ("rows", [marker(COMMIT, T + 1)], COMMIT),
        ("rows", [marker(ABORT, T + 1)], ABORT),
        ("rows", [], None),
        ("rows", [marker(COMMIT, T)], None),
        (T + 1, [marker(COMMIT, T), DATA, marker(COMMIT, T + 1)], COMMIT),
        (T + 1, [marker(COMMIT, T), DATA, marker(ABORT, T + 1)], ABORT),
        (T + 1, [DATA, marker(COMMIT, T), DATA, marker(ABORT, T + 1)], None),  # classic: committed, or the last of them
        (T + 1, [], None),  # its log was cleaned
        (-1, [], ABORT),
        (-1, [marker(COMMIT, T), DATA, marker(COMMIT, T + 1)], COMMIT),
        (T + 3, [DATA, DATA_LATER, marker(COMMIT, T + 2), marker(ABORT, T + 3)], COMMIT),
        (T + 3, [DATA, marker(ABORT, T + 3)], ABORT),
        (T + 3, [DATA_LATER, marker(COMMIT, T + 2)], None),  # that of a transaction that came later
        (T + 3, [DATA, marker(COMMIT, T), DATA_LATER, marker(COMMIT, T + 2)], None),  # classic: ours, or one before
        (T + 3, [DATA, marker(COMMIT, T), DATA, marker(COMMIT, T + 3)], COMMIT),
        (T, [marker(COMMIT, T)], ABORT),  # in two steps; its offset never came
        (T, [], ABORT),
        (T, [DATA, marker(COMMIT, T)], None),  # classic: ours, or one before
        ("later", [DATA, DATA_LATER], ABORT),  # its offset is open still
        ("later", [DATA_LATER], ABORT),
        ("later", [DATA, marker(COMMIT, T), DATA_LATER], None),
        ("later", [DATA, marker(COMMIT, T + 1), DATA_LATER], COMMIT),
    ],
)
def test_the_first_marker_after_it_tells(there: int | str, written: list[Written], verdict: Outcome | None) -> None:
    if there == "rows":
        witness = closed(STATE, T + 1)
        leftover_there = left(opened(OFFSETS), witness)
    else:
        witness = opened(OFFSETS, T + 1) if there == "later" else closed(OFFSETS, int(there))
        leftover_there = left(witness)
    assert by_log(leftover_there, witness, written) is verdict
