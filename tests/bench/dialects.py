"""`python -m tests.bench.dialects`: what the second dialect costs the events of the first, on pinned cores.

The door as it is and the door without Roundware's routes take turns at full load on a real broker; the figure is the
median of the rounds' ratios.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.door import load
from tests.bench.door_servers import Servers, broker
from tests.bench.figures import figure, goal, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after one to warm up")
    given = parser.parse_args()
    found: dict[str, list[float]] = {"events": [], "collection": []}
    with tempfile.TemporaryDirectory(prefix="mediabeat-bench-") as home, broker(Path(home)) as bootstrap:
        servers = Servers(Path(home), bootstrap, None)
        for number in range(given.rounds):
            for name in sorted(found, reverse=bool(number % 2)):  # neither always has the warmer broker
                with servers.start(name) as (address, pid):
                    found[name].append(load(address, pid, given.seconds)["per_cpu_second"])
            print("   ".join(f"{name}: {values[-1]:,.0f}/cpu-s" for name, values in found.items()), flush=True)
    ratio = median(both / one for both, one in zip(found["events"], found["collection"], strict=True))
    write("dialects", [figure("door.events", median(found["events"]), "events/cpu-s", "collection alone", ratio)])
    print(goal("of the door with one dialect, median of ratios", ratio, ">=", 0.95))


if __name__ == "__main__":
    main()
