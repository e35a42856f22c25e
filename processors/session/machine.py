"""The machine of one session: each event type has one row in a table that says what it does."""

from processors.session.rules import Rules
from processors.session.state import Session
from schemas.events import Event, EventType
from schemas.records import Envelope  # noqa: F401
from schemas.reports import CloseReason, Row


def begin(envelope: "Envelope", event: Event, rules: Rules) -> tuple[Session, list[Row]]:
    raise NotImplementedError


def advance(session: Session, event: Event, received_at: int, rules: Rules) -> list[Row]:
    raise NotImplementedError


def expire(session: Session, reason: CloseReason, closed_at: int, rules: Rules) -> list[Row]:
    """Reason END closes a batch at its last element, as a sessionEnd there would."""
    raise NotImplementedError


def reopen(session: Session) -> None:
    """Take an incomplete batch up again after `expire`: rows it then changes go out as revisions."""
    raise NotImplementedError


def heartbeat(session: Session, rules: Rules) -> Row:
    raise NotImplementedError


def stands_still(session: Session, event: Event, rules: Rules) -> bool:
    raise NotImplementedError


def still_deadline(session: Session, rules: Rules) -> int:
    """When the still timeout was due without grace, on the door's clock: the `closed_at` to expire with."""
    raise NotImplementedError


def makes_row(event_type: EventType) -> bool:
    raise NotImplementedError
