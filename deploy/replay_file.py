"""Where a replay of the embedded log keeps its place: a small file beside the log, which only `run` may write."""

import os
from pathlib import Path

from deploy.failure import Failure
from deploy.replay import Settled
from schemas import codec


class FilePositions:
    """Implements `deploy.replay.Positions` in DATA/<group>-replay.json, replaced as a whole and synced."""

    def __init__(self, data: Path, group: str) -> None:
        self._path = data / f"{group}-replay.json"

    async def load(self) -> dict[int, Settled]:
        try:
            found = codec.decode(self._path.read_bytes())
            return {int(partition): Settled(text) for partition, text in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, codec.Undecodable, ValueError, AttributeError) as error:
            raise Failure(f"cannot read {self._path} ({error}): mend it, or remove it to replay everything") from error

    async def save(self, settled: dict[int, Settled]) -> None:
        fresh = self._path.with_suffix(".tmp")
        try:
            with fresh.open("wb") as file:
                file.write(codec.encode({str(partition): runs.text() for partition, runs in settled.items()}))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise Failure(f"cannot write {self._path} ({error.strerror}): nothing more was sent") from error

    async def close(self) -> None:
        """Nothing is held."""
