"""Real mediabeat processes that a test may kill, freeze, thaw, stop and start again."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 90.0
"""The longest anything is waited for; a busy machine may be slow, and nothing is asserted about time."""

MEDIABEAT = ("deploy",)


class Process:
    """One name that lives as often as it is started. `module` and `arguments` follow `python -m`.

    Spawn from the main thread: where the system can, a child dies with the thread that made it.
    """

    def __init__(self, name: str, arguments: list[str], logs: Path, module: tuple[str, ...] = MEDIABEAT) -> None:
        self.name = name
        self.lives = 0
        self.is_frozen = False
        self._command = [sys.executable, "-m", *module, *arguments]
        self._logs = logs
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._logs / f"{self.name}.{self.lives}.log"

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def is_ready(self) -> bool:
        return self.is_alive and "is ready" in self.log.read_text()

    @property
    def has_died(self) -> bool:
        """Of itself: whoever kills or stops it forgets it as well."""
        return self._popen is not None and self._popen.poll() is not None

    def start(self) -> None:
        assert not self.is_alive, self.name
        self.lives += 1
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one call of the C library, no lock
            )

    async def ready(self) -> None:
        await until(lambda: self.is_ready or self.has_died)
        assert self.is_alive, f"{self.name} ended: {self.last_words()}"

    def kill(self) -> None:
        """As a power cut would. Its children too: the fleet has some."""
        if self._popen is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._popen, self.is_frozen = None, False

    def freeze(self) -> None:
        assert self._popen is not None
        self._popen.send_signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        if self._popen is not None:
            self._popen.send_signal(signal.SIGCONT)
        self.is_frozen = False

    async def stop(self) -> int:
        """SIGTERM; the exit status, once it has drained."""
        assert self._popen is not None
        self._popen.send_signal(signal.SIGTERM)
        return await self.end()

    async def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status, once it has ended."""
        popen = self._popen
        assert popen is not None
        await until(lambda: popen.poll() is not None, seconds)
        self._popen = None
        return popen.returncode

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2_000:]


async def until(look: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIABEAT_")}


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """A test run that is killed itself leaves nobody behind who loads the machine."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
