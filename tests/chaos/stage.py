"""A cluster with doors, workers and a fleet that posts for as long as it is wanted: each a real process."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from deploy import topic_admin
from deploy.broker import Cluster
from deploy.fleet.posting import Journal
from deploy.fleet.truth import Timeouts
from deploy.kafka_client import KafkaClients
from schemas import topics
from tests.chaos.monitor import Monitor
from tests.chaos.processes import MEDIABEAT, Process, until
from tests.kafka_broker import free_ports

SECRET = "the chaos suite signs its session ids with this"
FLEETS = 2
"""At sea at the same time: while the last players of one sit out a timeout, the other posts."""

VOYAGE_SECONDS = 400.0
"""Its players try each post for up to a minute while brokers are away."""

FAULTY_WORKER = "tests.chaos.faulty_worker"
COMPLAINTS = (
    "Traceback",
    "never retrieved",
    "was never awaited",
    "destroyed but it is pending",
    "Exception in",
    "Unclosed",
)
"""What Python and asyncio write of failures that nobody has answered."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is. Times in seconds; `rate` is posts a second over all players, `at_once` sessions at a time.

    `idle` + `grace` must outlast every stall that the run causes, or half of its sessions are timed out by it.
    """

    partitions: int
    idle: float
    grace: float
    window: float
    rate: float
    at_once: int
    voyage_sessions: int
    heartbeat: float = 1.0

    def timeouts(self) -> Timeouts:
        names = ("idle", "grace", "window", "heartbeat")
        return Timeouts(**{name: round(getattr(self, name) * 1000) for name in names})

    def flags(self) -> list[str]:
        return [
            *("--idle-timeout", str(self.idle), "--grace", str(self.grace)),
            *("--reorder-window", str(self.window), "--heartbeat-interval", str(self.heartbeat)),
        ]


class Stage:
    def __init__(self, cluster: Cluster, scale: Scale, home: Path, seed: int) -> None:
        self.cluster = cluster
        self.scale = scale
        self.seed = seed
        self.clients = KafkaClients(cluster.bootstrap)
        self.group = f"chaos-{uuid.uuid4().hex[:8]}"
        self.monitor = Monitor(self.clients, self.group, scale.partitions)
        self.doors: dict[str, Process] = {}
        self.workers: dict[str, Process] = {}
        self.died: list[str] = []
        """Processes that ended although nobody had killed or stopped them."""
        self.home = home
        self._numbers = itertools.count()  # a name that was removed is not given again
        self._urls: list[str] = []
        self._voyages: list[Process] = []
        self._journals: list[Path] = []

    def add_door(self, admin_port: int = 0) -> Process:
        [port] = free_ports(1)  # the same one in every life: a client finds it again
        name = f"door-{len(self.doors)}"
        flags = ["--port", str(port), "--admin-port", str(admin_port), "--secret", SECRET]
        flags += ["--grace", str(self.scale.grace)]
        door = Process(name, ["ingest", "--bootstrap", self.cluster.bootstrap, *flags], self.home)
        self._urls.append(f"http://127.0.0.1:{port}")
        self.doors[name] = door
        door.start()
        return door

    def add_worker(self, fault: str | None = None) -> Process:
        number = next(self._numbers)
        name = f"worker-{number}"
        # Lanes move between workers of both kinds, as while a new release or a new cluster is rolled out.
        transactions = "classic" if number % 3 == 0 and fault is None else "auto"
        flags = [
            "--transactions",
            transactions,
            "--slot",
            name,
            "--group",
            self.group,
            "--admin-port",
            "0",
            *self.scale.flags(),
        ]
        module = MEDIABEAT if fault is None else (FAULTY_WORKER, fault)
        worker = Process(name, ["worker", "--bootstrap", self.cluster.bootstrap, *flags], self.home, module)
        self.workers[name] = worker
        worker.start()
        return worker

    def url(self, door: str) -> str:
        return self._urls[list(self.doors).index(door)]

    async def all_ready(self) -> None:
        await asyncio.gather(*(process.ready() for process in self._standing()))

    def revive(self) -> None:
        """Start again who ended by himself, as every supervisor does, and remember it."""
        for process in self._standing():
            if process.has_died:
                self.died.append(f"{process.name}: {process.last_words()[-300:]}")
                process.start()

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Players post, voyage after voyage, until the block ends; then the last voyages come home."""
        wanted = asyncio.Event()
        wanted.set()
        sailing = [asyncio.create_task(self._sail(wanted)) for _ in range(FLEETS)]
        try:
            yield
            wanted.clear()
            await asyncio.gather(*sailing)
        finally:
            for task in sailing:
                task.cancel()
            await asyncio.gather(*sailing, return_exceptions=True)

    async def loaded(self, sessions: int = 10) -> None:
        """Until the fleet has begun in earnest."""
        await until(lambda: self.monitor.seen_events() >= sessions * 5)

    def journals(self) -> list[Journal]:
        """What the players were told, over all voyages."""
        return [_journal(line) for path in self._journals for line in path.read_bytes().splitlines()]

    def complaints(self) -> list[str]:
        """What doors and workers, in all their lives, have written of failures that nobody has answered."""
        logs = sorted([*self.home.glob("door-*.log"), *self.home.glob("worker-*.log")])
        lines = [(log.name, line) for log in logs for line in log.read_text(errors="replace").splitlines()]
        return [f"{name}: {line[:1_000]}" for name, line in lines if any(text in line for text in COMPLAINTS)]

    def close(self) -> None:
        for process in (*self._voyages, *self._standing()):
            process.kill()

    async def _sail(self, wanted: asyncio.Event) -> None:
        while wanted.is_set():
            number = len(self._voyages)
            journal = self.home / f"journal-{number}.jsonl"
            flags = [flag for url in self._urls for flag in ("--url", url)]
            flags += ["--sessions", str(self.scale.voyage_sessions), "--rate", str(self.scale.rate / FLEETS)]
            flags += ["--seed", str(self.seed * 1000 + number), "--at-once", str(max(1, self.scale.at_once // FLEETS))]
            voyage = Process(
                f"fleet-{number}", ["fleet", *flags, *self.scale.flags(), "--journal", str(journal)], self.home
            )
            self._voyages.append(voyage)
            voyage.start()
            assert await voyage.end(VOYAGE_SECONDS) == 0, voyage.last_words()
            self._journals.append(journal)

    def _standing(self) -> Sequence[Process]:
        return (*self.doors.values(), *self.workers.values())


@asynccontextmanager
async def stage(cluster: Cluster, scale: Scale, home: Path, seed: int) -> AsyncIterator[Stage]:
    """Fresh topics and nobody on the stage yet; everybody is gone with the block. Shows the logs when it fails."""
    theatre = Stage(cluster, scale, home, seed)
    await fresh_topics(theatre.clients, scale.partitions, len(cluster.ports))
    watching = asyncio.create_task(theatre.monitor.run())
    try:
        yield theatre
    except BaseException:
        for process in theatre._standing():
            with contextlib.suppress(OSError):
                print(f"--- {process.name}, life {process.lives}:\n{process.last_words()}")
        raise
    finally:
        theatre.close()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def fresh_topics(clients: KafkaClients, partitions: int, replication: int) -> None:
    admin = await clients.admin()
    try:
        while names := set(await admin.list_topics()) & topics.BY_NAME.keys():
            await admin.delete_topics(sorted(names))
    finally:
        await admin.close()
    await topic_admin.create(clients, partitions, replication)
    async with asyncio.timeout(30):
        while await topic_admin.check(clients, partitions):  # noqa: ASYNC110  the broker tells nobody
            await asyncio.sleep(0.05)


def _journal(line: bytes) -> Journal:
    told = orjson.loads(line)
    return Journal(
        told["index"],
        told["kind"],
        sids=told["sids"],
        acknowledged=[(sid, body.encode()) for sid, body in told["acknowledged"]],
        batch=(told["batch"], b"") if told["batch"] else None,
        statuses={int(status): times for status, times in told["answers"].items()},
    )
