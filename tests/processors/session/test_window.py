"""In what order events leave the reorder window."""

from dataclasses import dataclass, field

import orjson
from hypothesis import given
from hypothesis import strategies as st

from processors.session.window import RANK, Arrival, Waiting, first, must_leave, wait
from schemas.events import Envelope, Event, EventType

E = EventType


@dataclass
class Open:
    """What is open, as the machine would say it."""

    ad_opened_ts: int | None = None
    break_opened_ts: int | None = None
    chapter_opened_ts: int | None = None
    open_states: dict[str, int] = field(default_factory=dict)


def waits(
    offset: int, event_type: EventType, ts: int, *, received: int = 0, serial: bool = False, state: str = ""
) -> Waiting:
    params = {"media.state.name": state} if state else {}
    event = Event(event_type, 0, ts, params, {}, {})
    body = orjson.dumps({"eventType": event_type, "playerTime": {"playhead": 0, "ts": ts}, "params": params})
    arrival = Arrival(offset, received, b"", Envelope("", received, "collection", None, None, body))
    return Waiting(ts, 0 if serial else RANK[event_type], offset, received, 0, arrival, event)


def order(items: list[Waiting], subjects: Open) -> list[EventType]:
    """The types in the order they leave; starts and ends change what is open, as in the machine."""
    waiting: list[Waiting] = []
    for item in items:
        wait(waiting, item)
    left = []
    while waiting:
        item = waiting.pop(first(waiting, subjects))
        assert item.event is not None
        left.append(item.event.type)
        follow(item.event, subjects)
    return left


def follow(event: Event, subjects: Open) -> None:
    name = str(event.params.get("media.state.name", ""))
    match event.type:
        case E.AD_START:
            subjects.ad_opened_ts = event.ts
        case E.AD_COMPLETE | E.AD_SKIP:
            subjects.ad_opened_ts = None
        case E.AD_BREAK_START:
            subjects.break_opened_ts = event.ts
        case E.AD_BREAK_COMPLETE:
            subjects.break_opened_ts = subjects.ad_opened_ts = None
        case E.CHAPTER_START:
            subjects.chapter_opened_ts = event.ts
        case E.CHAPTER_COMPLETE | E.CHAPTER_SKIP:
            subjects.chapter_opened_ts = None
        case E.STATE_START:
            subjects.open_states[name] = event.ts
        case E.STATE_END:
            subjects.open_states.pop(name, None)


@given(st.permutations(range(11)))
def test_events_of_different_ts_leave_by_ts(arrivals: list[int]) -> None:
    items = [waits(offset, E.PING, ts) for offset, ts in enumerate(arrivals)]
    waiting: list[Waiting] = []
    for item in items:
        wait(waiting, item)
    assert [item.ts for item in waiting] == sorted(arrivals)


@given(st.permutations([E.PLAY, E.AD_BREAK_START, E.AD_START, E.PING, E.STATE_START, E.ERROR, E.SESSION_END]))
def test_a_serial_clients_ties_leave_as_they_arrived(types: list[EventType]) -> None:
    items = [waits(offset, event_type, 5, serial=True) for offset, event_type in enumerate(types)]
    assert order(items, Open()) == types


@given(
    st.permutations(
        [
            E.AD_COMPLETE,
            E.AD_BREAK_COMPLETE,
            E.CHAPTER_COMPLETE,
            E.CHAPTER_START,
            E.AD_BREAK_START,
            E.AD_START,
            E.STATE_END,
            E.STATE_START,
            E.PLAY,
            E.ERROR,
            E.PING,
            E.SESSION_COMPLETE,
            E.SESSION_END,
        ]
    )
)
def test_a_parallel_clients_ties_leave_by_meaning_where_all_that_ends_was_open_before(types: list[EventType]) -> None:
    subjects = Open(ad_opened_ts=1, break_opened_ts=1, chapter_opened_ts=1, open_states={"mute": 1})
    items = [
        waits(offset, event_type, 5, state="mute" if "state" in event_type else "")
        for offset, event_type in enumerate(types)
    ]
    assert order(items, subjects) == [
        E.AD_COMPLETE,
        E.AD_BREAK_COMPLETE,
        E.CHAPTER_COMPLETE,
        E.CHAPTER_START,
        E.AD_BREAK_START,
        E.AD_START,
        E.STATE_END,
        E.STATE_START,
        E.PLAY,
        E.ERROR,
        E.PING,
        E.SESSION_COMPLETE,
        E.SESSION_END,
    ]


def test_equal_rank_leaves_as_it_arrived() -> None:
    items = [waits(0, E.PAUSE_START, 5), waits(1, E.PLAY, 5), waits(2, E.BUFFER_START, 5)]
    assert order(items, Open()) == [E.PAUSE_START, E.PLAY, E.BUFFER_START]


@given(st.permutations([E.AD_BREAK_START, E.AD_START, E.PLAY]))
def test_a_preroll_whose_play_lands_first_is_no_content_start(types: list[EventType]) -> None:
    items = [waits(offset, event_type, 5) for offset, event_type in enumerate(types)]
    assert order(items, Open()) == [E.AD_BREAK_START, E.AD_START, E.PLAY]


@given(st.permutations([E.AD_BREAK_START, E.AD_START, E.AD_COMPLETE, E.AD_BREAK_COMPLETE, E.PLAY]))
def test_an_ad_that_begins_and_ends_at_one_ts_ends_after_its_start_and_inside_its_break(types: list[EventType]) -> None:
    items = [waits(offset, event_type, 5) for offset, event_type in enumerate(types)]
    assert order(items, Open()) == [E.AD_BREAK_START, E.AD_START, E.AD_COMPLETE, E.AD_BREAK_COMPLETE, E.PLAY]


@given(st.permutations([E.AD_COMPLETE, E.AD_START, E.AD_SKIP]))
def test_of_two_ends_at_one_ts_the_first_ends_the_open_ad_and_the_other_the_new_one(types: list[EventType]) -> None:
    items = [waits(offset, event_type, 5) for offset, event_type in enumerate(types)]
    ends = [event_type for event_type in types if event_type is not E.AD_START]
    assert order(items, Open(ad_opened_ts=1, break_opened_ts=1)) == [ends[0], E.AD_START, ends[1]]


@given(st.permutations([E.CHAPTER_START, E.CHAPTER_SKIP]), st.sampled_from([None, 1, 5]))
def test_a_chapter_end_goes_first_only_if_a_chapter_was_open_before_its_ts(
    types: list[EventType], since: int | None
) -> None:
    items = [waits(offset, event_type, 5) for offset, event_type in enumerate(types)]
    expected = [E.CHAPTER_SKIP, E.CHAPTER_START] if since == 1 else [E.CHAPTER_START, E.CHAPTER_SKIP]
    assert order(items, Open(chapter_opened_ts=since)) == expected


@given(st.permutations([E.STATE_START, E.STATE_END]), st.booleans())
def test_a_state_ends_before_starts_only_if_that_state_was_on(types: list[EventType], on: bool) -> None:
    items = [waits(offset, event_type, 5, state="fullScreen") for offset, event_type in enumerate(types)]
    expected = [E.STATE_END, E.STATE_START] if on else [E.STATE_START, E.STATE_END]
    assert order(items, Open(open_states={"fullscreen" if on else "mute": 1})) == expected


def test_what_is_open_is_read_from_the_bytes_after_a_restart() -> None:
    items = [waits(0, E.STATE_END, 5, state="mute"), waits(1, E.STATE_START, 5, state="mute")]
    waiting = [item._replace(event=None) for item in items]
    assert first(waiting, Open()) == 1
    assert first(waiting, Open(open_states={"mute": 1})) == 0


def test_the_first_leaves_when_any_event_was_received_before() -> None:
    waiting = [waits(1, E.PING, 1, received=100), waits(0, E.PING, 2, received=10)]
    assert not must_leave(waiting, 10)
    assert must_leave(waiting, 11)
