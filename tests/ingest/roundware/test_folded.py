"""What lists are answered from: kept, replaced, forgotten."""

import asyncio

import pytest

from ingest.roundware.folded import MAX_OF_SESSION, Folded
from schemas import roundware
from schemas.records import StoredRecord
from schemas.roundware import Event, Listen, Session
from schemas.roundware_doors import User, encode_user


def session(number: int, user: int = 7) -> Session:
    return Session(
        number,
        number,
        1,
        user,
        "phone",
        "web",
        "x",
        "0000",
        "en",
        1,
        geo_listen=True,
        demo_stream=False,
        starttime="2026-01-01T00:00:00",
    )


def event(number: int, of: int, user: int = 7) -> Event:
    return Event(number, of, 1, user, None, "heartbeat", "2026-01-01T00:00:00")


def listen(number: int, of: int, duration: str | None = None, updates: int = 0) -> Listen:
    return Listen(number, of, 1, 7, None, 1, "2026-01-01T00:00:00", "2026-01-01T00:00:00", duration, updates)


def record(document: Session | Event | Listen) -> StoredRecord:
    return StoredRecord(0, 0, roundware.folded_key(document).encode(), roundware.encode(document))


def tombstone(key: str) -> StoredRecord:
    return StoredRecord(0, 0, key.encode(), None)


def test_what_the_topic_says_is_known_by_its_number() -> None:
    folded = Folded()
    for document in (event(101, 1), session(1), listen(201, 1)):
        folded.take(record(document))

    assert (folded.session(1), folded.event(101), folded.listen(201)) == (session(1), event(101, 1), listen(201, 1))
    assert folded.owner(1) == 7
    assert (folded.session(2), folded.event(201), folded.listen(101), folded.owner(2)) == (None, None, None, None)


def test_lists_are_newest_first_and_of_one_user_or_session() -> None:
    folded = Folded()
    for document in (session(1), session(3, 8), session(2), event(11, 1), event(13, 3), event(12, 2), listen(21, 2)):
        folded.take(record(document))

    assert [of.id for of in folded.sessions(None)] == [3, 2, 1]
    assert [of.id for of in folded.sessions(7)] == [2, 1]
    assert [of.id for of in folded.events(None, None)] == [13, 12, 11]
    assert [of.id for of in folded.events(7, None)] == [12, 11]
    assert [of.id for of in folded.events(None, 3)] == [13]
    assert [of.id for of in folded.listens(7, 2)] == [21]
    assert list(folded.sessions(9)) == list(folded.events(None, 9)) == []


def test_an_older_listen_event_does_not_replace_a_newer_one() -> None:
    folded = Folded()
    folded.put(listen(21, 1, "3.5", updates=2))
    folded.take(record(listen(21, 1, "1.5", updates=1)))
    assert folded.listen(21) == listen(21, 1, "3.5", updates=2)
    folded.take(record(listen(21, 1, "4", updates=2)))
    assert folded.listen(21) == listen(21, 1, "4", updates=2)


def test_a_deleted_listen_event_does_not_come_back() -> None:
    folded = Folded()
    folded.put(listen(21, 1))
    folded.delete(listen(21, 1))
    folded.take(record(listen(21, 1)))

    assert folded.listen(21) is None
    assert folded.is_deleted(21)


def test_tombstones_bury_a_session_and_what_is_its() -> None:
    folded = Folded()
    for document in (session(1), event(11, 1), listen(21, 1)):
        folded.take(record(document))
    for key in ("r:1", "r:1/e:11"):
        folded.take(tombstone(key))
    assert (folded.session(1), folded.event(11), folded.owner(1)) == (None, None, None)
    assert folded.listen(21) is not None
    folded.take(tombstone("r:1/l:21"))

    assert (len(folded), folded.size, list(folded.sessions(7))) == (0, 0, [])


def test_it_is_bounded_and_forgets_the_session_that_was_quiet_longest() -> None:
    folded = Folded(max_bytes=60_000)
    for number in range(1, 401):
        folded.put(session(number, user=number % 5))
        folded.put(event(1000 + number, 1))  # session 1 never is quiet
        assert folded.size <= 60_000

    assert folded.session(1) is None or folded.owner(1) is not None
    assert folded.session(400) is not None
    assert folded.session(2) is None
    assert folded.event(1400) is not None


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    folded = Folded(max_bytes=2_000)
    for number in range(1, 200):
        for document in (session(number, user=number), event(1000 + number, number), listen(2000 + number, number)):
            folded.put(document)

    assert len(folded) < 5
    assert len(folded._session_of) <= 2 * len(folded)
    assert len(folded._sessions_of) <= len(folded)
    assert folded.size == sum(entry.size for entry in folded._entries.values())


def test_one_busy_session_is_bounded_too() -> None:
    folded = Folded()
    for number in range(1, MAX_OF_SESSION + 11):
        folded.put(event(number, 1))

    assert len(list(folded.events(None, 1))) == MAX_OF_SESSION
    assert (folded.event(10), folded.event(11)) == (None, event(11, 1))
    assert folded.size == sum(entry.size for entry in folded._entries.values())


def test_users_are_bounded_too() -> None:
    folded = Folded(max_users=3)
    for number in range(5):
        folded.take(StoredRecord(0, 0, f"u:{number}".encode(), encode_user(User(number, "d", "web", "t"))))

    assert folded.user(1) is None
    assert folded.user(4) == User(4, "d", "web", "t")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("r:1", b"{"),
        ("r:x", None),
        ("x", b"1"),
        ("u:1", b"{}"),
        ("r:1/l:x", None),
        ("d:5", b"{}"),
        ("\xff", b""),
        ("r:", None),
    ],
)
def test_what_none_of_our_writers_wrote_is_passed_over(key: str, value: bytes | None) -> None:
    folded = Folded()
    folded.take(StoredRecord(0, 0, key.encode("latin-1"), value))

    assert len(folded) == 0


async def test_who_waits_for_a_number_hears_when_it_comes() -> None:
    folded = Folded()
    waiting = [asyncio.ensure_future(folded.known(21, 30)) for _ in range(2)]
    await asyncio.sleep(0)
    folded.put(listen(21, 1))
    await asyncio.gather(*waiting)
    await folded.known(22, 0.001)

    assert folded._waiting == {}
