"""What the lanes have folded, as far as lists are answered from it: the newest sessions with all that is theirs.

It is bounded by bytes: the session that was quiet longest is forgotten first. What this door accepted itself is here at
once, before a lane has folded it; of a listen event the one with more changes is the newer.
"""

import asyncio
from collections.abc import Iterator
from typing import Final, TypeVar

from schemas import roundware
from schemas.codec import Undecodable
from schemas.records import StoredRecord
from schemas.roundware import Event, Listen, Session
from schemas.roundware_doors import User, decode_user, encode_user

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_OF_SESSION: Final = 2_000
"""Events, and listen events, of one session."""
MAX_USERS: Final = 200_000
MAX_DELETED: Final = 100_000

_OVERHEAD_BYTES: Final = 300  # of a record in our dictionaries, beside its value
_Value = TypeVar("_Value")


class Entry:
    """What is known of one session: documents as encoded, by number."""

    __slots__ = ("events", "listens", "session", "size", "user")

    def __init__(self) -> None:
        self.session: bytes | None = None
        self.user: int | None = None
        self.events: dict[int, bytes] = {}
        self.listens: dict[int, bytes] = {}
        self.size = 0


class Folded:
    """Sessions, events and listen events by number; the users that registered."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_users: int = MAX_USERS) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._max_users = max_users
        self._entries: dict[int, Entry] = {}  # the one that changed last stands last
        self._session_of: dict[int, int] = {}  # of events and listen events
        self._sessions_of: dict[int, dict[int, None]] = {}  # by user
        self._deleted: dict[int, None] = {}  # listen events that are no more; a late record must not bring them back
        self._users: dict[int, bytes] = {}
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    # What the topic says.

    def take(self, record: StoredRecord) -> None:
        """One record of the folded topic; what none of our writers can have written is passed over."""
        kind, _, rest = record.key.decode("ascii", "replace").partition(":")
        session, _, part = rest.partition("/")
        part_kind, _, number = part.partition(":")
        try:
            if record.value is None:
                if kind == "r":
                    self._bury(int(session), part_kind, int(number or 0))
            elif kind == "u":
                self.register(decode_user(record.value))
            elif kind == "r":
                document = roundware.decode(record.value)
                if isinstance(document, Session | Event | Listen):
                    self.put(document, record.value)
        except (Undecodable, ValueError):
            return

    def put(self, document: Session | Event | Listen, value: bytes | None = None) -> None:
        """Keep a document, unless a newer one of its number is here."""
        value = roundware.encode(document) if value is None else value
        entry = self._entries.pop(document.session, None) or Entry()
        self._entries[document.session] = entry
        if isinstance(document, Session):
            self._set_session(entry, document, value)
        elif isinstance(document, Event):
            self._set(entry, entry.events, document, value)
        elif document.id not in self._deleted:
            known = entry.listens.get(document.id)
            if known is None or _listen(known).updates <= document.updates:
                self._set(entry, entry.listens, document, value)
        self._tell(document.id)
        while self.size > self._max_bytes and len(self._entries) > 1:
            self._forget(next(iter(self._entries)))

    def delete(self, listen: Listen) -> None:
        """Forget a listen event for good."""
        self._bury(listen.session, "l", listen.id)

    def register(self, user: User) -> None:
        """Keep who registered; the last that the topic says of a user holds."""
        self._users.pop(user.id, None)
        self._users[user.id] = encode_user(user)
        if len(self._users) > self._max_users:
            del self._users[next(iter(self._users))]

    # What is asked.

    def user(self, number: int) -> User | None:
        value = self._users.get(number)
        return None if value is None else decode_user(value)

    def session(self, number: int) -> Session | None:
        entry = self._entries.get(number)
        return None if entry is None or entry.session is None else _session(entry.session)

    def event(self, number: int) -> Event | None:
        entry = self._entries.get(self._session_of.get(number, 0))
        return _event(entry.events[number]) if entry is not None and number in entry.events else None

    def listen(self, number: int) -> Listen | None:
        entry = self._entries.get(self._session_of.get(number, 0))
        return _listen(entry.listens[number]) if entry is not None and number in entry.listens else None

    def owner(self, session: int) -> int | None:
        """The user who opened this session, if that is known."""
        entry = self._entries.get(session)
        return None if entry is None else entry.user

    def is_deleted(self, listen: int) -> bool:
        return listen in self._deleted

    async def known(self, number: int, seconds: float) -> None:
        """Return when something of this number is kept, or after so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(number, []).append(future)
        try:
            await asyncio.wait({future}, timeout=seconds)
        finally:
            waiting = self._waiting.get(number, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(number, None)

    def sessions(self, user: int | None) -> Iterator[Session]:
        """Of one user or of all, newest first."""
        for number in self._numbers(user):
            entry = self._entries.get(number)
            if entry is not None and entry.session is not None:
                yield _session(entry.session)

    def events(self, user: int | None, session: int | None) -> Iterator[Event]:
        """Of one session, or of the sessions of one user or of all, newest first."""
        found = self._all("events", user, session)
        return (_event(value) for value in found)

    def listens(self, user: int | None, session: int | None) -> Iterator[Listen]:
        """As `events`."""
        found = self._all("listens", user, session)
        return (_listen(value) for value in found)

    def _all(self, what: str, user: int | None, session: int | None) -> Iterator[bytes]:
        numbers = self._numbers(user) if session is None else [session]
        of = {number: getattr(self._entries[number], what) for number in numbers if number in self._entries}
        for number in sorted((number for values in of.values() for number in values), reverse=True):
            value = of.get(self._session_of.get(number, 0), {}).get(number)
            if value is not None:  # the list is read over several turns of the loop
                yield value

    def _numbers(self, user: int | None) -> list[int]:
        return sorted(self._entries if user is None else self._sessions_of.get(user, ()), reverse=True)

    # How it is kept.

    def _set_session(self, entry: Entry, session: Session, value: bytes) -> None:
        self._grow(entry, entry.session, value)
        entry.session, entry.user = value, session.user
        self._sessions_of.setdefault(session.user, {})[session.id] = None

    def _set(self, entry: Entry, values: dict[int, bytes], document: Event | Listen, value: bytes) -> None:
        self._grow(entry, values.get(document.id), value)
        values[document.id] = value
        self._session_of[document.id] = document.session
        if len(values) > MAX_OF_SESSION:  # lanes bury the oldest sooner, while they run
            oldest = next(iter(values))
            self._shrink(entry, values.pop(oldest))
            self._session_of.pop(oldest, None)

    def _bury(self, session: int, kind: str, number: int) -> None:
        if kind == "l":
            self._deleted[number] = None
            if len(self._deleted) > MAX_DELETED:
                del self._deleted[next(iter(self._deleted))]
            self._tell(number)
        entry = self._entries.get(session)
        if entry is None:
            return
        if not kind:
            self._shrink(entry, entry.session)
            self._disown(session, entry)
        else:
            self._shrink(entry, (entry.events if kind == "e" else entry.listens).pop(number, None))
            self._session_of.pop(number, None)
        if entry.session is None and not entry.events and not entry.listens:
            self._forget(session)

    def _forget(self, session: int) -> None:
        entry = self._entries.pop(session)
        self._disown(session, entry)
        for number in (*entry.events, *entry.listens):
            self._session_of.pop(number, None)
        self.size -= entry.size

    def _disown(self, session: int, entry: Entry) -> None:
        if entry.user is not None:
            owned = self._sessions_of.get(entry.user, {})
            owned.pop(session, None)
            if not owned:
                self._sessions_of.pop(entry.user, None)
        entry.session = entry.user = None

    def _grow(self, entry: Entry, old: bytes | None, new: bytes) -> None:
        self._shrink(entry, old)
        entry.size += len(new) + _OVERHEAD_BYTES
        self.size += len(new) + _OVERHEAD_BYTES

    def _shrink(self, entry: Entry, old: bytes | None) -> None:
        if old is not None:
            entry.size -= len(old) + _OVERHEAD_BYTES
            self.size -= len(old) + _OVERHEAD_BYTES

    def _tell(self, number: int) -> None:
        for future in self._waiting.pop(number, ()):
            if not future.done():
                future.set_result(None)


def _of(value: bytes, kind: type[_Value]) -> _Value:
    document = roundware.decode(value)
    assert isinstance(document, kind)
    return document


def _session(value: bytes) -> Session:
    return _of(value, Session)


def _event(value: bytes) -> Event:
    return _of(value, Event)


def _listen(value: bytes) -> Listen:
    return _of(value, Listen)
