"""Print the records of a topic as JSON lines: {"partition","offset","timestamp","key","value"}.

Committed records only. TOPIC is a full name (media.reports.session-close.v1) or a short one: events, rejects,
session-start, ad-start, ad-close, chapter-close, session-close, heartbeat, audience, closed. Without --from-start it
waits for what is new, until Ctrl-C; with --no-follow it prints what is there and ends. `timestamp` is the log's, in
epoch milliseconds; `value` is JSON, or base64 on mediabeat's private topics, or null for a tombstone.
"""

import argparse
import asyncio
import base64
import select
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

import orjson

from deploy import loop, reading, settings
from deploy.settings import Settings
from schemas import codec, topics
from schemas.records import StoredRecord
from schemas.topics import Topic

SETTINGS: Final = settings.LOG
_LOOK_SECONDS: Final = 0.5
PRIVATE: Final = frozenset({topics.STATE.name, topics.MINUTES.name})


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", type=_topic, help="a topic's full or short name")
    parser.add_argument("--from-start", action="store_true", help="begin with the oldest record there is")
    parser.add_argument("--no-follow", action="store_true", help="print what is there, from the start, and end")
    parser.add_argument("--sid", metavar="SID", help="only records of this session")


def execute(arguments: argparse.Namespace, settings: Settings) -> int | None:
    from_start = arguments.from_start or arguments.no_follow
    if not from_start and sys.stderr.isatty():
        print("waiting for new records; --from-start shows what is already there", file=sys.stderr)
    loop.run(_tail(settings, arguments.topic, arguments.sid, from_start=from_start, follow=not arguments.no_follow))
    return None


async def _tail(settings: Settings, topic: Topic, sid: str | None, *, from_start: bool, follow: bool) -> None:
    reader = await reading.open_reader(settings)
    try:
        found = reader.records(topic.name, from_start=from_start, follow=follow)
        printing = asyncio.create_task(
            print_records(topic, sid, found, sys.stdout.buffer.write, sys.stdout.buffer.flush)
        )
        leaving = asyncio.create_task(_reader_left(sys.stdout.fileno()))
        done, pending = await asyncio.wait((printing, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await reader.close()


async def _reader_left(fd: int) -> None:
    """Raise BrokenPipeError when nobody reads our output any more: `tail | head` shall not wait for the next row."""
    poll = select.poll()
    poll.register(fd, 0)  # errors are always reported
    while not any(event & select.POLLERR for _, event in poll.poll(0)):  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_LOOK_SECONDS)
    raise BrokenPipeError


async def print_records(
    topic: Topic,
    sid: str | None,
    found: AsyncIterator[tuple[int, list[StoredRecord]]],
    write: Callable[[bytes], object],
    flush: Callable[[], object],
) -> None:
    """Write one line per record; what came together is flushed together, before the next is waited for."""
    is_private = topic.name in PRIVATE
    async for partition, records in found:
        for record in _of_session(records, sid):
            write(line(partition, record, is_private=is_private))
        flush()


def line(partition: int, record: StoredRecord, *, is_private: bool) -> bytes:
    """One record as its JSON line."""
    document = {
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": record.key.decode("utf-8", "replace"),
        "value": _value(record.value, is_private=is_private),
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _value(value: bytes | None, *, is_private: bool) -> object:
    if value is None:
        return None
    if is_private:
        return base64.b64encode(value).decode()
    try:
        codec.decode(value)
    except codec.Undecodable:  # somebody else writes on our topic: show it, so that it is seen
        return value.decode("utf-8", "replace")
    # A player's own bytes may be laid out over lines, which JSON has only between its tokens: a record stays one line.
    return orjson.Fragment(value.replace(b"\r", b" ").replace(b"\n", b" "))


def _of_session(records: Iterable[StoredRecord], sid: str | None) -> Iterable[StoredRecord]:
    if sid is None:
        return records
    key, suffixed = sid.encode(), sid.encode() + b"/"
    return (record for record in records if record.key == key or record.key.startswith(suffixed))


def _topic(name: str) -> Topic:
    try:
        return topics.find(name)
    except KeyError as unknown:
        raise argparse.ArgumentTypeError(unknown.args[0]) from None
