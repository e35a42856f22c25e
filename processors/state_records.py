"""What a draft puts on the state topic: one record that changes, one that is written once, tombstones for both."""

from typing import Final

from processors.fold import Poisoned
from processors.outcome import Outcome
from processors.session import machine, packed
from processors.session.rules import Rules
from processors.session.state import Session
from processors.stored_session import Draft, Kind, pack

START_SUFFIX: Final = "/start"
"""After the session id: the key of what the session was told at its start."""


def write(draft: Draft, outcome: Outcome, rules: Rules, clock: int) -> bytes | None:
    """Add a draft's records to the outcome, and a heartbeat row where one is due; the new bytes of its session.

    None: the session is forgotten. Raises Poisoned, naming the session, for whatever goes wrong.
    """
    try:
        return _write(draft, outcome, rules, clock)
    except MemoryError:
        raise
    except Exception as error:
        raise Poisoned(draft.sid, None) from error


def _write(draft: Draft, outcome: Outcome, rules: Rules, clock: int) -> bytes | None:
    kind = draft.kind
    start_stands = draft.start is not None and not draft.start_is_new
    if kind is Kind.GONE:
        if draft.was_kind is not None:
            outcome.add_state(draft.sid, None)
        if start_stands:
            outcome.add_state(draft.sid + START_SUFFIX, None)
        return None
    keeps_machine = kind is Kind.OPEN or kind is Kind.INCOMPLETE
    session = draft.session
    if not keeps_machine:
        draft.machine = b""
    elif session is not None:
        if kind is Kind.OPEN and not draft.batch and not session.completed:
            _beat(draft, session, outcome, rules)
        draft.machine = packed.pack(session)
    current = pack(draft, clock, rules.reorder_window_ms)
    outcome.add_state(draft.sid, current)
    if keeps_machine and draft.start_is_new:
        outcome.add_state(draft.sid + START_SUFFIX, draft.start)
    elif start_stands and not keeps_machine:
        outcome.add_state(draft.sid + START_SUFFIX, None)
    return current


def _beat(draft: Draft, session: Session, outcome: Outcome, rules: Rules) -> None:
    """A heartbeat row, if events were folded and the newest came long enough after the last one. Interval 0: none."""
    if 0 < rules.heartbeat_interval_ms <= draft.folded_received - draft.heartbeat:
        outcome.add_rows((machine.heartbeat(session, rules),))
        draft.heartbeat = draft.folded_received
