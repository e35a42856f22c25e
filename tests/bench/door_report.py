"""The figures of the door's benchmark as JSON lines, and as a table with the goals beside them."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from tests.bench.figures import figure

Measured = dict[str, float]
Rounds = dict[str, list[dict[str, Measured]]]

SUFFIXES = {"full": "", "70": ".at_70_percent", "held": ".held_5000", "empty": ".empty_204"}
LOGS = {"log 70": ".at_70_percent.log_alone", "log held": ".held_5000.log_alone"}
LATENCIES = (("p50_ms", "ms"), ("p99_ms", "ms"), ("stolen_ms", "ms"))
COSTS = (("per_second", "req/s"), ("cpu_share", "cores"), ("lag_p99_ms", "ms"), ("own_share", "cores"))


def figures(found: Rounds, lasting: Measured | None) -> list[dict[str, Any]]:
    lines = []
    for name, of_rounds in found.items():
        for at in of_rounds[0]:
            if at in LOGS:
                lines += _lines(f"door.{name}{LOGS[at]}", of_rounds, at, LATENCIES)
                continue
            compared = _ratio(found, name, at) if name != "ordinary" and "ordinary" in found else None
            title = f"door.{name}{SUFFIXES[at]}"
            baseline = "ordinary" if compared else None
            lines.append(figure(title, _median(of_rounds, at, "per_cpu_second"), "events/cpu-s", baseline, compared))
            lines += _lines(title, of_rounds, at, (*LATENCIES, *COSTS))
            if "perfect_p99_ms" in of_rounds[0][at]:
                lines += _lines(title, of_rounds, at, (("perfect_p99_ms", "ms"),))
        largest = (max(at.get("rss_mb", 0.0) for at in one.values()) for one in of_rounds)
        lines.append(figure(f"door.{name}.rss", median(largest), "MB"))
    if lasting:
        lines.append(figure("door.hostile.p99", lasting["hostile_p99_ms"], "ms", "alone", _times(lasting)))
        lines.append(figure("door.grown", lasting["grown_mb"], "MB"))
        lines.append(figure("door.grown.events", lasting["events"], "events"))
    return lines


def _lines(
    title: str, of_rounds: list[dict[str, Measured]], at: str, keys: tuple[tuple[str, str], ...]
) -> Iterator[dict[str, Any]]:
    for key, unit in keys:
        yield figure(f"{title}.{key.removesuffix('_ms')}", _median(of_rounds, at, key), unit)


def goals(found: Rounds, lasting: Measured | None) -> Iterator[str]:
    """One row a server, then one a goal."""
    yield ""
    yield f"{'medians':<10}{'events/CPU-s':>14}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}   {'at 70 %':>9}{'p99 ms':>8}   {'at 5,000/s':>10}{'p50 ms':>8}{'p99 ms':>8}{'RSS MB':>8}"
    for name, of_rounds in found.items():
        row = f"{name:<10}" + _cells(
            of_rounds, "full", ("per_cpu_second", 14), ("per_second", 9), ("p50_ms", 8), ("p99_ms", 8)
        )
        if "70" in of_rounds[0]:
            row += "   " + _cells(of_rounds, "70", ("per_cpu_second", 9), ("p99_ms", 8))
            row += "   " + _cells(of_rounds, "held", ("per_cpu_second", 10), ("p50_ms", 8), ("p99_ms", 8))
            row += _cells(of_rounds, "full", ("rss_mb", 8))
        yield row
        if "empty" in of_rounds[0]:
            yield f"{'  its 204':<10}" + _cells(
                of_rounds, "empty", ("per_cpu_second", 14), ("per_second", 9), ("p50_ms", 8), ("p99_ms", 8)
            )
    if not {"events", "ordinary"} <= set(found):
        return
    of = found["events"]
    at_least, at_most = float.__ge__, float.__le__
    yield ""
    yield _goal("events per CPU-second at full load", _median(of, "full", "per_cpu_second"), at_least, 50_000)
    yield _goal("times the ordinary service at full load", _ratio(found, "events", "full"), at_least, 3)
    yield _goal("p99 at 70 % of its own maximum, ms", _median(of, "70", "p99_ms"), at_most, 15)
    yield _goal("times the ordinary service at 5,000/s", _ratio(found, "events", "held"), at_least, 2.5)
    yield _goal("p99 at 5,000/s, ms", _median(of, "held", "p99_ms"), at_most, 10)
    for at, said in (("70", "70 %"), ("held", "5,000/s")):
        bare = f"{_median(found['bare'], at, 'p99_ms'):.1f}" if at in found.get("bare", [{}])[0] else "not measured"
        yield (
            f"  not the door's at {said}: p99 of a bare protocol {bare}, of the door's log alone "
            f"{_median(of, 'log ' + at, 'p99_ms'):.1f}; the generator late by {_median(of, at, 'lag_p99_ms'):.1f} (p99); "
            f"taken by the host {_median(of, at, 'stolen_ms'):.0f} ms{_perfect(of, at)}"
        )
    if lasting is None:
        return
    yield _goal("times its p99 among 500 hostile connections", _times(lasting), at_most, 2)
    yield _goal(f"MB grown over {lasting['events']:,.0f} events", lasting["grown_mb"], at_most, 4)


def _median(of_rounds: list[dict[str, Measured]], at: str, key: str) -> float:
    return float(median(one[at][key] for one in of_rounds))


def _ratio(found: Rounds, name: str, at: str) -> float:
    beside = "full" if at == "empty" else at
    return float(
        median(
            one[at]["per_cpu_second"] / other[beside]["per_cpu_second"]
            for one, other in zip(found[name], found["ordinary"], strict=True)
        )
    )


def _perfect(of: list[dict[str, Measured]], at: str) -> str:
    if "perfect_p99_ms" not in of[0][at]:
        return "; its stalls were not watched (no right to real-time priority)"
    return f", whose stalls alone make {_median(of, at, 'perfect_p99_ms'):.1f} of a perfect door's p99"


def _times(lasting: Measured) -> float:
    return lasting["hostile_p99_ms"] / lasting["alone_p99_ms"]


def _cells(of_rounds: list[dict[str, Measured]], at: str, *columns: tuple[str, int]) -> str:
    return "".join(
        f"{_median(of_rounds, at, key):>{width},.{1 if key.endswith('_ms') else 0}f}" for key, width in columns
    )


def _goal(what: str, value: float, holds: Callable[[float, float], bool], goal: float) -> str:
    sign = "≥" if holds is float.__ge__ else "≤"
    return f"{what:<48}{value:>12,.1f}   goal {sign} {goal:<8,.10g} {'met' if holds(value, float(goal)) else 'MISSED'}"
