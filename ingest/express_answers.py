"""What all connections on the short way share: the judgement, the waits for the log, and answers as bytes."""

import asyncio
from typing import Final, Protocol

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict

from ingest.app import Door, allowed, created, say_cors
from ingest.bodies import is_array
from ingest.collector import Address
from ingest.counts import CLIENT_GONE
from ingest.express_heads import EVENT, PREFLIGHT, START, Head, Heads
from ingest.problems import answer, problem_of
from schemas.records import LogUnavailable, Record

_NO_SID: Final = b"0" * 64
_ALLOWED_ANSWERS: Final = 64  # that are kept for a second: browsers ask for the same headers all day


class Asker(Protocol):
    """The connection that a request came on."""

    def answered(self) -> None:
        """Some of its turns have their answer."""


class Turn:
    """One request among those of its connection, which are answered in their order.

    `sid` is that of the session it began; `held` the bytes of its body, of which `size` went into the record.
    """

    __slots__ = ("answer", "asker", "held", "sid", "size")

    def __init__(self, asker: Asker, sid: str, held: int, size: int) -> None:
        self.asker = asker
        self.sid = sid
        self.held = held
        self.size = size
        self.answer: bytes | None = None


class ShortWay:
    """Takes common requests of one door, whole, or leaves them. What it takes, it answers 201, 204 or 503.

    Whatever else a request deserves it leaves to the ordinary way, untouched and uncounted. Records that share a
    future of the log share one callback and one timer.
    """

    def __init__(self, door: Door) -> None:
        self.door = door
        self._collector = door.collector
        self._judged_event = door.collector.judged_event
        self._counts = door.counts
        self._admission = door.admission
        self._seconds = door.collector.rules.append_seconds
        self.max_event_bytes = door.collector.rules.max_event_bytes
        self.heads = Heads()
        self._waiting: dict[asyncio.Future[str | None], tuple[list[Turn], asyncio.TimerHandle]] = {}
        self._date = ""
        self._no_content = self._created = b""
        self._allowed: dict[str, bytes] = {}

    @property
    def draining(self) -> bool:
        return self._admission.draining

    def address(self, sid: str, peer: str | None) -> Address | None:
        """Where this session's events go; None for an id that is none of ours."""
        return self._collector.address(sid, peer) if self._collector.knows(sid) else None

    def preflight(self, asker: Asker, head: Head) -> Turn | None:
        """Answer it at once; None: it is not taken."""
        if not self._admission.fits(0):
            return None
        self._counts.request_received()
        self._counts.request_over(PREFLIGHT, 204)
        if self._date is not rfc822_formatted_time():
            self._date_answers()
        turn = Turn(asker, "", 0, 0)
        turn.answer = self._allowed.get(head.asked)
        if turn.answer is None:
            turn.answer = serialized(allowed(head.asked))
            if len(self._allowed) < _ALLOWED_ANSWERS:
                self._allowed[head.asked] = turn.answer
        return turn

    def event(self, asker: Asker, address: Address, body: bytes) -> Turn | None:
        """Take one event; None: it is not taken."""
        held = len(body)
        if not self._admission.fits(held):
            return None
        try:
            record, size = self._judged_event(address, body)
        except Exception:  # noqa: BLE001 - whatever it is, the ordinary way finds it again and answers it
            return None
        turn = Turn(asker, "", held, size)
        self._begin(turn, record)
        return turn

    def start(self, asker: Asker, body: bytes, peer: str | None) -> Turn | None:
        """Take one session start; None: it is not taken."""
        if not self._admission.fits(len(body)) or is_array(body):
            return None
        try:
            sid, record, size = self._collector.judged_start(body, peer)
        except Exception:  # noqa: BLE001 - as above
            return None
        turn = Turn(asker, sid, len(body), size)
        self._begin(turn, record)
        return turn

    def left_amid_body(self, kind: str) -> None:
        """Count a request whose client went before it was whole."""
        self._counts.request_received()
        self._counts.request_over(kind, CLIENT_GONE)

    def _begin(self, turn: Turn, record: Record) -> None:
        self._admission.take(turn.held)
        self._counts.received += 1
        try:
            future = self._collector.begin(record)
        except Exception as error:  # noqa: BLE001 - what was begun must not be begun again by the other way
            self._refuse([turn], error)
            return
        known = self._waiting.get(future)
        if known is None:
            timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, future)
            self._waiting[future] = ([turn], timer)
            future.add_done_callback(self._settle)
        else:
            known[0].append(turn)

    def _settle(self, future: "asyncio.Future[str | None]") -> None:
        failure = _failure_of(future)
        known = self._waiting.pop(future, None)
        if known is None:  # given up before
            return
        turns, timer = known
        timer.cancel()
        if failure is not None:
            self._refuse(turns, failure)
        else:
            self._accept(turns)
        for turn in turns:
            turn.asker.answered()

    def _accept(self, turns: list[Turn]) -> None:
        if self._date is not rfc822_formatted_time():
            self._date_answers()
        no_content, starts, held, size = self._no_content, 0, 0, 0
        for turn in turns:
            held += turn.held
            size += turn.size
            if turn.sid:
                starts += 1
                turn.answer = self._created.replace(_NO_SID, turn.sid.encode(), 1)
            else:
                turn.answer = no_content
        self._counts.durable(len(turns), size)
        self._admission.leave(held, len(turns))
        if starts:
            self._counts.request_over(START, 201, starts)
        if starts < len(turns):
            self._counts.request_over(EVENT, 204, len(turns) - starts)

    def _refuse(self, turns: list[Turn], error: Exception) -> None:
        problem = problem_of(error)
        refusal = serialized(answer(problem))
        for turn in turns:
            self._counts.append_outcomes_unknown += 1
            self._admission.leave(turn.held)
            self._counts.request_over(START if turn.sid else EVENT, problem.status)
            turn.answer = refusal

    def _give_up(self, future: "asyncio.Future[str | None]") -> None:
        """The log has broken its promise; whatever it says later is of no use any more."""
        turns, _ = self._waiting.pop(future)
        self._refuse(turns, LogUnavailable(f"no answer within {self._seconds:g} s"))
        for turn in turns:
            turn.asker.answered()

    def _date_answers(self) -> None:
        self._date = rfc822_formatted_time()
        self._no_content = serialized(web.Response(status=204))
        self._created = serialized(created(_NO_SID.decode()))
        self._allowed.clear()


def serialized(response: web.Response) -> bytes:
    """The bytes that aiohttp would send for this answer to an HTTP/1.1 request whose connection stays."""
    say_cors(response)
    headers = CIMultiDict(response.headers)
    body = response.body if isinstance(response.body, bytes) else b""
    if response.status != 204:
        headers[hdrs.CONTENT_LENGTH] = str(len(body))
    headers[hdrs.DATE] = rfc822_formatted_time()
    return bytes(_serialize_headers(f"HTTP/1.1 {response.status} {response.reason}", headers)) + body


def closing(data: bytes) -> bytes:
    """The same answer, saying that it is its connection's last."""
    return data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def _failure_of(future: "asyncio.Future[str | None]") -> Exception | None:
    if future.cancelled():
        return LogUnavailable("the append was cancelled")
    error = future.exception()
    if error is None:
        reason = future.result()
        return None if reason is None else LogUnavailable(reason)
    return error if isinstance(error, Exception) else LogUnavailable(repr(error))
