"""Which sessions are closed (410): an id's own age by arithmetic, the rest as the closed-session topic tells it."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Final

from ingest.following import keep_up
from ingest.ports import CompactedTopic
from schemas import topics
from schemas.records import StoredRecord
from schemas.session_ids import HEX_LENGTH, VERSION, created_at

_VERSION_HEX: Final = f"{VERSION:02x}"
_SPLIT_AT: Final = 1024


class SortedDigests:
    """A set of 64-bit numbers at some 9 bytes each: short sorted arrays, found by their first number.

    A Python set costs 60 bytes and more for each; a hash table of our own would stall the loop whenever it grew.
    Here the largest step is one move of 8 KiB.
    """

    __slots__ = ("_firsts", "_runs")

    def __init__(self) -> None:
        self._firsts = array("Q", [0])
        self._runs = [array("Q")]

    def __contains__(self, digest: int) -> bool:
        run = self._runs[bisect_right(self._firsts, digest) - 1]
        at = bisect_left(run, digest)
        return at < len(run) and run[at] == digest

    def add(self, digest: int) -> bool:
        """Keep this number; False if it was there."""
        where = bisect_right(self._firsts, digest) - 1
        run = self._runs[where]
        at = bisect_left(run, digest)
        if at < len(run) and run[at] == digest:
            return False
        run.insert(at, digest)
        if len(run) > _SPLIT_AT:
            half = len(run) // 2
            self._runs.insert(where + 1, run[half:])
            self._firsts.insert(where + 1, run[half])
            # A slice is exactly as large as what it holds; a shortened array may keep its old room.
            self._runs[where] = run[:half]
        return True


class ClosedSessions:
    """The ids that the workers have closed, in at most 16 bytes each, until arithmetic on the id says it alone.

    `lifetime_ms` is SESSION_CAP + GRACE: an id older than that is closed whatever the topic says. Of a younger one
    eight of its random bytes are kept, by the hour in which it was made, so that forgetting drops a whole hour.
    """

    def __init__(self, lifetime_ms: int) -> None:
        self.caught_up = False
        self._lifetime_ms = lifetime_ms
        self._hours: dict[int, SortedDigests] = {}
        self._count = 0
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return self._count

    def is_closed(self, sid: str, now_ms: int) -> bool:
        """Whether this id, one that we minted, takes no more events."""
        return self.holds(created_at(sid), digest_of(sid), now_ms)

    def holds(self, made_at: int, digest: int, now_ms: int) -> bool:
        """As `is_closed`, of an id that was taken apart before: `made_at` in epoch ms, and its `digest_of`."""
        if now_ms - made_at > self._lifetime_ms:
            return True
        hour = self._hours.get(made_at // topics.HOUR_MS)
        return hour is not None and digest in hour

    def add(self, sid: str, now_ms: int) -> None:
        """Remember this id as closed, unless its age says so already. Keys that are no id of ours are passed over.

        The id of an offline batch is a plain hash: read as one of ours it would carry a wild time.
        """
        if len(sid) != HEX_LENGTH or not sid.startswith(_VERSION_HEX):
            return
        try:
            made_at, digest = created_at(sid), digest_of(sid)
        except ValueError:
            return
        if not -topics.DAY_MS <= now_ms - made_at <= self._lifetime_ms:
            return
        hour = made_at // topics.HOUR_MS
        if self._hours.setdefault(hour, SortedDigests()).add(digest):
            self._count += 1
            self._counts[hour] = self._counts.get(hour, 0) + 1

    def forget(self, now_ms: int) -> None:
        """Drop every hour whose ids are all older than a session can be."""
        last_hour_over = (now_ms - self._lifetime_ms) // topics.HOUR_MS - 1
        for hour in [hour for hour in self._hours if hour <= last_hour_over]:
            del self._hours[hour]
            self._count -= self._counts.pop(hour, 0)

    def unready(self) -> str | None:
        """Why 410 cannot be told yet; None once the topic has been read to its end."""
        return None if self.caught_up else "the closed-session topic is not read to its end yet"

    async def follow(self, log: CompactedTopic, clock: Callable[[], int]) -> None:
        """Keep up with the closed-session topic for ever, over every outage of the log. Runs until cancelled."""

        def take(records: list[StoredRecord]) -> None:
            now_ms = clock()
            for record in records:
                # A tombstone only says that the topic forgets; what was closed stays closed.
                if record.value is not None:
                    self.add(record.key.decode("ascii", "replace"), now_ms)
            self.forget(now_ms)

        def caught_up() -> None:
            self.caught_up = True
            self.forget(clock())

        await keep_up(log, topics.CLOSED.name, take, caught_up)


def digest_of(sid: str) -> int:
    """64 bits of an id that tell it from every other of its hour."""
    # The first eight of the eleven random bytes: nobody can choose them, for they are under the MAC.
    return int(sid[18:34], 16)
