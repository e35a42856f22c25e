"""What a visit takes note of when an event is folded: types, order, places, repeats, and what was wrong with it."""

from processors.roundware.effects import Effects
from processors.roundware.reading import PAUSE, PLAY, client_ms, meters, type_of
from processors.roundware.rules import MAX_EVENTS, MAX_RECENT, REPEATED_WITHIN_MS, SKEW_MS, RoundwareRules
from processors.roundware.session import State
from processors.roundware.visit import Mark, Visit
from schemas import roundware
from schemas.roundware import Event, Quality


def count(visit: Visit, event_type: str) -> None:
    visit.counts[event_type] = visit.counts.get(event_type, 0) + 1


def note(state: State, visit: Visit, event: Event, sent: str, rules: RoundwareRules) -> None:
    """Take note of an event of the open visit."""
    event_type, at = type_of(event), state.at
    count(visit, event_type)
    if any(digest == sent and at - then <= REPEATED_WITHIN_MS for digest, then in visit.recent):
        visit.flag("repeated")
    visit.recent = [*visit.recent, (sent, at)][-MAX_RECENT:]
    for quality in Quality:
        if quality in event.quality:
            visit.flag(str(quality))
    client = _client_ms(state, visit, event)
    if event.latitude is not None and event.longitude is not None:
        _place(visit, (event.latitude, event.longitude))
    if event_type in {PLAY, PAUSE}:
        visit.mark(Mark(client, at, event_type == PLAY), rules)
        if event_type == PAUSE:
            cut(state, visit)


def cut(state: State, visit: Visit) -> None:
    """A listen stop: plays of unknown duration last until here at most."""
    for play in reversed(state.plays.values()):
        if play.visit != visit.ordinal or play.cut_at is not None:
            return  # those before it were cut by an earlier stop, or are of an earlier visit
        play.cut_at = state.at


def keep(state: State, event: Event, effects: Effects) -> None:
    """Show an event in the lists, and the oldest no more when there are too many."""
    effects.show(event)
    state.events.append(event.id)
    if len(state.events) > MAX_EVENTS:
        effects.bury(roundware.event_key(state.number, state.events.pop(0)))


def _client_ms(state: State, visit: Visit, event: Event) -> int | None:
    if not (event.client_time and event.client_time.strip()):
        return None
    client = client_ms(event.client_time, state.told.zone if state.told else None)
    if client is None:
        visit.flag("unreadableTime")
    elif abs(client - state.at) > SKEW_MS:
        visit.flag("clockSkew")
    return client


def _place(visit: Visit, place: tuple[float, float]) -> None:
    if visit.last_position is None:
        visit.first_position = place
    else:
        visit.meters = round(visit.meters + meters(visit.last_position, place), 3)
    visit.last_position = place
