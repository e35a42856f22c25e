"""Figures as JSON lines under `.bench/`, so that two runs can be compared."""

import json
from pathlib import Path
from typing import Any

BENCH = Path(".bench")


def write(bench: str, figures: list[dict[str, Any]]) -> None:
    """Replace `.bench/<bench>.jsonl`: one line a figure, with name, value, unit, baseline and ratio where it has one."""
    BENCH.mkdir(exist_ok=True)
    (BENCH / f"{bench}.jsonl").write_text("".join(json.dumps(figure) + "\n" for figure in figures))


def figure(
    name: str, value: float, unit: str, baseline: str | None = None, ratio: float | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": baseline,
        "ratio": ratio and round(ratio, 3),
    }


def goal(what: str, value: float | None, sign: str, wanted: float) -> str:
    """A line that says what was wanted (`>=` or `<=`) beside what was measured."""
    if value is None:
        return f"{what:<58}{'not measured':>12}   goal {sign} {wanted:,.10g}"
    met = value >= wanted if sign == ">=" else value <= wanted
    return f"{what:<58}{value:>12,.2f}   goal {sign} {wanted:<9,.10g} {'met' if met else 'MISSED'}"
