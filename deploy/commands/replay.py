"""Put rejects back through a front door after a fix.

Events go under their session, starts and batches go anew. What was sent once is not sent again: positions are kept
under <GROUP>-replay. One JSON line is printed for every reject that was not accepted: refused again, cut short, or of
a session that is closed.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson

from deploy import loop, reading, settings
from deploy.door_address import door_url
from deploy.failure import Failure
from deploy.replay import Leaving, Positions, Sending, Settled, plan
from deploy.settings import Settings
from schemas import codec, topics
from schemas.records import StoredRecord

SETTINGS: Final = (*settings.LOG, "GROUP")
GONE: Final = 410
"""The door's answer for a session that is closed."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", required=True, choices=["rejects"], help="what to replay")
    parser.add_argument("--url", required=True, type=door_url, help="address of a front door, http://127.0.0.1:8080")
    parser.add_argument(
        "--since", metavar="T", type=_instant, default=0, help="only from this time on: ISO 8601 or epoch ms"
    )
    parser.add_argument(
        "--patience", metavar="SECONDS", type=float, default=30.0, help="how long to try a door that takes nothing (30)"
    )
    parser.add_argument("--code", metavar="C", help="only rejects with this code (schema_violation, poisoned, ...)")


def execute(arguments: argparse.Namespace, settings: Settings) -> int | None:
    tally = loop.run(_replay(settings, arguments))
    print(tally.sentence(), file=sys.stderr)
    return None


@dataclass(slots=True)
class Tally:
    """What became of the rejects that were looked at."""

    accepted: int = 0
    refused: int = 0
    left: int = 0

    def sentence(self) -> str:
        return (
            f"{self.accepted + self.refused} sent: {self.accepted} accepted, {self.refused} refused again; "
            f"{self.left} not sent"
        )


async def _replay(settings: Settings, arguments: argparse.Namespace) -> Tally:
    reader = await reading.open_reader(settings)
    positions = reading.open_replay_positions(settings)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
            replay = Replay(session, arguments.url, arguments.patience, positions, await positions.load())
            found = reader.records(topics.REJECTS.name, from_start=True, follow=False)
            await replay.all(found, since=arguments.since, code=arguments.code)
            return replay.tally
    finally:
        await positions.close()
        await reader.close()


class Replay:
    """Sends rejects one after the other, in the order of their partitions, and remembers each."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        patience_seconds: float,
        positions: Positions,
        settled: dict[int, Settled],
    ) -> None:
        self.tally = Tally()
        self._session = session
        self._url = url
        self._patience_seconds = patience_seconds
        self._positions = positions
        self._settled = settled

    async def all(
        self, found: AsyncIterator[tuple[int, list[StoredRecord]]], *, since: int = 0, code: str | None = None
    ) -> None:
        async for partition, records in found:
            for record in records:
                await self._one(partition, record, since, code)

    async def _one(self, partition: int, record: StoredRecord, since: int, code: str | None) -> None:
        settled = self._settled.setdefault(partition, Settled())
        if settled.pass_by(record.offset):
            return
        reject = _reject(record)
        if reject.get("rejectedAt", 0) < since or (code is not None and reject.get("code") != code):
            return
        planned = plan(reject)
        if isinstance(planned, Leaving):
            self.tally.left += 1
            self._list(partition, record.offset, reject, planned.reason)
        else:
            await self._send(partition, record.offset, reject, planned)
        settled.settle(record.offset)
        # One by one: a start that is sent again is another session.
        await self._positions.save(self._settled)

    async def _send(self, partition: int, offset: int, reject: dict[str, Any], sending: Sending) -> None:
        status, answer = await self._post(sending)
        if status < 300:
            self.tally.accepted += 1
        elif status == GONE:
            self.tally.left += 1
            self._list(partition, offset, reject, "its session is closed")
        else:
            self.tally.refused += 1
            self._list(partition, offset, reject, f"refused again with {status}: {_message(answer)}")

    async def _post(self, sending: Sending) -> tuple[int, bytes]:
        give_up_at, pause = time.monotonic() + self._patience_seconds, 0.5
        while True:
            try:
                async with self._session.post(self._url + sending.path, data=sending.body) as answer:
                    if answer.status < 500:
                        return answer.status, await answer.read()
                    reason = f"it answers {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or "it does not answer in time"
            if time.monotonic() + pause > give_up_at:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)
        sent = self.tally.accepted + self.tally.refused
        raise Failure(f"{self._url} takes nothing ({reason}); {sent} were sent, run this again to go on from there")

    def _list(self, partition: int, offset: int, reject: dict[str, Any], reason: str) -> None:
        document = {"partition": partition, "offset": offset, "sid": reject.get("sid"), "code": reject.get("code")}
        print(orjson.dumps({**document, "reason": reason}).decode())


def _reject(record: StoredRecord) -> dict[str, Any]:
    try:
        document = codec.decode(record.value or b"")
    except codec.Undecodable:
        document = None
    return document if isinstance(document, dict) else {}


def _message(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["message"])
    except (ValueError, LookupError, TypeError):
        return "no reason given"


def _instant(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-01-01T00:00:00Z") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
