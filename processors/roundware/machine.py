"""The machine of a Roundware session: each record belongs to a visit, and silence ends it.

A session's number is good for ever, so nothing is ever refused for being late: a record that finds no open visit opens
the next one. Pure: time comes in as values, in epoch milliseconds; what is to be written goes out as `Effects`.
"""

from processors.roundware import noting, rows
from processors.roundware.arrival import Arrival
from processors.roundware.effects import Effects
from processors.roundware.reading import END, ITEM_DELETE, ITEM_END, ITEM_START, START, type_of
from processors.roundware.rules import MAX_PLAYS, MAX_REVISIONS, SHARED_DEVICE, STOPTIME_WITHIN_MS, RoundwareRules
from processors.roundware.session import Kind, State, told_by
from processors.roundware.visit import Play, Visit
from schemas import roundware
from schemas.reports import CloseReason
from schemas.roundware import Document, Event, Listen, ListenChange, ListenDelete, Session


def take(state: State, arrival: Arrival, rules: RoundwareRules) -> Effects | None:
    """Fold a record; None if it repeats one that is folded, which changes nothing."""
    document = arrival.document
    if _is_repeat(state, document):
        return None
    effects = Effects()
    at = max(arrival.received, state.at)
    if at > state.deadline(rules) and state.at:
        _expire(state, rules, effects)
    state.at = at
    state.received_at = arrival.received_at
    if isinstance(document, Session) or state.told is None:
        state.told = told_by(document)
    visit = state.visit or _open(state, document, effects)
    visit.records += 1
    if document.project is None and state.told is not None:
        arrival = arrival._replace(document=document._replace(project=state.told.project))
    _fold(state, visit, arrival, rules, effects)
    return effects


def _is_repeat(state: State, document: Document) -> bool:
    if isinstance(document, Session):
        return state.is_told
    return isinstance(document, Listen) and document.id in state.plays


def expire(state: State, rules: RoundwareRules) -> Effects:
    """The deadline has passed: the open visit ends; without one the session is forgotten."""
    effects = Effects()
    _expire(state, rules, effects)
    return effects


def _expire(state: State, rules: RoundwareRules, effects: Effects) -> None:
    visit = state.visit
    if visit is None:
        _forget(state, effects)
    elif visit.stop_at is not None:
        _close(state, CloseReason.CLIENT, visit.stop_at, visit.stop_at, effects)
    else:
        reason = CloseReason.NO_ACTIVITY if visit.is_first and visit.records == 1 else CloseReason.TIMEOUT
        _close(state, reason, state.at, state.at + rules.idle_timeout_ms, effects)


def _forget(state: State, effects: Effects) -> None:
    """Leave nothing of the session, here or in the lists. What comes after all begins anew, with numbers of its own."""
    number = state.number
    for event in state.events:
        effects.bury(roundware.event_key(number, event))
    for listen in state.plays:
        effects.bury(roundware.listen_key(number, listen))
    if state.is_told:
        effects.bury(roundware.session_key(number))
    anew = State(state.sid, Kind.GONE)
    for name in State.__slots__:
        setattr(state, name, getattr(anew, name))


def mute(state: State) -> None:
    """Let nothing reach the machine again until the session is forgotten."""
    state.kind = Kind.POISONED
    state.visit = state.last = None


def heartbeat(state: State, rules: RoundwareRules) -> Effects:
    """The numbers so far, if a visit is open and the interval has passed. Interval 0: never."""
    effects = Effects()
    visit = state.visit
    if visit is not None and 0 < rules.heartbeat_interval_ms <= state.at - state.heartbeat_at:
        state.heartbeats += 1
        state.heartbeat_at = state.at
        effects.rows.append(rows.heartbeat(state, visit))
    return effects


def _open(state: State, document: Document, effects: Effects) -> Visit:
    """The next visit. Of a session that was forgotten, numbers begin where no earlier ones can have been."""
    at = state.at
    is_first = isinstance(document, Session)
    if not state.visits:
        state.visits = 0 if is_first else at - 1
        state.heartbeats = 0 if is_first else at - 1
    state.visits += 1
    state.kind = Kind.OPEN
    state.heartbeat_at = at
    visit = state.visit = Visit(state.visits, at, is_first=is_first, received_at=state.received_at)
    if isinstance(document, Session) and document.stoptime is not None:
        stop_at = roundware.instant_of(document.stoptime) // 1000
        if stop_at - at > STOPTIME_WITHIN_MS:
            visit.flag("stoptimeIgnored")
        else:
            visit.stop_at = max(stop_at, at)
    if state.told is not None and state.told.device == SHARED_DEVICE:
        visit.flag("sharedDevice")
    effects.opened += 1
    effects.rows.append(rows.session_start(state, visit))
    return visit


def _close(state: State, reason: CloseReason, ended_at: int, closed_at: int | None, effects: Effects) -> None:
    visit = state.visit
    assert visit is not None
    visit.reason, visit.ended_at, visit.closed_at = reason, ended_at, closed_at
    visit.received_at = state.received_at
    visit.recent.clear()
    state.at = max(state.at, ended_at)
    state.visit, state.last = None, visit
    state.kind = Kind.RESTING
    effects.closed.append(reason)
    effects.rows.append(rows.session_close(state, visit))


def _fold(state: State, visit: Visit, arrival: Arrival, rules: RoundwareRules, effects: Effects) -> None:
    document, at = arrival.document, state.at
    match document:
        case Session():
            noting.count(visit, START)
            state.is_told = True
            effects.show(document)
        case Event():
            event_type = type_of(document)
            noting.note(state, visit, document, arrival.sent, rules)
            noting.keep(state, document, effects)
            if event_type == END:
                _close(state, CloseReason.EXPLICIT, at, None, effects)
        case Listen():
            noting.count(visit, ITEM_START)
            state.plays[document.id] = Play(document, at, visit.ordinal)
            effects.show(document)
            if len(state.plays) > MAX_PLAYS:
                _retire(state, visit, effects)
        case ListenChange():
            noting.count(visit, ITEM_END)
            _change(state, visit, document, effects)
        case ListenDelete():
            noting.count(visit, ITEM_DELETE)
            _change(state, visit, document, effects)


def _change(state: State, visit: Visit, change: ListenChange | ListenDelete, effects: Effects) -> None:
    """Change or delete a listen event; if the visit closed last is another for it, its row goes out again."""
    play, last = state.plays.get(change.listen), state.last
    if play is None or play.visit not in {visit.ordinal, last.ordinal if last else None}:
        visit.flag("unknownListen")
    revised = last if play is not None and last is not None and play.visit == last.ordinal else None
    before = rows.numbers(state, revised, revised.ended_at) if revised else None
    if play is not None and isinstance(change, ListenChange):
        play.listen = roundware.changed(play.listen, change)
        effects.show(play.listen)
    elif play is not None:
        del state.plays[change.listen]
        effects.bury(roundware.listen_key(state.number, change.listen))
    if revised is None or revised.revision >= MAX_REVISIONS:
        return
    if rows.numbers(state, revised, revised.ended_at) != before:
        revised.revision += 1
        revised.received_at = state.received_at
        effects.rows.append(rows.session_close(state, revised))


def _retire(state: State, visit: Visit, effects: Effects) -> None:
    """The oldest listen event is one too many: its visit keeps its sums only."""
    play = state.plays.pop(next(iter(state.plays)))
    effects.bury(roundware.listen_key(state.number, play.listen.id))
    if play.visit == visit.ordinal:
        visit.flag("truncated")
        visit.retire(play, state.plays.values(), state.at)
    elif state.last is not None and play.visit == state.last.ordinal:
        state.last.retire(play, state.plays.values(), state.last.ended_at)
