from hypothesis import given
from hypothesis import strategies as st

from ingest.counts import CLIENT_GONE, Counts

STATUSES = [200, 201, 204, 304, 400, 404, 405, 410, 413, 503, CLIENT_GONE]


@given(st.lists(st.one_of(st.none(), st.sampled_from(STATUSES)), max_size=50))
def test_the_counters_reconcile_at_every_instant(steps):
    counts, open_requests = Counts(), 0
    for step in steps:
        if step is None:
            counts.request_received()
            open_requests += 1
        elif open_requests:
            counts.request_over("events", step)
            open_requests -= 1
        assert counts.in_flight == open_requests
        assert counts.received == counts.accepted + counts.rejected + counts.failed + counts.in_flight
        assert counts.answered.total() == counts.received - counts.in_flight


def test_a_client_that_is_gone_and_a_log_that_is_away_are_failures_and_a_refusal_is_none():
    counts = Counts()
    for status in STATUSES:
        counts.request_received()
        counts.request_over("events", status)
    assert (counts.accepted, counts.rejected, counts.failed) == (4, 5, 2)
