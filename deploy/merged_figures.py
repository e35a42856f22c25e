"""The metrics of several processes as one: what each says of itself, put together and never counted backwards."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_GAUGES_NOT_SUMMED: Final[dict[str, Callable[[float, float], float]]] = {
    # Every door knows all of them.
    "mediabeat_closed_sessions_known": max,
    "mediabeat_roundware_sessions_known": max,
    "mediabeat_roundware_bytes_known": max,
    "process_max_fds": min,
    "process_start_time_seconds": min,
    "python_info": max,
}
_GAUGES: Final = frozenset({"gauge", "unknown", "info", "stateset"})

_IN_FLIGHT: Final = "mediabeat_requests_in_flight"
_FAILED: Final = "mediabeat_requests_failed"


class Sample(NamedTuple):
    """One line of /metrics, without the help."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(NamedTuple):
    """One metric with all its samples, in a form that can cross from process to process."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def families(registry: Collector) -> list[Family]:
    """What a registry says now."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            [
                Sample(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
                for sample in metric.samples
                if not math.isnan(sample.value)  # JSON has none
            ],
        )
        for metric in registry.collect()
    ]


def document_of(snapshot: Iterable[Family]) -> list[Any]:
    """For JSON, which has no named tuples."""
    return [
        (name, kind, text, [(of, labels, value) for of, labels, value in samples])
        for name, kind, text, samples in snapshot
    ]


def families_of(document: Sequence[Sequence[Any]]) -> list[Family]:
    """The same, after its way through JSON."""
    return [
        Family(name, kind, text, [Sample(of, tuple((k, v) for k, v in labels), value) for of, labels, value in samples])
        for name, kind, text, samples in document
    ]


def merged(snapshots: Iterable[Iterable[Family]]) -> list[Family]:
    """Counters, histograms and summaries are summed by name and labels; gauges too, unless that makes no sense."""
    heads: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for snapshot in snapshots:
        for family in snapshot:
            heads.setdefault(family.name, family)
            values = sums.setdefault(family.name, {})
            put_together = _GAUGES_NOT_SUMMED.get(family.name, float.__add__)
            for name, labels, value in family.samples:
                before = values.get((name, labels))
                values[name, labels] = value if before is None else put_together(before, value)
    return [
        head._replace(samples=[Sample(name, labels, value) for (name, labels), value in sums[head.name].items()])
        for head in heads.values()
    ]


def left_behind(snapshot: Iterable[Family]) -> list[Family]:
    """What remains of a process that is gone: all it has counted. What it was still answering has failed."""
    by_name = {family.name: family for family in snapshot}
    unanswered = sum(sample.value for sample in by_name[_IN_FLIGHT].samples) if _IN_FLIGHT in by_name else 0.0
    if unanswered and _FAILED in by_name:
        failed = by_name[_FAILED]
        more = [Sample(f"{_FAILED}_total", (), unanswered)]
        [by_name[_FAILED]] = merged([[failed], [failed._replace(samples=more)]])
    return [family for family in by_name.values() if family.kind not in _GAUGES]


class MergedFigures(Collector):
    """`snapshots` are asked for at each scrape; those given to `keep` count for ever."""

    def __init__(self, snapshots: Callable[[], Iterable[Iterable[Family]]]) -> None:
        self._snapshots = snapshots
        self._kept: list[Family] = []

    def keep(self, snapshot: Iterable[Family]) -> None:
        """Add what a process has left behind, so that no counter ever falls."""
        self._kept = merged([self._kept, left_behind(snapshot)])

    def collect(self) -> Iterator[Metric]:
        for family in merged([*self._snapshots(), self._kept]):
            metric = Metric(family.name, family.help, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric


def registry_of(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry
