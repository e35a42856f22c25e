import pytest

from ingest.admission import Admission
from ingest.problems import Problem


def test_as_many_as_the_bound_enter_and_the_next_is_refused_until_one_leaves():
    admission = Admission(2, 100)
    admission.enter()
    admission.enter()
    with pytest.raises(Problem, match="requests") as refused:
        admission.enter()
    assert refused.value.status == 503
    admission.leave(0)
    admission.leave(0)
    admission.enter()


def test_bytes_over_the_bound_are_refused_and_given_back():
    admission = Admission(2, 100)
    admission.enter()
    admission.hold(100)
    with pytest.raises(Problem, match="bytes"):
        admission.hold(1)
    admission.leave(101)
    assert (admission.requests, admission.held_bytes) == (0, 0)
    admission.hold(100)


def test_it_is_unready_over_a_bound_or_while_stopping():
    admission = Admission(1, 100)
    assert admission.unready() is None
    admission.enter()
    assert "too many" in (admission.unready() or "")
    admission.leave(0)
    admission.draining = True
    assert admission.unready() == "stopping"
