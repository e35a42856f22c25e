"""What a simulated Roundware client is going to send: requests whose numbers are only known from earlier answers."""

from dataclasses import dataclass
from typing import Any, Literal

Document = dict[str, Any]
Form = Literal["json", "urlencoded", "multipart"]

SESSION = "session"
"""The name under which the session's number is remembered."""


NAMELESS = frozenset({"beat", "listenChange", "listenDelete"})
"""Kinds of requests whose record has a number that the client never hears of; the path names what they are about."""


@dataclass(frozen=True, slots=True)
class Number:
    """The number an earlier answer gave to what was called `name`; as digits in a string where the client does that."""

    name: str = SESSION
    as_text: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request under `/api/2`, after `rest_seconds` of real time. `path` may hold `{names}` of earlier answers.

    `kind`: of the record that it makes: session, event, beat (of its stream), listen, listenChange, listenDelete.
    `named`: under what name the number in the answer is remembered. `awaited`: whether the client sends nothing more
    before the answer. `copies`: how often it is posted, one after the other.
    """

    method: str
    path: str
    kind: str
    document: Document
    rest_seconds: float = 0.0
    named: str = ""
    awaited: bool = True
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Script:
    """One simulated session of one device. `scheme`: how it spells the word before its token.

    `is_patient`: whether it sends again what was not answered, as a proxy in front of it would: the clients do not.
    """

    index: int
    kind: str
    device: Document
    scheme: str
    form: Form
    is_patient: bool
    calls: tuple[Call, ...]
