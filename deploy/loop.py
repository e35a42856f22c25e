"""The event loop of every process: uvloop where it is installed."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end. Ctrl-C cancels it, lets it clean up, and raises KeyboardInterrupt."""
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        return runner.run(main)
    finally:
        _close(runner)


def _close(runner: asyncio.Runner) -> None:
    """A loop that libuv calls busy is left as it is: all that was to be done is done, and its process ends."""
    try:
        runner.close()
    except OSError as failure:
        if failure.errno != errno.EBUSY:
            raise


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop
