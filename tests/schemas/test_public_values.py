"""What the rings really write obeys the schemas we publish for it."""

import orjson
import pytest
from jsonschema import Draft202012Validator

from processors.outcome import Outcome
from processors.rejects import Code
from schemas.events import Envelope
from schemas.reports import CloseReason
from tests.ingest.doors import batch, event, open_door, session_start
from tests.schemas.test_examples import own_schema

REJECT, CLOSED, ENVELOPE = (
    Draft202012Validator(own_schema(name)) for name in ("reject.v1", "closed.v1", "event-envelope.v1")
)
SID = "0f" * 32


async def test_envelopes_of_the_door_obey_their_schema() -> None:
    async with open_door() as door:
        sid = await door.start()
        await door.event(sid, event("play"))
        await door.post("/api/v1/downloaded", batch(event("sessionEnd")))
        assert len(door.log.records) == 4
        for record in door.log.records:
            ENVELOPE.validate(orjson.loads(record.value or b""))


async def test_rejects_of_the_door_obey_their_schema() -> None:
    bodies = [b"", b"\xff", b"[]", b"{}", b'"' + b"x" * 100_000, session_start(**{"media.length": "long"}), [1], [{}]]
    async with open_door() as door:
        sid = await door.start()
        for body in bodies:
            await door.post("/api/v1/sessions", body)
            await door.event(sid, body)
            await door.post("/api/v1/downloaded", body)
        assert len(door.log.offered) == 3 * len(bodies)
        for record in door.log.offered:
            REJECT.validate(orjson.loads(record.value or b""))


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("body", [b"{}", b"\xff", b"x" * 100_000, "é".encode() * 50_000])
def test_rejects_of_a_worker_obey_their_schema(code: Code, body: bytes) -> None:
    outcome = Outcome(3)
    outcome.add_reject(code, "why", 17, Envelope(SID, 1, "collection", None, None, body))
    REJECT.validate(orjson.loads(outcome.records[0].value or b""))


def test_the_reasons_of_closed_sessions_obey_their_schema() -> None:
    reasons = CLOSED.schema["properties"]["reason"]["enum"]
    assert set(reasons) <= set(CloseReason)
    for reason in reasons:
        outcome = Outcome(0)
        outcome.add_closed(SID, 1, CloseReason(reason), told=True)
        CLOSED.validate(orjson.loads(outcome.records[0].value or b""))
