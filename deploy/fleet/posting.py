"""Posts scripts to a front door as the clients do, and keeps a journal of what was answered."""

import asyncio
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from deploy.fleet.scripts import Post, Script

TIMEOUT_SECONDS = 10.0
RETRY_FOR_SECONDS = 60.0
"""How long one post is tried again: longer than a door or a broker may be away in a test that kills them."""

LONGEST_BACKOFF_SECONDS = 5.0
RETRIED = (408, 503, 504)


@dataclass(slots=True)
class Journal:
    """What one session was told by the door.

    `sids`: every id it was given. `acknowledged`: id and body of each event answered 2xx. `statuses`: every answer, by
    status; 0 stands for a timeout or a lost connection, after which nobody knows.
    """

    index: int
    kind: str
    sids: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    batch: tuple[str, bytes] | None = None
    statuses: dict[int, int] = field(default_factory=dict)

    def note(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def document(self) -> dict[str, Any]:
        """As a line of the journal's file."""
        return {
            "index": self.index,
            "kind": self.kind,
            "sids": self.sids,
            "answers": {str(status): times for status, times in self.statuses.items()},
            "acknowledged": [[sid, body.decode()] for sid, body in self.acknowledged],
            "batch": self.batch[0] if self.batch else None,
        }


class Pace:
    """At most `rate` posts a second, evenly; 0 is as fast as answers come."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now) + self._gap
        await asyncio.sleep(self._next - self._gap - now)


class Fleet:
    """Hundreds of sessions at once on one event loop; `at_once` bounds them. `urls`: front doors, taken in turn."""

    def __init__(self, urls: list[str], pace: Pace, at_once: int) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._pace = pace
        self._places = asyncio.Semaphore(at_once)
        self._connections = at_once * 2
        self.done = 0

    async def run(self, scripts: Iterable[Script]) -> list[Journal]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=self._connections)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            return await asyncio.gather(*(self._session(http, script) for script in scripts))

    async def _session(self, http: aiohttp.ClientSession, script: Script) -> Journal:
        journal = Journal(script.index, script.kind)
        async with self._places:
            sid = None
            for _ in range(script.starts):
                sid = await self._start(http, script, journal)
            if sid is not None:
                for group in script.groups:
                    await asyncio.sleep(max(post.rest_seconds for post in group))
                    await asyncio.gather(*(self._event(http, sid, post, script, journal) for post in group))
        self.done += 1
        return journal

    async def _start(self, http: aiohttp.ClientSession, script: Script, journal: Journal) -> str | None:
        status, location = await self._post(http, script, script.path, script.start, journal)
        if status != 201:
            return None
        sid = location.rpartition("/")[2]
        if script.groups or not script.kind.startswith("offline"):
            journal.acknowledged.append((sid, script.start))
        else:
            journal.batch = (sid, script.start)
        journal.sids.append(sid)
        return sid

    async def _event(self, http: aiohttp.ClientSession, sid: str, post: Post, script: Script, journal: Journal) -> None:
        async def once() -> None:
            path = f"/api/v1/sessions/{sid}/events"
            status, _ = await self._post(http, script, path, post.body, journal)
            if status == 204:
                journal.acknowledged.append((sid, post.body))

        if script.is_serial:
            for _ in range(post.copies):
                await once()
        else:
            await asyncio.gather(*(once() for _ in range(post.copies)))

    async def _post(
        self, http: aiohttp.ClientSession, script: Script, path: str, body: bytes, journal: Journal
    ) -> tuple[int, str]:
        """Post until it is answered for good. The last status and the Location; 0 when it never was."""
        backoff = random.Random(script.index)
        give_up = asyncio.get_running_loop().time() + RETRY_FOR_SECONDS
        for attempt in itertools.count():
            if attempt and asyncio.get_running_loop().time() > give_up:
                break
            url = self._urls[(script.index + attempt) % len(self._urls)]
            await self._pace.turn()
            try:
                async with http.post(url + path, data=body, headers={"Content-Type": "application/json"}) as answer:
                    await answer.read()
                    journal.note(answer.status)
                    if answer.status not in RETRIED:
                        return answer.status, answer.headers.get("Location", "")
                    wait = float(answer.headers.get("Retry-After", "1"))
            except (aiohttp.ClientError, TimeoutError):
                journal.note(0)
                wait = 0.1 * 2 ** min(attempt, 6)
            await asyncio.sleep(min(wait, LONGEST_BACKOFF_SECONDS) * backoff.uniform(0.5, 1.0))
        return 0, ""
