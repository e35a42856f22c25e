import math
from collections.abc import Iterable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deploy.merged_figures import (
    Family,
    MergedFigures,
    document_of,
    families,
    families_of,
    left_behind,
    merged,
    registry_of,
)
from deploy.telemetry import door_figures, make_registry
from ingest.counts import Counts

Values = dict[tuple[str, tuple[str, ...]], float]


def values(snapshot: Iterable[Family]) -> Values:
    return {
        (sample.name, tuple(value for _, value in sample.labels)): sample.value
        for family in snapshot
        for sample in family.samples
    }


def scraped(*snapshots: Iterable[Family]) -> Values:
    """As Prometheus reads it."""
    text = generate_latest(registry_of(MergedFigures(lambda: snapshots))).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def door(accepted: int, refused: int = 0, in_flight: int = 0, closed: int = 0) -> list[Family]:
    counts = Counts()
    for _ in range(accepted + refused + in_flight):
        counts.request_received()
    if accepted:
        counts.request_over("events", 204, accepted)
    if refused:
        counts.request_over("events", 400, refused)
    return families(make_registry(door_figures(counts, lambda: closed)))


def test_counters_are_summed_by_their_labels() -> None:
    found = scraped(door(5, 2), door(7))

    assert found["mediabeat_requests_received_total", ()] == 14
    assert found["mediabeat_requests_answered_total", ("events", "204")] == 12
    assert found["mediabeat_requests_answered_total", ("events", "400")] == 2


def test_a_gauge_is_summed_where_that_makes_sense() -> None:
    found = scraped(door(0, in_flight=2, closed=50), door(0, in_flight=3, closed=48))

    assert found["mediabeat_requests_in_flight", ()] == 5
    assert found["mediabeat_closed_sessions_known", ()] == 50


@pytest.mark.parametrize("name", ["closed_sessions", "roundware_sessions", "roundware_bytes"])
def test_what_every_door_knows_is_not_counted_once_for_each(name: str) -> None:
    registry = CollectorRegistry()
    Gauge(f"mediabeat_{name}_known", "Known.", registry=registry).set(40)

    assert scraped(*[families(registry)] * 3) == {(f"mediabeat_{name}_known", ()): 40}


def test_the_processes_are_measured_together() -> None:
    one = door(0)
    found, alone = scraped(one, one), values(one)

    memory, start = "process_resident_memory_bytes", "process_start_time_seconds"
    assert found[memory, ()] == 2 * alone[memory, ()]
    assert found[start, ()] == alone[start, ()]
    assert [value for (name, _), value in found.items() if name == "python_info"] == [1]


def test_histograms_are_summed_bucket_by_bucket() -> None:
    registries = []
    for seconds in ([0.05, 0.5], [0.5, 5.0]):
        registry = CollectorRegistry()
        histogram = Histogram("wait_seconds", "Wait.", buckets=(0.1, 1.0), registry=registry)
        for value in seconds:
            histogram.observe(value)
        registries.append(families(registry))

    found = scraped(*registries)

    assert [found["wait_seconds_bucket", (le,)] for le in ("0.1", "1.0", "+Inf")] == [1, 3, 4]
    assert found["wait_seconds_count", ()] == 4
    assert found["wait_seconds_sum", ()] == pytest.approx(6.05)


def test_what_a_process_has_counted_outlives_it() -> None:
    figures = MergedFigures(lambda: [door(3)])
    figures.keep(door(5, 2))
    figures.keep(door(1))

    found = {sample.name: sample.value for metric in figures.collect() for sample in metric.samples}

    assert found["mediabeat_requests_received_total"] == 11
    assert found["mediabeat_requests_rejected_total"] == 2


def test_what_a_dead_process_was_still_answering_has_failed() -> None:
    found = values(left_behind(door(5, 2, in_flight=3, closed=9)))

    parts = ("accepted", "rejected", "failed")
    assert [found[f"mediabeat_requests_{part}_total", ()] for part in parts] == [5, 2, 3]
    assert found["mediabeat_requests_received_total", ()] == 10


def test_a_dead_process_holds_nothing_any_more() -> None:
    left = values(left_behind(door(5, in_flight=3, closed=9)))

    assert not {name for name, _ in left} & {
        "mediabeat_requests_in_flight",
        "mediabeat_closed_sessions_known",
        "process_resident_memory_bytes",
    }
    assert left["process_cpu_seconds_total", ()] > 0


def test_the_way_through_json_changes_nothing() -> None:
    snapshot = door(5, 2, in_flight=1)

    assert families_of(orjson.loads(orjson.dumps(document_of(snapshot)))) == snapshot


def test_what_is_no_number_is_not_told() -> None:
    registry = CollectorRegistry()
    Gauge("unknown", "Not known.", registry=registry).set(math.nan)

    [family] = families(registry)

    assert family.samples == []


COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5)


@given(COUNTS, st.lists(st.booleans(), min_size=5, max_size=5))
def test_the_requests_reconcile_whoever_lives_and_whoever_has_died(
    doors: list[tuple[int, int, int]], dead: list[bool]
) -> None:
    living = [door(*counts) for counts, is_dead in zip(doors, dead, strict=False) if not is_dead]
    gone = [left_behind(door(*counts)) for counts, is_dead in zip(doors, dead, strict=False) if is_dead]

    found = values(merged([*living, *gone]))

    total = {
        part: found.get((f"mediabeat_requests_{part}_total", ()), 0) for part in ("accepted", "rejected", "failed")
    }
    in_flight = found.get(("mediabeat_requests_in_flight", ()), 0)
    assert found["mediabeat_requests_received_total", ()] == sum(total.values()) + in_flight
    assert found["mediabeat_requests_received_total", ()] == sum(map(sum, doors))
