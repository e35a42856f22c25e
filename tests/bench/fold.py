"""`python -m tests.bench.fold deep|wide`: what it costs to fold one partition's backlog, without a broker.

One process, batches as a lane takes them, the collector as in a worker. `--heartbeat-interval` in ms of receive time
(0: none, as by default here); `--profile` prints where the time of uncompiled code goes. `--dialects` folds each round
twice, by the session table alone and by the Fold of both dialects as workers have it, and prints the median ratio.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Sequence
from statistics import median

from deploy.process import calm_collector
from processors.dialects import Dialects
from processors.fold import Fold
from processors.roundware.rules import RoundwareRules
from processors.roundware.table import RoundwareTable
from processors.session.rules import Rules
from processors.session_table import SessionTable
from processors.turns import LaneSettings
from schemas.records import StoredRecord
from tests.bench.backlog import Shape, envelopes

DEEP = Shape("deep", 330, 180)
WIDE = Shape("wide", 10_000, 6)
"""A sixth of the worker's backlogs: one of its six partitions."""


def fold_all(table: Fold, records: Sequence[StoredRecord], wall: int) -> tuple[int, int]:
    """Fold and commit everything; how many records were to be written, and how many bytes of values."""
    settings = LaneSettings()
    written = written_bytes = 0
    for begin in range(0, len(records), settings.batch_records):
        batch = records[begin : begin + settings.batch_records]
        folded = 0
        while folded < len(batch):
            folded = table.fold(batch, folded, min(folded + settings.turn_records, len(batch)), wall)
        out = table.finish()
        written += len(out)
        written_bytes += sum(len(record.value or b"") for record in out)
        table.commit()
    return written, written_bytes


def profiled(run: Callable[[], object]) -> None:
    profile = cProfile.Profile()
    profile.runcall(run)
    pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def compare(records: Sequence[StoredRecord], rules: Rules, wall: int, rounds: int) -> None:
    """What the other dialect costs where it has no records: interleaved, each first in every other round."""

    def seconds(table: Fold) -> float:
        began = time.process_time()
        fold_all(table, records, wall)
        return time.process_time() - began

    ratios = []
    for number in range(rounds):
        spent: dict[bool, float] = {}
        for both in (True, False) if number % 2 else (False, True):
            table = SessionTable(0, rules)
            spent[both] = seconds(Dialects(table, RoundwareTable(0, RoundwareRules())) if both else table)
        ratios.append(spent[False] / spent[True])
        print(f"{len(records) / spent[False]:,.0f} alone, {len(records) / spent[True]:,.0f} in both, {ratios[-1]:.3f}")
    print(f"median ratio {median(ratios):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=("deep", "wide"))
    parser.add_argument("--heartbeat-interval", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--dialects", action="store_true")
    given = parser.parse_args()
    wall = int(time.time() * 1000)
    shape = {"deep": DEEP, "wide": WIDE}[given.shape]
    records = [
        StoredRecord(offset, wall, sid.encode(), value) for offset, (sid, value) in enumerate(envelopes(shape, wall))
    ]
    rules = Rules(heartbeat_interval_ms=given.heartbeat_interval)
    calm_collector()
    if given.profile:
        profiled(lambda: fold_all(SessionTable(0, rules), records, wall))
        return
    if given.dialects:
        compare(records, rules, wall, given.rounds)
        return
    for _ in range(given.rounds):
        table = SessionTable(0, rules)
        began = time.process_time()
        written, written_bytes = fold_all(table, records, wall)
        seconds = time.process_time() - began
        print(
            f"{given.shape}: {len(records) / seconds:,.0f} events/cpu-s, {seconds / len(records) * 1e6:.1f} us an event,"
            f" {written} records and {written_bytes / len(records):.0f} bytes an event to write,"
            f" {table.counts.folded} folded",
            flush=True,
        )


if __name__ == "__main__":
    main()
