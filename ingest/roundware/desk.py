"""Where accepted requests become records: numbered, stamped, appended, and known here at once."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from ingest.collector import Collector
from ingest.problems import Problem, of_body
from ingest.roundware.bodies import Sent
from ingest.roundware.configuration import Configuration
from ingest.roundware.folded import Folded
from ingest.roundware.numbering import Numbering
from ingest.roundware.numbers import NumberKeys, Series, made_at
from ingest.roundware.refusals import detail, not_found
from ingest.roundware.tokens import Caller
from schemas import roundware
from schemas.events import Envelope
from schemas.records import LogUnavailable
from schemas.roundware import Document, Event, Listen, Session

WAIT_SECONDS: Final = 2.0
"""How long a request waits for its number, and for what another door has accepted a moment ago."""

UNFOLDED_MS: Final = 30 * 60_000
"""How far the lanes may lag: a number of ours that is younger and unknown may only not be folded yet."""

MAX_RECORD_BYTES: Final = 900_000
"""What the log is sure to take at once."""

Kept = TypeVar("Kept", Session, Event, Listen)


class Asked(NamedTuple):
    """One request as a handler sees it. `number` is the one in its path; `query` has the last of each name."""

    caller: Caller
    number: int
    query: dict[str, str]
    sent: Sent
    peer: str | None
    size: int

    def fields(self) -> dict[str, Any]:
        """The document of a body that must be one. Refusal for an array, a string, null or nothing."""
        document = self.sent.document
        if type(document) is dict:
            return document
        told = "nothing" if self.sent.json == b"null" else type(document).__name__
        raise detail("schema_violation", f"Invalid data. Expected a dictionary, but got {told}.")


class Desk:
    """What all handlers share."""

    def __init__(
        self,
        collector: Collector,
        keys: NumberKeys,
        numbering: Numbering,
        folded: Folded,
        configuration: Configuration,
    ) -> None:
        self.folded = folded
        self.configuration = configuration
        self._collector = collector
        self._keys = keys
        self._numbering = numbering
        # A text stands in a record as it came and as it was read, and JSON may write each of its bytes with six.
        self._longest = min(4 * collector.rules.max_event_bytes, MAX_RECORD_BYTES)

    async def number(self, series: Series) -> int:
        """A number for what is about to be kept. LogUnavailable."""
        return await self._numbering.next(series, WAIT_SECONDS)

    def stamp(self) -> tuple[int, str]:
        """Now, in epoch ms and as shown; what is stamped is to be kept at once, before anything is awaited."""
        now_ms = self._collector.stamp()
        return now_ms, roundware.shown_instant(now_ms * 1000)

    async def keep(self, document: Document, received_at: int, asked: Asked) -> None:
        """Return once the log has it. Problem too_large, LogUnavailable."""
        event = roundware.encode(document, asked.sent.json)
        if len(event) > self._longest:
            sentence = f"The request makes a record of more than {self._longest} bytes"
            raise Problem("too_large", sentence, of_body("maxBytes", sentence))
        sid = roundware.session_key(document.session)
        await self._collector.keep(Envelope(sid, received_at, roundware.SOURCE, asked.peer, None, event), asked.size)
        if isinstance(document, Session | Event | Listen):
            self.folded.put(document)

    def is_session(self, number: int) -> bool:
        """Whether one of our doors has given this number to a session, as far as can be told without a look-up."""
        return self._is(Series.SESSION, number) or self.folded.session(number) is not None

    async def session(self, number: int) -> Session:
        """Refusal 404; LogUnavailable when it cannot be told yet."""
        await self._known(Series.SESSION, number, self.folded.session(number))
        return self.folded.session(number) or self._unknown(number)

    async def event(self, number: int) -> Event:
        """As `session`."""
        await self._known(Series.EVENT, number, self.folded.event(number))
        return self.folded.event(number) or self._unknown(number)

    async def listen(self, number: int) -> Listen:
        """As `session`; one that was deleted is not found."""
        await self._known(Series.LISTEN, number, self.folded.listen(number))
        return self.folded.listen(number) or self._unknown(number)

    def project_of(self, session: int) -> int | None:
        """The session's project, None when this door does not know the session; a lane does."""
        found = self.folded.session(session)
        return None if found is None else found.project

    def seen(self, caller: Caller, documents: Iterable[Kept]) -> Iterator[Kept]:
        """Those of them that are the caller's."""
        return (document for document in documents if self._may_see(caller, document))

    def shown(self, caller: Caller, document: Kept) -> Kept:
        """This one if it is the caller's, else Refusal 404."""
        if not self._may_see(caller, document):
            raise not_found()
        return document

    def _may_see(self, caller: Caller, document: Session | Event | Listen) -> bool:
        """Whether it is the caller's: of a session that it opened, or posted by it."""
        return caller.is_staff or caller.user in {document.user, self.folded.owner(document.session)}

    async def _known(self, series: Series, number: int, found: object) -> None:
        if found is None:
            if not self._is(series, number) or self.folded.is_deleted(number):
                raise not_found()
            await self.folded.known(number, WAIT_SECONDS)

    def _unknown(self, number: int) -> Any:
        if self.folded.is_deleted(number) or made_at(number) < self._collector.now() - UNFOLDED_MS:
            raise not_found()
        raise LogUnavailable(f"number {number} is one of ours and is not folded yet")

    def _is(self, series: Series, number: int) -> bool:
        return self._keys.verify(series, number, self._collector.now())
