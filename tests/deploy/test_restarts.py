from hypothesis import given
from hypothesis import strategies as st

from deploy.restarts import REPEATED, STEADY_SECONDS, Restarts

SHORT = STEADY_SECONDS / 2
LIVES = st.lists(st.floats(0, 2 * STEADY_SECONDS))


def test_the_first_end_costs_nothing_and_the_next_ones_more_and_more() -> None:
    restarts = Restarts()

    assert [restarts.delay_after(SHORT) for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_steady_life_is_forgiven_what_was_before() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.delay_after(SHORT)

    assert restarts.delay_after(STEADY_SECONDS) == 0
    assert restarts.delay_after(SHORT) == 0.5


def test_some_ends_in_a_row_are_no_accident() -> None:
    restarts = Restarts()
    seen = []
    for _ in range(REPEATED):
        restarts.delay_after(SHORT)
        seen.append(restarts.are_repeated)

    assert seen == [False] * (REPEATED - 1) + [True]


@given(LIVES)
def test_no_delay_is_without_bound_or_below_the_last_one_of_its_row(lives: list[float]) -> None:
    restarts = Restarts()
    last = 0.0
    for lived in lives:
        delay = restarts.delay_after(lived)
        assert 0 <= delay <= 30
        assert delay >= last or restarts.in_a_row == 1
        last = delay


def test_a_thousand_ends_are_counted_without_a_number_too_large() -> None:
    restarts = Restarts()

    assert {restarts.delay_after(0) for _ in range(5000)} >= {30.0}
    assert restarts.in_a_row == 5000
