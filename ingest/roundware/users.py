"""`users/`: a device registers and has its token; the same device is the same user for ever."""

from typing import Any, Final

from ingest.collector import Collector
from ingest.roundware.desk import Asked
from ingest.roundware.folded import Folded
from ingest.roundware.refusals import ABOUT_ALL, Refusal
from ingest.roundware.tokens import Gate, user_of, username_of
from schemas import topics
from schemas.records import Record
from schemas.roundware_doors import User, encode_user, user_key
from schemas.validation import Violation

LONGEST: Final = 255
INVALID: Final = "Invalid user request"

_NAMES: Final = ("first_name", "last_name", "email")


class Registry:
    """Registers devices on the folded topic, where every door learns of them."""

    def __init__(self, collector: Collector, folded: Folded, gate: Gate) -> None:
        self._collector = collector
        self._folded = folded
        self._gate = gate

    async def post(self, asked: Asked) -> Any:
        """The first registration that this door knows counts; a repeat changes nothing but names it adds."""
        wanted = judge(asked.sent.document)
        known = self._folded.user(wanted.id)
        user = self._gate.registered(wanted if known is None else _joined(known, wanted))
        if user != known:
            key = user_key(user.id)
            partition = topics.partition_of(key, self._collector.partitions)
            await self._collector.keep_record(Record(topics.ROUNDWARE.name, partition, key.encode(), encode_user(user)))
            self._folded.register(user)
        return shown(user)


def judge(document: Any) -> User:
    """Who a document says it is, without a token. Refusal."""
    members = document if type(document) is dict else {}
    device, client_type = (_text(members, name, required=True) for name in ("device_id", "client_type"))
    names = {name: _text(members, name) for name in _NAMES}
    return User(user_of(device), device, client_type, "", **names)


def shown(user: User) -> dict[str, Any]:
    """A user as its answer shows it: the members of both generations of the API."""
    return {
        "id": user.id,
        "username": username_of(user.device),
        "first_name": user.first_name or "",
        "last_name": user.last_name or "",
        "email": user.email or "",
        "device_id": user.device,
        "client_type": user.client_type,
        "token": user.token,
    }


def _joined(known: User, wanted: User) -> User:
    return known._replace(
        first_name=known.first_name or wanted.first_name,
        last_name=known.last_name or wanted.last_name,
        email=known.email or wanted.email,
    )


def _text(members: dict[str, Any], name: str, *, required: bool = False) -> Any:
    value = members.get(name)
    if value is None and not required:
        return None
    text = str(value).strip() if type(value) in {str, int, float} else ""
    if not text or len(text) > LONGEST or "\0" in text:
        violation = Violation(name, "registration", INVALID)
        raise Refusal("schema_violation", INVALID, {ABOUT_ALL: [INVALID]}, [violation])
    return text
