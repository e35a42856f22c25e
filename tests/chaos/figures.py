"""What a door says of itself while it stands on a stage."""

import re
from collections.abc import Iterable

from tests.chaos.processes import Process
from tests.e2e.running import request


def figures_of(door: Process) -> dict[str, float]:
    """What its /metrics says, by name and labels, of its present life."""
    found = re.search(r"operator at (http://[^/\s]+)", door.log.read_text())
    assert found, door.last_words()
    text = request(found[1], "GET", "/metrics").body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def assert_they_took_the_short_way(doors: Iterable[Process]) -> None:
    """A fleet's batches, and what it is refused, are the ordinary way's by design; its events are not."""
    figures = [figures_of(door) for door in doors]

    def total(name: str) -> float:
        return sum(of_one.get(name, 0) for of_one in figures)

    received, ordinary = total("mediabeat_requests_received_total"), total("mediabeat_requests_ordinary_total")
    events = total('mediabeat_requests_answered_total{endpoint="events",status="204"}')
    print(f"the short way: {received - ordinary:.0f} of {received:.0f} requests, {events:.0f} of them accepted events")
    assert events > 0
    assert received - ordinary > 0.75 * events
