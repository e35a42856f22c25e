"""Numbers are ours or they are refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.roundware.numbers import (
    AHEAD_SECONDS,
    DOORS,
    EPOCH,
    IN_A_SECOND,
    NumberKeys,
    Series,
    made_at,
    second_of,
)
from schemas.roundware import NUMBER_MAX

SECRET, OTHER = b"s" * 32, b"o" * 32
KEYS = NumberKeys((SECRET,))
NOW = 1_795_000_000_000
SECONDS = st.integers(1, second_of(NOW))
PLACES = st.tuples(SECONDS, st.integers(0, DOORS - 1), st.integers(0, IN_A_SECOND - 1))


@given(st.sampled_from(Series), PLACES)
def test_a_number_that_was_given_out_is_known_and_fits_a_javascript_number(series: Series, place: tuple) -> None:
    number = KEYS.number(series, *place)

    assert 2 < number <= NUMBER_MAX
    assert KEYS.verify(series, number, NOW)
    assert made_at(number) == (place[0] + EPOCH) * 1000


@given(st.sampled_from(Series), PLACES, PLACES)
def test_two_places_have_two_numbers(series: Series, one: tuple, two: tuple) -> None:
    assert (KEYS.number(series, *one) == KEYS.number(series, *two)) == (one == two)


@given(st.integers(max_value=1 << 23), st.sampled_from(Series))
def test_a_small_or_negative_number_is_never_one_of_ours(number: int, series: Series) -> None:
    assert not KEYS.verify(series, number, NOW)


@given(st.integers(min_value=NUMBER_MAX + 1), st.sampled_from(Series))
def test_a_number_beyond_javascript_is_never_one_of_ours(number: int, series: Series) -> None:
    assert not KEYS.verify(series, number, NOW)


def test_of_random_numbers_one_in_thousands_is_taken_for_ours() -> None:
    chance = random.Random(6)
    taken = sum(KEYS.verify(Series.SESSION, chance.randint(1, NUMBER_MAX), NOW) for _ in range(100_000))

    # A check of nine bits, and the seconds that have been are a seventeenth of all: one in some 8,700.
    assert taken < 30


def test_of_numbers_with_a_changed_digit_nearly_all_are_refused() -> None:
    chance = random.Random(7)
    number = KEYS.number(Series.SESSION, second_of(NOW), 3, 4)
    changed = {number ^ 1 << bit for bit in range(9)} | {number ^ chance.randint(1, 1 << 24) for _ in range(10_000)}

    assert not any(KEYS.verify(Series.SESSION, number ^ 1 << bit, NOW) for bit in range(9))
    assert sum(KEYS.verify(Series.SESSION, of, NOW) for of in changed) < 60


@pytest.mark.parametrize("series", Series)
def test_the_number_of_one_series_is_not_taken_for_anothers(series: Series) -> None:
    numbers = [KEYS.number(series, second_of(NOW), door, sequence) for door in range(DOORS) for sequence in range(64)]
    others = [other for other in Series if other is not series]

    assert all(sum(KEYS.verify(other, number, NOW) for number in numbers) < 30 for other in others)


def test_numbers_outlive_a_change_of_secrets_and_end_with_theirs() -> None:
    numbers = [KEYS.number(Series.SESSION, second_of(NOW), 0, sequence) for sequence in range(IN_A_SECOND)]

    rotated, dropped = NumberKeys((OTHER, SECRET)), NumberKeys((OTHER,))

    assert all(rotated.verify(Series.SESSION, number, NOW) for number in numbers)
    assert sum(dropped.verify(Series.SESSION, number, NOW) for number in numbers) < 10


def test_numbers_of_a_second_far_ahead_are_refused() -> None:
    ahead = KEYS.number(Series.SESSION, second_of(NOW) + AHEAD_SECONDS, 0, 0)
    beyond = KEYS.number(Series.SESSION, second_of(NOW) + AHEAD_SECONDS + 1, 0, 0)

    assert KEYS.verify(Series.SESSION, ahead, NOW)
    assert not KEYS.verify(Series.SESSION, beyond, NOW)


@pytest.mark.parametrize("place", [(0, 0, 0), (1 << 30, 0, 0), (1, 64, 0), (1, -1, 0), (1, 0, 256)])
def test_a_place_beyond_the_layout_has_no_number(place: tuple) -> None:
    with pytest.raises(ValueError, match="have no number"):
        KEYS.number(Series.SESSION, *place)
