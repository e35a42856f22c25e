"""Requests of Kafka's newer form that aiokafka does not know, written to and read from its connections."""

# ruff: noqa: SLF001  (private names of aiokafka: the tests say when an upgrade moves them)

import asyncio
from collections.abc import Iterable
from io import BytesIO
from struct import Struct
from typing import Final, NamedTuple

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

SHORT: Final = Struct(">h")
LONG: Final = Struct(">i")
QUAD: Final = Struct(">q")
HEAD: Final = Struct(">hhi")  # what is asked, its version, which request

NO_TAGS: Final = b"\0"
NULL: Final = b"\0"
"""A text or a list that is not there."""


class Kind(NamedTuple):
    """What is asked, in one version of it."""

    api: int
    version: int


API_VERSIONS: Final = Kind(18, 3)


def varint(number: int) -> bytes:
    """A length, seven bits a byte."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def counted(length: int) -> bytes:
    """What stands before so many items, or bytes: none is another thing than no list."""
    return varint(length + 1)


def text(value: str) -> bytes:
    data = value.encode()
    return counted(len(data)) + data


class Reader:
    """Reads an answer from its first byte on. IndexError, struct.error: it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def number(self, form: Struct) -> int:
        (value,) = form.unpack_from(self._data, self.at)
        self.at += form.size
        return int(value)

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def count(self) -> int:
        """Of the items that follow; 0 for no list too."""
        return max(0, self.varint() - 1)

    def text(self) -> str:
        """Empty for none."""
        size = self.count()
        self.skip(size)
        return self._data[self.at - size : self.at].decode()

    def skip(self, size: int) -> None:
        self.at += size

    def tags(self) -> dict[int, bytes]:
        """What a later release of the broker may have added, by number."""
        found = {}
        for _ in range(self.varint()):
            tag, size = self.varint(), self.varint()
            found[tag] = self._data[self.at : self.at + size]
            self.skip(size)
        return found


def ask(connection: AIOKafkaConnection, kind: Kind, body: Iterable[bytes]) -> "asyncio.Future[bytes]":
    """Send it; the future is the body of its answer, KafkaConnectionError when the connection ends first.

    Whoever asks twice on one connection is answered in order: the broker takes up the second after the first.
    """
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, whoever else looks
    if connection._writer is None:
        answer.set_exception(KafkaConnectionError("the connection has ended"))
        return answer
    number = connection._next_correlation_id()
    client = connection._client_id.encode()
    request = b"".join((HEAD.pack(*kind, number), SHORT.pack(len(client)), client, NO_TAGS, *body))
    connection._requests.append((number, PlainHead if kind is API_VERSIONS else _TaggedHead, answer))
    try:
        connection._writer.write(LONG.pack(len(request)) + request)
    except (OSError, RuntimeError):  # the latter is uvloop's, of a connection lost in this turn of the loop
        connection.close(CloseReason.CONNECTION_BROKEN)
    return answer


def give_up(connection: AIOKafkaConnection) -> None:
    """Close a connection whose broker reads nothing: what it has not taken by now it is not to find later."""
    writer = connection._writer
    connection.close(CloseReason.CONNECTION_TIMEOUT)
    if writer is not None:
        writer.transport.abort()


async def features(connection: AIOKafkaConnection) -> dict[str, int]:
    """The levels that the cluster's features have been set to; none of a broker too old to say."""
    reader = Reader(await ask(connection, API_VERSIONS, (text("mediabeat"), text("1"), NO_TAGS)))
    if reader.number(SHORT):  # it does not know this version of the question
        return {}
    for _ in range(reader.count()):
        reader.skip(3 * SHORT.size)
        reader.tags()
    reader.number(LONG)
    levels = Reader(reader.tags().get(2, NULL))
    found = {}
    for _ in range(levels.count()):
        name = levels.text()
        found[name] = levels.number(SHORT)
        levels.skip(SHORT.size)
        levels.tags()
    return found


class _Head(NamedTuple):
    correlation_id: int


class _Body:
    @staticmethod
    def decode(data: BytesIO) -> bytes:
        return data.read()


class PlainHead:
    """How an answer is read, as aiokafka's connection asks the struct of a request."""

    RESPONSE_TYPE: type = _Body

    @staticmethod
    def parse_response_header(data: BytesIO) -> _Head:
        return _Head(*LONG.unpack(data.read(LONG.size)))


class _TaggedHead(PlainHead):
    @staticmethod
    def parse_response_header(data: BytesIO) -> _Head:
        reader = Reader(data.getvalue())
        head = _Head(reader.number(LONG))
        reader.tags()
        data.seek(reader.at)
        return head
