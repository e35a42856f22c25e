import logging
import sys
from dataclasses import fields

import orjson
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deploy.telemetry import Figure, JsonLines, door_figures, make_registry, set_up_logs, worker_figures
from ingest.counts import Counts as DoorCounts
from processors.counts import Counts as WorkerCounts


def scraped(*groups: tuple[Figure, ...]) -> dict[tuple[str, tuple[str, ...]], float]:
    text = generate_latest(make_registry(*groups)).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_requests_reconcile_at_a_scrape() -> None:
    counts = DoorCounts()
    for status in (201, 204, 204, 400, 404, 503):
        counts.request_received()
        counts.request_over("events", status)
    counts.request_received()
    counts.ordinary += 2

    found = scraped(door_figures(counts, lambda: 3))

    assert found["mediabeat_requests_received_total", ()] == 7
    assert found["mediabeat_requests_ordinary_total", ()] == 2
    assert found["mediabeat_requests_accepted_total", ()] == 3
    assert found["mediabeat_requests_rejected_total", ()] == 2
    assert found["mediabeat_requests_failed_total", ()] == 1
    assert found["mediabeat_requests_in_flight", ()] == 1
    assert found["mediabeat_requests_answered_total", ("events", "204")] == 2
    assert found["mediabeat_closed_sessions_known", ()] == 3


def test_counters_are_read_when_scraped() -> None:
    counts = WorkerCounts()
    registry = make_registry(worker_figures(counts))
    counts.folded = 5
    counts.rows["session-close"] = 2
    counts.lag_seconds[7] = 1.5

    text = generate_latest(registry).decode()

    assert "mediabeat_events_folded_total 5.0" in text
    assert 'mediabeat_rows_written_total{kind="session-close"} 2.0' in text
    assert 'mediabeat_lag_seconds{partition="7"} 1.5' in text


def test_every_counter_of_a_worker_has_a_metric() -> None:
    counts = WorkerCounts()
    for number, field in enumerate(fields(WorkerCounts), start=1000):
        value = getattr(counts, field.name)
        setattr(counts, field.name, number if isinstance(value, int) else {number: number})

    values = set(scraped(worker_figures(counts)).values())

    assert values >= set(range(1000, 1000 + len(fields(WorkerCounts))))


def test_every_counter_of_a_door_has_a_metric() -> None:
    counts = DoorCounts()
    numbers = [name for name, value in vars(counts).items() if isinstance(value, int) and not name.startswith("_")]
    for number, name in enumerate(numbers, start=1000):
        setattr(counts, name, number)

    values = set(scraped(door_figures(counts, int)).values())

    assert values >= set(range(1000, 1000 + len(numbers)))
    assert len(numbers) >= 8


@pytest.mark.parametrize(
    ("asked", "figures"),
    [
        (
            "requests_accepted requests_rejected requests_failed append_outcomes_unknown",
            door_figures(DoorCounts(), int),
        ),
        (
            "lag_records lag_seconds sessions_open rows_written commits fences restores commit_outcomes_unknown",
            worker_figures(WorkerCounts()),
        ),
    ],
)
def test_what_dashboards_ask_for_is_there_under_its_name(asked: str, figures: tuple[Figure, ...]) -> None:
    assert {figure.name for figure in figures} >= {f"mediabeat_{name}" for name in asked.split()}


def test_no_metric_has_two_meanings() -> None:
    names = [figure.name for figure in (*door_figures(DoorCounts(), int), *worker_figures(WorkerCounts()))]

    assert len(names) == len(set(names))
    assert all(name.startswith("mediabeat_") for name in names)


def test_the_process_itself_is_measured() -> None:
    assert scraped()["process_resident_memory_bytes", ()] > 0


def record(**extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "ingest.app", "levelname": "WARNING", "msg": "%d late", "args": (3,)})
    made.__dict__.update(extra)
    return made


def test_a_log_line_is_one_json_object_with_what_came_along() -> None:
    line = JsonLines().format(record(partition=4))

    assert "\n" not in line
    found = orjson.loads(line)
    assert (found["level"], found["logger"], found["message"], found["partition"]) == (
        "warning",
        "ingest.app",
        "3 late",
        4,
    )
    assert isinstance(found["at"], int)


def test_a_traceback_stays_on_its_line() -> None:
    try:
        raise ValueError("broken")  # noqa: TRY301
    except ValueError:
        line = JsonLines().format(record(exc_info=sys.exc_info()))

    assert "\n" not in line
    assert "ValueError: broken" in orjson.loads(line)["error"]


def test_logs_go_to_stderr_from_the_chosen_level_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        set_up_logs("warning")
        logging.getLogger("x").info("not this")
        logging.getLogger("x").warning("but this")
        captured = capsys.readouterr()
    finally:
        logging.root.handlers[:], _ = before
        logging.root.setLevel(before[1])

    assert captured.out == ""
    assert [orjson.loads(line)["message"] for line in captured.err.splitlines()] == ["but this"]
