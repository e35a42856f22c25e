"""Two doors that differ in the way alone: the same bytes are answered by the same bytes, and counted alike."""

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from ingest import express
from tests.ingest.doors import NOW, WAYS, Client, assert_reconciled, open_door, until
from tests.ingest.streams import messages, play, told_alike

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": None}
"""What doors run on, and what they run on where that is not to be had."""


async def everything(reader):
    """All until the end of the connection; what came before a reset too."""
    answers = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                answers += chunk
    return answers + bytes(reader._buffer)


@asynccontextmanager
async def socket_of(path: Path):
    """A connection like `doors.connection`, through a socket that has a name."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def told(connecting, data, cuts=(), *, shuts=True):
    """Everything that is answered to these bytes, sent in pieces. `shuts`: the client shuts its sending side then."""
    async with connecting as client:
        at = 0
        with suppress(OSError, RuntimeError):  # (uvloop says the latter) it has hung up already
            for cut in [*sorted(cuts), len(data)]:
                await client.write(data[at:cut])
                at = max(at, cut)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if shuts and not client.writer.is_closing():
                client.writer.write_eof()
        return await everything(client.reader)


class Pair:
    """A door for each way, and one loop for both. `sid` is open at both, `closed` is closed."""

    def __init__(self, runner, doors, *, shuts):
        self.runner, self.doors, self._shuts = runner, doors, shuts
        keys = doors["short"].keys
        self.sid, self.closed = keys.mint(NOW), keys.mint(NOW)
        for door in doors.values():
            door.closed.add(self.closed, NOW)
        self.messages = messages(self.sid, self.closed)
        self.close = play(self.sid, {"Connection": "close"})

    def assert_alike(self, data, cuts=(), connect=None):
        """Send these bytes to both, and return what the short way's door answered. `connect` to a door by its name."""
        return self.runner.run(self._both(data, cuts, connect or (lambda way: self.doors[way].connect())))

    async def _both(self, data, cuts, connect):
        before = {
            way: (door.collector.counts.answered.copy(), len(door.log.records)) for way, door in self.doors.items()
        }
        answered = await asyncio.gather(*(told(connect(way), data, cuts, shuts=self._shuts) for way in WAYS))
        short, ordinary = (told_alike(answers) for answers in answered)
        assert short == ordinary
        # Whoever stands between may let go of a door later than of its client.
        with suppress(TimeoutError):
            await until(lambda: self._are_over(before))
        assert self._counted(before, "short") == self._counted(before, "ordinary")
        assert self._published(before, "short") == self._published(before, "ordinary")
        return answered[0]

    def _are_over(self, before):
        is_busy = any(door.collector.counts.in_flight for door in self.doors.values())
        return not is_busy and self._counted(before, "short") == self._counted(before, "ordinary")

    def _counted(self, before, way):
        return self.doors[way].collector.counts.answered - before[way][0]

    def _published(self, before, way):
        return [
            (e.event, e.source, e.peer, e.batch and e.batch.position)
            for e in self.doors[way].log.envelopes(before[way][1])
        ]


class NoShapes:
    """In place of the collector's: the door that the other is measured by reads every event."""

    def cover(self, _body):
        return False

    def learn(self, _event):
        """Nothing."""


@contextmanager
def pair_of_doors(loop="uvloop", *, tls=False):
    """Both, empty at first; at the end their counts must add up.

    What comes in pieces stays on the short way however slow this machine is just now.
    """
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(express, "ASSEMBLY_SECONDS", 20.0)
        openings = {way: open_door(way=way, tls=tls) for way in WAYS}
        doors = {way: runner.run(opening.__aenter__()) for way, opening in openings.items()}
        doors["ordinary"].collector._shapes = NoShapes()
        # Under TLS neither side can shut half of a connection.
        pair = Pair(runner, doors, shuts=not tls)
        yield pair
        for way, door in doors.items():
            counts = door.collector.counts
            runner.run(until(lambda counts=counts: not counts.in_flight))
            assert_reconciled(door)
            assert way == "short" or counts.ordinary == counts.received
        for opening in openings.values():
            runner.run(opening.__aexit__(None, None, None))
