"""What the stalls of its core alone would make of a perfect door's p99."""

import pytest

from tests.bench.door_stalls import Stall, perfect_p99_ms

RATE, FULL_RATE = 1_000.0, 10_000.0


def p99(*stalls: Stall) -> float:
    return perfect_p99_ms(stalls, 100.0, 1.0, RATE, FULL_RATE)


def test_without_stalls_a_request_takes_its_own_time() -> None:
    assert p99() == pytest.approx(1_000 / FULL_RATE)


def test_stalls_of_less_than_a_hundredth_do_not_show() -> None:
    assert p99((100.5, 100.508)) == pytest.approx(1_000 / FULL_RATE)


def test_what_falls_due_in_a_stall_waits_for_its_end_and_for_those_before_it() -> None:
    # 40 requests fall due in it: the tenth of them has 31 ms of it before it, and the nine that were there.
    assert p99((100.5, 100.54)) == pytest.approx(31.9, abs=1.1)


def test_a_server_that_is_nearly_full_makes_up_for_a_stall_slowly() -> None:
    stall = ((100.2, 100.212),)
    idle, busy = (perfect_p99_ms(stall, 100.0, 1.0, RATE, full) for full in (10_000.0, 1_100.0))
    assert idle < 5
    assert busy > 8


def test_stalls_before_the_window_do_not_count() -> None:
    assert p99((99.0, 99.5)) == pytest.approx(1_000 / FULL_RATE)
