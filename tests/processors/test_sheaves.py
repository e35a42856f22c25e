"""Far deadlines in sheaves come due as if each had been in the heap."""

from hypothesis import given
from hypothesis import strategies as st

from processors.deadlines import Deadline
from processors.sheaves import SHEAF_MS, Sheaves

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "window", "commit", "rollback"]), st.integers(0, 6 * SHEAF_MS)),
    max_size=60,
)


def due(sheaves: Sheaves, clock: int, ends: dict[str, int]) -> list[str]:
    """Whose end the clock has passed, taken as a table does: what is too early is put back with its own moment."""
    passed = []
    while (entry := sheaves.take_due(clock)) is not None:
        assert entry.at < clock
        if ends[entry.sid] < clock:
            passed.append(entry.sid)
        else:
            sheaves.add(ends[entry.sid], entry.sid, window=False)
    return passed


@given(STEPS)
def test_every_session_comes_due_at_the_first_look_after_its_end(steps: list[tuple[str, int]]) -> None:
    sheaves = Sheaves()
    ends: dict[str, int] = {}
    clock = 0
    for number, (step, value) in enumerate(steps):
        if step in {"add", "window"}:
            ends[sid := f"s{number}"] = at = max(clock, value)
            sheaves.add(at, sid, window=step == "window")
            sheaves.commit()
            continue
        clock = max(clock, value)
        passed = due(sheaves, clock, ends)
        assert sorted(passed) == sorted(sid for sid, at in ends.items() if at < clock)
        if step == "commit":
            sheaves.commit()
            for sid in passed:
                del ends[sid]
        else:
            sheaves.rollback()
        next_at = sheaves.next_at()
        assert (next_at is None) is (not ends)
        assert next_at is None or next_at <= min(ends.values())
        assert len(sheaves) == len(ends)


def test_far_ends_of_one_sheaf_are_kept_as_names_alone() -> None:
    sheaves = Sheaves()
    sheaves.load([Deadline(SHEAF_MS + number, f"s{number}", window=False) for number in range(100)])
    assert sheaves._sheaves == {1: [f"s{number}" for number in range(100)]}
    assert sheaves.next_at() == SHEAF_MS
    assert sheaves.take_due(SHEAF_MS) is None
