"""`python -m tests.bench.door`: what one event costs the door, beside its peers, in one run on pinned cores.

The server has core 0; generator and broker share core 1. Every round measures each server at full load, at 70 % of
its own maximum and at a held 5,000 requests a second; figures are medians of the rounds, ratios medians of the rounds'
ratios. What is due and not answered in time counts as late by as long as it had waited. The floor is an empty 204 of
the same server (a preflight), and of a bare protocol.

Controls say what of the latencies is not the door's: the bare protocol at the door's two rates (generator and kernel),
the door's log at them without HTTP and without a generator, how late the generator was by its own fault, what the host
took from the machine meanwhile, and what the stalls of both cores alone would have made of a perfect door.
"""

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import orjson

from schemas import topics
from tests.bench import bento
from tests.bench.door_report import Measured, Rounds, figures, goals
from tests.bench.door_servers import (
    BENTO_TOPIC,
    ORDINARY_TOPIC,
    OTHER_CORE,
    PYTHON,
    SERVER_CORE,
    Servers,
    broker,
    on_core,
    records_of,
)
from tests.bench.door_stalls import may_watch, perfect_p99_ms, watched
from tests.bench.figures import write

HELD_RATE = 5_000.0
HOSTILE_RATE = 1_000.0  # low enough that the core of all clients and the broker has time to spare
HOSTILE_ROUNDS = 3
FLAT_LOADS = 4  # one after another on one door, to see whether it grows
_WHAT = {"bento": "bare events", "bare": "bare events"}


def load(
    address: str, pid: int, seconds: float, rate: float | None = None, what: str = "events", *, strict: bool = True
) -> Measured:
    command = ["tests.bench.door_load", address, "--pid", str(pid), "--seconds", str(seconds), "--what", what]
    command += ["--rate", str(rate)] if rate else []
    done = subprocess.run([*on_core(OTHER_CORE), *PYTHON, *command], check=True, stdout=subprocess.PIPE)
    found: Measured = orjson.loads(done.stdout)
    if strict and (found["bad"] or found["lost"] or found["unanswered"]):
        raise RuntimeError(f"not every event was answered: {found}")
    return found


def held(address: str, pid: int, seconds: float, rate: float, *, maximum: float, what: str) -> Measured:
    """At this rate, beside what the stalls of both cores alone would have made of a server as fast as `maximum`."""
    if not may_watch():
        return load(address, pid, seconds, rate, what)
    with watched((SERVER_CORE, OTHER_CORE)) as stalls:
        found = load(address, pid, seconds, rate, what)
    found["perfect_p99_ms"] = perfect_p99_ms(stalls, found["began"], seconds, rate, max(maximum, rate))
    return found


def log_alone(bootstrap: str, rate: float, seconds: float) -> Measured:
    """The door's log on the server's core, without the rest of the door."""
    command = ["tests.bench.door_log", bootstrap, str(rate), "--seconds", str(seconds)]
    done = subprocess.run([*on_core(SERVER_CORE), *PYTHON, *command], check=True, stdout=subprocess.PIPE)
    found: Measured = orjson.loads(done.stdout)
    return found


def measured(servers: Servers, name: str, seconds: float, doors_maximum: float | None) -> dict[str, Measured]:
    """The bare protocol gets the rates of the door instead of its own."""
    what = _WHAT.get(name, "events")
    with servers.start(name) as (address, pid):
        found = {"full": load(address, pid, seconds, what=what)}
        maximum = doors_maximum if name == "bare" else found["full"]["per_second"]
        if maximum is not None:
            found["70"] = held(address, pid, seconds, 0.7 * maximum, maximum=maximum, what=what)
            found["held"] = held(address, pid, seconds, HELD_RATE, maximum=maximum, what=what)
        if name == "events":
            found["empty"] = load(address, pid, seconds, what="preflights")
    if name == "events":
        found["log 70"] = log_alone(servers.bootstrap, 0.7 * found["full"]["per_second"], seconds)
        found["log held"] = log_alone(servers.bootstrap, HELD_RATE, seconds)
    return found


def rounds(servers: Servers, names: list[str], count: int, seconds: float) -> Rounds:
    found: Rounds = defaultdict(list)
    for name in {"ordinary", *names} & {"ordinary", "bento"}:  # the broker compiles what it runs often
        with servers.start(name) as (address, pid):
            load(address, pid, 3.0, what=_WHAT.get(name, "events"), strict=False)
    for _ in range(count):
        doors_maximum = None
        for name in names:
            began = time.monotonic()
            one = measured(servers, name, seconds, doors_maximum)
            found[name].append(one)
            if name == "events":
                doors_maximum = one["full"]["per_second"]
            shown = "   ".join(shown_of(at, it) for at, it in one.items())
            print(f"{name:<9}{shown}   {one['full']['rss_mb']:.0f} MB   ({time.monotonic() - began:.0f} s)", flush=True)
    return found


def shown_of(at: str, it: Measured) -> str:
    cost = f"{it['per_cpu_second']:,.0f}/cpu-s " if "per_cpu_second" in it else ""
    lag = f" (late {it['lag_p99_ms']:.1f})" if it.get("lag_p99_ms") else ""
    lag += f" (perfect {it['perfect_p99_ms']:.1f})" if "perfect_p99_ms" in it else ""
    stolen = f" stolen {it['stolen_ms']:.0f} ms" if it["stolen_ms"] else ""
    return f"{at}: {cost}{it['per_second']:,.0f}/s p50 {it['p50_ms']:.1f} p99 {it['p99_ms']:.1f}{lag}{stolen}"


def endurance(servers: Servers, seconds: float) -> Measured:
    """p99 of good requests alone and among 500 hostile connections, in turn; and whether one door grows."""
    alone, among, memory, taken = [], [], [], 0.0
    with servers.start("events") as (address, pid):
        for _ in range(FLAT_LOADS):
            full = load(address, pid, 2 * seconds)
            memory.append(full["rss_mb"])
            taken += full["per_second"] * (2 * seconds + 1)
        for _ in range(HOSTILE_ROUNDS):
            alone.append(load(address, pid, seconds, HOSTILE_RATE)["p99_ms"])
            command = [*on_core(OTHER_CORE), *PYTHON, "tests.bench.door_hostile", address]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as hostile:
                try:
                    assert hostile.stdout is not None
                    hostile.stdout.readline()
                    among.append(load(address, pid, seconds, HOSTILE_RATE)["p99_ms"])
                finally:
                    hostile.kill()
    return {
        "alone_p99_ms": median(alone),
        "hostile_p99_ms": median(among),
        "grown_mb": memory[-1] - memory[0],
        "events": taken * (FLAT_LOADS - 1) / FLAT_LOADS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after one to warm up")
    parser.add_argument("--only", nargs="+", help="servers to measure, of: events ordinary embedded bento bare")
    given = parser.parse_args()
    names = given.only or ["ordinary", "events", "embedded", "bento", "bare"]
    peer = bento.program() if "bento" in names else ""
    if isinstance(peer, str):
        print(peer)
        names = [name for name in names if name != "bento"]
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as name, broker(Path(name)) as bootstrap:
        servers = Servers(Path(name), bootstrap, peer if isinstance(peer, Path) else None)
        found = rounds(servers, names, given.rounds, given.seconds)
        lasting = None
        if not given.only:
            try:
                lasting = endurance(servers, given.seconds)
            except (RuntimeError, subprocess.CalledProcessError) as failure:
                print(f"NOT MEASURED, hostile connections and growth: {failure}")
        for topic in (topics.EVENTS.name, ORDINARY_TOPIC, BENTO_TOPIC):
            print(f"{topic}: {asyncio.run(records_of(bootstrap, topic)):,} records at the end")
    lines = figures(found, lasting)
    write("door", lines)
    for row in goals(found, lasting):
        print(row)


if __name__ == "__main__":
    main()
