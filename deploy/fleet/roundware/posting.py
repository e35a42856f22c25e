"""Posts the scripts of Roundware clients, fills in the numbers that earlier answers gave, and notes every answer."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import orjson

from deploy.fleet.posting import LONGEST_BACKOFF_SECONDS, RETRIED, RETRY_FOR_SECONDS, TIMEOUT_SECONDS, Pace
from deploy.fleet.roundware.calls import NAMELESS, SESSION, Call, Document, Form, Number, Script


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered 2xx. `number`: of the record in the answer, or the one that the path named."""

    kind: str
    number: int
    sent: Document
    answer: Document | None


@dataclass(slots=True)
class Journal:
    """What one session was told by the door.

    `sids`: `r:` and its number, once it has one. `statuses`: every answer, by status; 0 stands for a timeout or a lost
    connection, after which nobody knows. `skipped`: requests that could not be made for want of a number.
    """

    index: int
    kind: str
    sids: list[str] = field(default_factory=list)
    acknowledged: list[Answered] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    skipped: int = 0

    def note(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def document(self) -> Document:
        """As a line of the journal's file."""
        return asdict(self) | {"statuses": {str(status): times for status, times in self.statuses.items()}}


class Fleet:
    """Hundreds of listeners at once on one event loop; `at_once` bounds them. `urls`: doors, another each request."""

    def __init__(self, urls: list[str], pace: Pace, at_once: int) -> None:
        self._urls = [url.rstrip("/") + "/api/2" for url in urls]
        self._pace = pace
        self._places = asyncio.Semaphore(at_once)
        self._connections = at_once * 2

    async def run(self, scripts: Iterable[Script]) -> list[Journal]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=self._connections)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            return await asyncio.gather(*(self._listen(http, script) for script in scripts))

    async def _listen(self, http: aiohttp.ClientSession, script: Script) -> Journal:
        journal = Journal(script.index, script.kind)
        async with self._places:
            visit = _Client(http, self._urls, self._pace, script, journal)
            if await visit.register():
                await visit.run()
        return journal


class _Client:
    def __init__(
        self, http: aiohttp.ClientSession, urls: list[str], pace: Pace, script: Script, journal: Journal
    ) -> None:
        self._http = http
        self._urls = urls
        self._pace = pace
        self._script = script
        self._journal = journal
        self._rng = random.Random(script.index)
        self._headers: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._turn = script.index

    async def register(self) -> bool:
        """Ask for the device's token, again and again: without one there is no session."""
        status, answer = await self._until_answered("POST", "/users/", self._script.device, patient=True)
        if status != 200 or answer is None:
            return False
        self._headers["Authorization"] = f"{self._script.scheme} {answer['token']}"
        return True

    async def run(self) -> None:
        in_flight = []
        for call in self._script.calls:
            await asyncio.sleep(call.rest_seconds)
            posting = asyncio.create_task(self._post(call))
            in_flight.append(posting)
            if call.awaited:
                await posting
            if call.kind == "session" and SESSION not in self._numbers:
                break
        await asyncio.gather(*in_flight)

    async def _post(self, call: Call) -> None:
        try:
            path = call.path.format(**self._numbers)
            document = {key: self._filled(value) for key, value in call.document.items()}
        except KeyError:  # as the web client: no number, no PATCH
            self._journal.skipped += 1
            return
        patient = self._script.is_patient or call.kind == "session"
        for _ in range(call.copies):
            status, answer = await self._until_answered(call.method, path, document, patient=patient)
            if status in (200, 204):
                self._note(call, path, document, answer)

    def _filled(self, value: Any) -> Any:
        if not isinstance(value, Number):
            return value
        number = self._numbers[value.name]
        return str(number) if value.as_text else number

    def _note(self, call: Call, path: str, document: Document, answer: Document | None) -> None:
        is_new = call.kind not in NAMELESS
        named = answer["id"] if is_new and answer is not None else _number_in(path)
        if call.named:
            self._numbers[call.named] = named
        if call.kind == "session":
            self._journal.sids.append(f"r:{named}")
        self._journal.acknowledged.append(Answered(call.kind, named, as_sent(document, self._script.form), answer))

    async def _until_answered(
        self, method: str, path: str, document: Document, *, patient: bool
    ) -> tuple[int, Document | None]:
        """Send until it is answered for good. The last status and document; status 0 when it never was."""
        give_up = asyncio.get_running_loop().time() + RETRY_FOR_SECONDS
        attempt = 0
        while True:
            # As behind a proxy that knows no sessions: whom an answer came from is not whom the next request reaches.
            self._turn += 1
            url = self._urls[self._turn % len(self._urls)]
            status, answer, wait = await self._once(method, url + path, document)
            attempt += 1
            if status and status not in RETRIED:
                return status, answer
            if not patient or asyncio.get_running_loop().time() > give_up:
                return status, None
            wait = wait or 0.1 * 2 ** min(attempt, 6)
            await asyncio.sleep(min(wait, LONGEST_BACKOFF_SECONDS) * self._rng.uniform(0.5, 1.0))

    async def _once(self, method: str, url: str, document: Document) -> tuple[int, Document | None, float]:
        """One attempt: status (0: nobody knows), the JSON of the answer, and the seconds it asks to wait."""
        await self._pace.turn()
        body = {} if method == "DELETE" else encoded(document, self._script.form)
        try:
            async with self._http.request(method, url, headers=self._headers, **body) as answer:
                text = await answer.read()
                self._journal.note(answer.status)
                wait = float(answer.headers.get("Retry-After", "0"))
                return answer.status, orjson.loads(text) if text and answer.status == 200 else None, wait
        except (aiohttp.ClientError, TimeoutError):
            self._journal.note(0)
            return 0, None, 0.0


def encoded(document: Document, form: Form) -> dict[str, Any]:
    """The arguments of aiohttp's request that send a document in a form."""
    if form == "json":
        return {"json": document}
    parts = aiohttp.FormData(as_sent(document, form), default_to_multipart=form == "multipart")
    return {"data": parts}


def as_sent(document: Document, form: Form) -> Document:
    """A document as it arrives: a form has nothing but strings, and no nulls."""
    if form == "json":
        return document
    return {key: str(value) for key, value in document.items() if value is not None}


def _number_in(path: str) -> int:
    return int(next(part for part in path.split("/") if part.isdigit()))
