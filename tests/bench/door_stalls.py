"""When the cores stood still: `python -m tests.bench.door_stalls CORE` watches one until it is told to stop.

It sleeps for two milliseconds over and over at the highest real-time priority, so nothing but the host (or the kernel
itself) can make it late. From what it has seen follows the p99 of a perfect door: one that answers at once, at its own
full speed, and waits for nothing but these stalls. Prints a JSON list of (begin, end) in `time.perf_counter`'s seconds.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import orjson

from tests.bench.door_load import at

PERIOD = 0.002
LATE = 0.001  # a sleep that ends so much too late is a stall

Stall = tuple[float, float]


@contextmanager
def watched(cores: Sequence[int]) -> Iterator[list[Stall]]:
    """The stalls of these cores during the block, in order; filled at its end. None seen without real-time priority."""
    found: list[Stall] = []
    with ExitStack() as watchers:
        running = []
        for core in sorted(set(cores)):
            command = [sys.executable, "-m", "tests.bench.door_stalls", str(core)]
            running.append(watchers.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)))
        for watcher in running:
            assert watcher.stdout is not None
            watcher.stdout.readline()
        try:
            yield found
        finally:
            for watcher in running:
                watcher.terminate()
            for watcher in running:
                assert watcher.stdout is not None
                found += (tuple(stall) for stall in orjson.loads(watcher.stdout.read()))
            found.sort()


def perfect_p99_ms(stalls: Sequence[Stall], began: float, seconds: float, rate: float, full_rate: float) -> float:
    """Requests are due `rate` times a second; each takes 1 / `full_rate` of the one server, which stalls as these say."""
    latencies, free_at, step, cost = [], began, 1 / rate, 1 / full_rate
    waiting = list(reversed(stalls))
    for number in range(int(rate * seconds)):
        due_at = began + number * step
        starts_at = max(due_at, free_at)
        while waiting and waiting[-1][0] <= starts_at:
            _, end = waiting.pop()
            starts_at = max(starts_at, end)
        free_at = starts_at + cost
        latencies.append(free_at - due_at)
    return at(sorted(latencies), 0.99)


def may_watch() -> bool:
    """Whether this process may have real-time priority, without which a watcher would see its neighbours' work."""
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        _go_first()
    except PermissionError:
        return False
    os.sched_setscheduler(0, policy, param)
    return True


def _go_first() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO)))


def watch(core: int) -> list[Stall]:
    """Until SIGTERM."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    os.sched_setaffinity(0, {core})
    _go_first()
    print(flush=True)
    found = []
    due_at = time.perf_counter() + PERIOD
    while not told:
        time.sleep(max(0.0, due_at - time.perf_counter()))
        now = time.perf_counter()
        if now - due_at > LATE:
            found.append((due_at, now))
        due_at = now + PERIOD
    return found


if __name__ == "__main__":
    print(orjson.dumps(watch(int(sys.argv[1]))).decode())
