"""First figures of this machine: door and lanes in one process on the embedded log.

`python -m tests.bench.embedded` prints a table and appends JSON lines to .bench/embedded.jsonl:
{"name","value","unit","baseline","ratio","at"}. A ratio compares with something ordinary measured in the same run on
the same machine, and says more than the value does. Figures of a busy machine are low: read the CPU-seconds then.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil

from deploy.process import calm_collector
from tests.bench import lanes
from tests.e2e.running import PATIENCE_SECONDS, running

RESULTS = Path(".bench/embedded.jsonl")
CONNECTIONS = 96
GOAL_PER_SECOND = 5_000


class Results:
    """Prints each figure and appends it to the file."""

    def __init__(self) -> None:
        RESULTS.parent.mkdir(exist_ok=True)
        self._at = round(time.time() * 1000)

    def add(self, name: str, value: float, unit: str, baseline: float | None = None) -> None:
        ratio = None if not baseline else round(value / baseline, 3)
        line = {"name": name, "value": round(value, 3), "unit": unit, "baseline": baseline, "ratio": ratio}
        with RESULTS.open("ab") as file:
            file.write(orjson.dumps(line | {"at": self._at}) + b"\n")
        compared = "" if baseline is None else f"   {ratio:g} of {baseline:,.1f}"
        print(f"{name:<44} {value:>12,.1f} {unit}{compared}", flush=True)


def load(url: str, seconds: float, *, connections: int = CONNECTIONS, rate: float | None = None) -> dict[str, Any]:
    arguments = [url, "--seconds", str(seconds), "--connections", str(connections)]
    arguments += ["--rate", str(rate)] if rate else []
    found = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", *arguments],
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    answer: dict[str, Any] = orjson.loads(found.stdout)
    return answer


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def empty_answers() -> Iterator[tuple[str, psutil.Process]]:
    """The ordinary thing to compare with: an aiohttp application that answers an empty 204 to everything."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.empty_answers"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.kill()


def measured(url: str, process: psutil.Process, seconds: float) -> tuple[dict[str, Any], float]:
    """A closed loop: what it saw, and requests answered per CPU-second of the server."""
    before = cpu_seconds(process)
    began_at = time.monotonic()
    found = load(url, seconds)
    # Start of the generator and its warm-up cost the server too: take its CPU as evenly spread over all requests.
    share = seconds / (time.monotonic() - began_at)
    spent = (cpu_seconds(process) - before) * min(1.0, share * (1 + 1 / seconds))
    return found, found["acknowledged_per_second"] * seconds / spent


def bench_door(results: Results, seconds: float, folder: Path) -> None:
    with empty_answers() as (url, process):
        baseline, baseline_per_cpu = measured(url, process, seconds)
    with running(folder / "door") as run:
        process = psutil.Process(run.process.pid)
        found, per_cpu = measured(run.url, process, seconds)
        open_loop = load(run.url, seconds, connections=2 * CONNECTIONS, rate=GOAL_PER_SECOND)
    results.add(
        "acknowledged events, closed loop",
        found["acknowledged_per_second"],
        "events/s",
        round(baseline["acknowledged_per_second"], 1),
    )
    results.add("  its p50", found["p50_ms"], "ms", round(baseline["p50_ms"], 2))
    results.add("  its p99", found["p99_ms"], "ms", round(baseline["p99_ms"], 2))
    results.add("acknowledged events, door and lanes", per_cpu, "events/CPU-s", round(baseline_per_cpu, 1))
    results.add(
        f"acknowledged events, {GOAL_PER_SECOND:,}/s due",
        open_loop["acknowledged_per_second"],
        "events/s",
        GOAL_PER_SECOND,
    )
    results.add("  its p50", open_loop["p50_ms"], "ms")
    results.add("  its p99", open_loop["p99_ms"], "ms", 50.0)
    results.add("  refused or never answered", refused(open_loop), "requests")


def refused(found: dict[str, Any]) -> int:
    statuses: dict[str, int] = found["statuses"]
    return int(found["unanswered"]) + sum(count for status, count in statuses.items() if int(status) >= 300)


def bench_start(results: Results, folder: Path) -> None:
    def timed(begin: Callable[[], object]) -> float:
        began_at = time.monotonic()
        begin()
        return time.monotonic() - began_at

    def run_once() -> None:
        with running(folder / "start"):
            pass

    run_once()  # makes the log
    imports = "import aiohttp, apsw, orjson, prometheus_client"
    baseline = median(timed(lambda: subprocess.run([sys.executable, "-c", imports], check=True)) for _ in range(5))
    results.add("start-up until ready", median(timed(run_once) for _ in range(5)), "s", round(baseline, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each load lasts")
    arguments = parser.parse_args()
    results = Results()
    with tempfile.TemporaryDirectory(dir=Path.cwd() / ".bench", prefix="data-") as folder:
        calm_collector()  # as every process of ours does once it is ready
        lanes.bench_sessions(results)
        lanes.bench_fold(results)
        lanes.bench_lanes(results, Path(folder))
        bench_start(results, Path(folder))
        bench_door(results, arguments.seconds, Path(folder))


if __name__ == "__main__":
    main()
