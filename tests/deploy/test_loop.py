"""How a loop ends: with the result, whatever libuv still has under way."""

import asyncio
import errno

import pytest

from deploy import loop


class BusyAtItsEnd(asyncio.SelectorEventLoop):
    """Closes, and says that it could not: as libuv does now and then when a connection was given up before."""

    said = errno.EBUSY

    def close(self) -> None:
        super().close()
        raise OSError(self.said, "said by the test")


class Broken(BusyAtItsEnd):
    said = errno.EBADF


async def answer() -> int:
    return 7


def test_a_busy_loop_does_not_cost_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_loop_factory", lambda: BusyAtItsEnd)
    assert loop.run(answer()) == 7


def test_a_loop_that_is_broken_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_loop_factory", lambda: Broken)
    with pytest.raises(OSError, match="said by the test"):
        loop.run(answer())
