"""`python -m tests.bench.door_parts`: where the microseconds of one event go, without sockets and without a broker.

The door's connections run on transports in memory. Each part is timed by itself over thousands of different posts, in
CPU time, as the least of many repeats: a busy neighbour adds to some, never takes from one. What `bench-door` measures
beyond the whole of this is the kernel's, the event loop's and aiokafka's share.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import uvloop
from aiokafka.producer.message_accumulator import BatchBuilder

from deploy.embedded import wall_clock
from deploy.kafka_producer import filled
from ingest import kafka
from ingest.app import DOOR, make_app
from ingest.closed_sessions import ClosedSessions
from ingest.collector import Collector, Rules
from ingest.express import short_way
from ingest.express_heads import Heads
from ingest.framing import DoorRunner
from ingest.kafka import KafkaLog
from ingest.kafka_batches import Batch, PartitionQueue
from ingest.session_id import SessionKeys
from schemas import codec, validation
from schemas.shapes import Shapes
from tests.bench.door_requests import PREFLIGHT, events, session_start

CONNECTIONS = 256
POSTS = 16
REPEATS = 60
CLOSED = 100_000


class MemoryTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


class ForgetfulLog:
    """Has each record at once, and one answer for all of a turn."""

    partitions = 6

    def __init__(self) -> None:
        self._future: asyncio.Future[str | None] | None = None

    def begin(self, _record: object) -> "asyncio.Future[str | None]":
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
        return self._future

    def settle(self) -> None:
        if self._future is not None:
            self._future.set_result(None)
            self._future = None


class ForgetfulProducers:
    """Batches are filled and encoded, and then durable."""

    async def producer(self) -> Any:
        return self

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(900_000, 0)

    def send_at_once(self, producer: Any, batches: Sequence[Batch], answered: Any) -> list[Batch]:
        for batch in batches:
            filled(producer, batch.records)._build()
            asyncio.get_running_loop().call_soon(answered, batch, None)
        return []


def microseconds(each: Callable[[Any], object], of: Iterable[Any]) -> float:
    """CPU time for one, the least of many repeats."""
    given, least = list(of), float("inf")
    for _ in range(REPEATS):
        began = time.process_time_ns()
        for one in given:
            each(one)
        least = min(least, time.process_time_ns() - began)
    return least / len(given) / 1000


async def whole(
    collector: Collector, settle: Callable[[], object], data_of: Callable[[list[bytes], int], bytes]
) -> float:
    """CPU microseconds for one request of many connections, each with an event of its own in a turn of the loop."""
    app = make_app(collector)
    runner = DoorRunner(app, connection=short_way(app[DOOR]), access_log=None)
    await runner.setup()
    assert runner.server
    players = []
    for number in range(CONNECTIONS):
        connection, transport = runner.server(), MemoryTransport()
        connection.connection_made(transport)
        connection.data_received(session_start(wall_clock()))
        settle()
        while not transport.written:  # noqa: ASYNC110 - here and below: the log's turns, not ours
            await asyncio.sleep(0)
        path = transport.written.pop().split(b"ocation: ", 1)[1].split(b"\r\n", 1)[0] + b"/events"
        players.append((connection, transport, events(path, wall_clock(), number, POSTS)))
    least = float("inf")
    for repeat in range(REPEATS + 2 * POSTS):
        asked = [(connection.data_received, data_of(posts, repeat)) for connection, _, posts in players]
        began = time.process_time_ns()
        for receive, data in asked:
            receive(data)
        settle()
        while not all(transport.written for _, transport, _ in players[-12:]):  # noqa: ASYNC110
            await asyncio.sleep(0)
        if repeat >= POSTS:  # until then it learns shapes
            least = min(least, time.process_time_ns() - began)
        while not all(transport.written for _, transport, _ in players):  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _, transport, _ in players:
            assert transport.written.pop().startswith(b"HTTP/1.1 204")
    await runner.cleanup()
    return least / CONNECTIONS / 1000


def parts(collector: Collector, closed: ClosedSessions, keys: SessionKeys) -> Iterable[tuple[str, float]]:
    sid = keys.mint(wall_clock())
    posts = [
        events(f"/api/v1/sessions/{sid}/events".encode(), wall_clock(), seed, POSTS) for seed in range(CONNECTIONS)
    ]
    every = [post for of_player in posts for post in of_player]
    head = Heads().read(every[0].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    assert head
    bodies = [post.partition(b"\r\n\r\n")[2] for post in every]
    profile = collector.rules.profile
    shapes = Shapes(profile)
    for body in bodies:
        shapes.learn(codec.parse_event(body, profile))
    plain = [body for body in bodies if shapes.cover(body)]
    address = collector.address(sid, "127.0.0.0")
    record, _ = collector.judged_event(address, bodies[0])
    queue, batch = PartitionQueue("t", 0), None

    def add(_: object) -> None:
        nonlocal batch
        if batch is None or not batch.add(record, 200):
            batch = Batch(queue)

    yield "frame by a known head", microseconds(lambda post: head.ends_in(post, 65_536), every)
    yield "frame by a known head's lines (another session)", microseconds(Heads().read, [head.raw] * 1000)
    yield "the id's MAC (another session)", microseconds(keys.verify, [sid] * 1000)
    yield (
        f"closed? (of {CLOSED:,})",
        microseconds(lambda _: closed.holds(address.made_at, address.digest, wall_clock()), every),
    )
    yield "judge by shape", microseconds(shapes.cover, plain)
    yield (
        "judge by reading (an unknown shape, or not plain)",
        microseconds(lambda body: codec.parse_event(body, profile), bodies),
    )
    yield "stamp and envelope", microseconds(lambda body: collector._stamped(address, body), bodies)
    yield "put into a batch", microseconds(add, every)
    producer: Any = ForgetfulProducers()
    yield "encode, in a batch of 40", microseconds(lambda _: filled(producer, [record] * 40)._build(), range(100)) / 40


async def run() -> None:
    rules = Rules()
    validation.prepare(rules.profile)
    keys, closed = SessionKeys([os.urandom(32)]), ClosedSessions(86_400_000)
    for _ in range(CLOSED):
        closed.add(keys.mint(wall_clock()), wall_clock())
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 10, 50)
    kafka.LINGER_SECONDS = 0.0  # type: ignore[misc]
    memory: Any = ForgetfulLog()
    batching = KafkaLog(ForgetfulProducers(), None, 6)  # type: ignore[arg-type]
    await batching.start()

    def collector(log: Any) -> Collector:
        return Collector(log, keys, closed, rules, wall_clock)

    def post(posts: list[bytes], repeat: int) -> bytes:
        return posts[repeat % POSTS]

    for name, found in parts(collector(memory), closed, keys):
        print(f"{name:<52}{found:>7.2f} us", flush=True)
    for name, log, settle, asked in (
        ("a preflight, whole", memory, memory.settle, lambda _posts, _repeat: PREFLIGHT),
        ("an event, whole, a log that does nothing", memory, memory.settle, post),
        ("an event, whole, into batches of Kafka", batching, lambda: None, post),
    ):
        print(f"{name:<52}{await whole(collector(log), settle, asked):>7.2f} us", flush=True)


if __name__ == "__main__":
    uvloop.run(run())
