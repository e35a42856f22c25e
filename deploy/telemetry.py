"""What a process tells its operator: JSON logs, and every metric's name."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, cast

import orjson
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest import counts as door
from processors import counts as worker

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message; whatever came in `extra`; the traceback as `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": round(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _USUAL)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def set_up_logs(level: str) -> None:
    """All of the process's logs as JSON lines on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


Reading = float | Mapping[tuple[str, ...], float]


class Figure(NamedTuple):
    """One metric: its public name, what it says, and how to read it from the plain counters when scraped.

    `read` answers a number; with `labels`, numbers by label values.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    read: Callable[[], Reading]
    labels: tuple[str, ...] = ()


class Figures(Collector):
    """Plain counters as Prometheus sees them: read at the scrape, never on the hot path."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = tuple(figures)

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures:
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            metric = family(figure.name, figure.help, labels=figure.labels)
            value = figure.read()
            readings = value if isinstance(value, Mapping) else {(): value}
            for labels, number in sorted(readings.items()):
                metric.add_metric(labels, number)
            yield metric


def make_registry(*groups: Iterable[Figure]) -> CollectorRegistry:
    """A registry of its own for this process: our figures, and what Python and the system say of it."""
    registry = CollectorRegistry()
    for group in groups:
        registry.register(Figures(group))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def door_figures(counts: door.Counts, closed_ids: Callable[[], int]) -> tuple[Figure, ...]:
    """What a front door counts: requests, and what they brought."""
    return (
        *_request_figures(counts),
        Figure(
            "mediabeat_events_accepted", "counter", "Events acknowledged as durable.", lambda: counts.events_accepted
        ),
        Figure(
            "mediabeat_bytes_accepted", "counter", "Their bytes, as players sent them.", lambda: counts.bytes_accepted
        ),
        Figure(
            "mediabeat_append_outcomes_unknown",
            "counter",
            "Appends that were not confirmed and answered with 503: some may be on the log all the same.",
            lambda: counts.append_outcomes_unknown,
        ),
        Figure(
            "mediabeat_rejects_dropped",
            "counter",
            "Refused documents that could not be copied to the rejects topic.",
            lambda: counts.rejects_dropped,
        ),
        Figure("mediabeat_closed_sessions_known", "gauge", "Closed session ids held in memory.", closed_ids),
    )


def _request_figures(counts: door.Counts) -> tuple[Figure, ...]:
    """What became of requests. received = accepted + rejected + failed + in flight, at every scrape."""
    return (
        Figure("mediabeat_requests_received", "counter", "Requests whose head was read.", lambda: counts.received),
        Figure(
            "mediabeat_requests_ordinary",
            "counter",
            "Of these: requests that took the ordinary way, through aiohttp. The rest took the short one.",
            lambda: counts.ordinary,
        ),
        Figure("mediabeat_requests_accepted", "counter", "Requests answered 2xx or 3xx.", lambda: counts.accepted),
        Figure("mediabeat_requests_rejected", "counter", "Requests answered 4xx.", lambda: counts.rejected),
        Figure(
            "mediabeat_requests_failed",
            "counter",
            "Requests answered 5xx, or whose client left before the end.",
            lambda: counts.failed,
        ),
        Figure("mediabeat_requests_in_flight", "gauge", "Requests not answered yet.", lambda: counts.in_flight),
        Figure(
            "mediabeat_requests_answered",
            "counter",
            "Requests that are over, by endpoint and status (499: the client left).",
            lambda: {(endpoint, str(status)): n for (endpoint, status), n in counts.answered.items()},
            ("endpoint", "status"),
        ),
    )


def worker_figures(counts: worker.Counts) -> tuple[Figure, ...]:
    """What the lanes of a worker count, at their commits."""
    totals: tuple[tuple[str, str, str], ...] = (
        ("consumed", "records_consumed", "Records of committed batches."),
        ("folded", "events_folded", "Events a session has taken in."),
        ("duplicates", "duplicates", "Records that repeated an event and changed nothing."),
        ("opened", "sessions_opened", "Sessions opened."),
        ("expiries", "expiries", "Deadlines that came due: timeouts, caps, events leaving the reorder window."),
        ("poisoned", "records_poisoned", "Times the machine raised on a record or an expiry."),
        ("muted", "sessions_muted", "Sessions muted: no content id, or raised three times."),
        ("commits", "commits", "Transactions committed."),
        ("fences", "fences", "Times a successor was found to own a lane."),
        ("restores", "restores", "Tables read back from the state topic."),
        ("unknown_outcomes", "commit_outcomes_unknown", "Transactions of which the log did not say whether they held."),
        ("log_failures", "log_failures", "Times a lane was opened anew because the log did not answer."),
    )
    by_name: tuple[tuple[str, str, str, str], ...] = (
        ("rejected", "records_rejected", "code", "Records sent to the rejects topic."),
        ("rows", "rows_written", "kind", "Report rows written."),
        ("closed", "sessions_closed", "reason", "Sessions closed."),
    )
    by_partition: tuple[tuple[str, str, str], ...] = (
        ("open_sessions", "sessions_open", "Sessions now open."),
        ("open_visits", "visits_open", "Visits of Roundware sessions now open."),
        ("waiting", "events_waiting", "Events now in a reorder window."),
        ("warm_drafts", "sessions_unpacked", "Sessions kept unpacked for their next event."),
        ("lag_records", "lag_records", "Records on the log that are not committed yet."),
        ("lag_seconds", "lag_seconds", "Age of the newest committed record while records follow it."),
    )
    return (
        *(Figure(f"mediabeat_{name}", "counter", text, _number(counts, field)) for field, name, text in totals),
        *(
            Figure(f"mediabeat_{name}", "counter", text, _numbers(counts, field), (label,))
            for field, name, label, text in by_name
        ),
        *(
            Figure(f"mediabeat_{name}", "gauge", text, _numbers(counts, field), ("partition",))
            for field, name, text in by_partition
        ),
    )


def _number(counts: worker.Counts, field: str) -> Callable[[], Reading]:
    def read() -> float:
        return cast("float", getattr(counts, field))

    return read


def _numbers(counts: worker.Counts, field: str) -> Callable[[], Reading]:
    def read() -> Mapping[tuple[str, ...], float]:
        return {(str(of),): number for of, number in getattr(counts, field).items()}

    return read
