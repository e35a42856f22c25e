"""Player states (full screen, mute, ...): how often on, for how long. Their time runs on through pauses and ads."""

from collections.abc import Iterable
from typing import Any, Final

from processors.session import flags
from processors.session.rules import MAX_STATE_NAME, MAX_STATES, Rules
from processors.session.sections import NEVER, PlayerState
from processors.session.state import Session
from schemas.events import Event
from schemas.reports import Row

_KNOWN: Final = {
    name.casefold(): name for name in ("fullscreen", "mute", "closedCaptioning", "pictureInPicture", "inFocus")
}


def start(session: Session, event: Event, _rules: Rules, _rows: list[Row]) -> None:
    _on(session, event.params.get("media.state.name"))


def end(session: Session, event: Event, _rules: Rules, _rows: list[Row]) -> None:
    _off(session, event.params.get("media.state.name"))


def update(session: Session, event: Event, _rules: Rules, _rows: list[Row]) -> None:
    """Several at one instant: ends first, so that a state both ended and started is on, once more."""
    for name in _names(event.params.get("statesEnd")):
        _off(session, name)
    for name in _names(event.params.get("statesStart")):
        _on(session, name)


def played_ms(session: Session, state: PlayerState) -> int:
    """The time a state has been on, up to now where it still is."""
    return state.total_ms + (session.clock_ms - state.since_at if state.since_at != NEVER else 0)


def _names(sent: Any) -> Iterable[Any]:
    if not isinstance(sent, list):
        return ()
    return (item.get("media.state.name") for item in sent if isinstance(item, dict))


def _on(session: Session, sent: Any) -> None:
    name = _known_as(session, sent)
    if name is None:
        return
    states = session.states
    if states is None:
        states = session.states = {}
    state = states.get(name)
    if state is None:
        if len(states) == MAX_STATES:
            session.flags |= flags.TRUNCATED
            return
        state = states[name] = PlayerState()
    if state.since_at == NEVER:
        state.count += 1
        state.since_at = session.clock_ms
        state.since_ts = session.last_ts


def _off(session: Session, sent: Any) -> None:
    name = _known_as(session, sent)
    state = session.states.get(name) if session.states and name else None
    if state is not None and state.since_at != NEVER:
        state.total_ms += session.clock_ms - state.since_at
        state.since_at = NEVER


def _known_as(session: Session, sent: Any) -> str | None:
    """The name under which this state is reported: names match whatever their case."""
    if not isinstance(sent, str) or not sent:
        return None
    folded = sent.casefold()
    if folded in _KNOWN:
        return _KNOWN[folded]
    if len(sent) > MAX_STATE_NAME:
        session.flags |= flags.TRUNCATED
    name = sent[:MAX_STATE_NAME]
    folded = name.casefold()
    return next((known for known in session.states or () if known.casefold() == folded), name)
