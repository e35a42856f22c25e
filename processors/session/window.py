"""The reorder window of one session: which events wait, in what order they leave, and when.

An event is held back for up to 5 s of receive time or until an eleventh waits, so that posts which overtook each
other are put right before anything is counted. Order among events of different `ts` is the `ts`. At one `ts`:

- serial clients (the mobile SDKs, which post one event after the other) and offline batches: order of arrival;
- everybody else posts in parallel, and arrival says nothing: the rank of the event's meaning, then arrival.

A pre-roll whose `play` lands first would otherwise be booked as a start of the content. Order is fixed when an event
leaves; nothing is sorted again later.
"""

from bisect import insort
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from schemas.codec import decode_event
from schemas.events import Envelope, Event, EventType

WAITING_BYTES: Final = 96 * 1024
"""More bytes than this never wait in one session, so that its state stays within what one record may hold."""

TIMED: Final = 1
"""Mark of an event on which a row or a deadline depends: the clock alone lets it leave."""
BOUNDARY: Final = 2
"""Mark of an event that begins or ends an ad or an ad break."""
DOUBTFUL: Final = 4
"""A repeat that may yet be meant: it waits beside the window, not in it."""

_RANKED: Final = (
    (EventType.SESSION_START,),
    (EventType.AD_COMPLETE, EventType.AD_SKIP),
    (EventType.AD_BREAK_COMPLETE,),
    (EventType.CHAPTER_COMPLETE, EventType.CHAPTER_SKIP),
    (EventType.CHAPTER_START,),
    (EventType.AD_BREAK_START,),
    (EventType.AD_START,),
    (EventType.STATE_END,),
    (EventType.STATE_START, EventType.STATES_UPDATE),
    (EventType.PLAY, EventType.PAUSE_START, EventType.BUFFER_START),
    (EventType.BITRATE_CHANGE, EventType.ERROR),
    (EventType.PING,),
    (EventType.SESSION_COMPLETE,),
    (EventType.SESSION_END,),
)
RANK: Final = {event_type: 10 * place for place, types in enumerate(_RANKED) for event_type in types}

_BEFORE_STARTS: Final = frozenset({10, 20, 30, 70})
_AFTER_OWN_START: Final = {
    RANK[EventType.AD_COMPLETE]: RANK[EventType.AD_START] + 1,
    # A break that began at this instant ends after the ads that did: they are inside it.
    RANK[EventType.AD_BREAK_COMPLETE]: RANK[EventType.AD_START] + 2,
    RANK[EventType.CHAPTER_COMPLETE]: RANK[EventType.CHAPTER_START] + 1,
    RANK[EventType.STATE_END]: RANK[EventType.STATE_START] + 1,
}


class Arrival(NamedTuple):
    """A record of an event as it reached the lane. `received` is the receive time that deadlines go by, in epoch ms."""

    offset: int
    received: int
    digest: bytes
    envelope: Envelope


class Waiting(NamedTuple):
    """One event in the window. The first three members are its order; `rank` is 0 throughout for a serial client.

    `offset` is order of arrival. `marks`: TIMED, BOUNDARY, DOUBTFUL. `event` is None after a restart, until it leaves.
    """

    ts: int
    rank: int
    offset: int
    received: int
    marks: int
    arrival: Arrival
    event: Event | None


class Subjects(Protocol):
    """What is open in a session, each with the `ts` of its start: the machine's own words."""

    @property
    def ad_opened_ts(self) -> int | None: ...
    @property
    def break_opened_ts(self) -> int | None: ...
    @property
    def chapter_opened_ts(self) -> int | None: ...
    @property
    def open_states(self) -> Mapping[str, int]: ...


def wait(waiting: list[Waiting], item: Waiting) -> None:
    """Put an event where it belongs. `waiting` is kept in order."""
    if not waiting or item > waiting[-1]:
        waiting.append(item)
    else:
        insort(waiting, item)


def must_leave(waiting: list[Waiting], passed: int) -> bool:
    """Whether the first in order has to leave because one that waits was received before `passed`.

    An event that is due takes with it whatever stands before it, else that would fold too late for its own `ts`.
    """
    for item in waiting:  # noqa: SIM110 (a generator costs more than these few comparisons)
        if item.received < passed:
            return True
    return False


def first(waiting: list[Waiting], subjects: Subjects) -> int:
    """Index of the event that leaves first.

    It is 0 but for ties of parallel clients: there a complete, a skip or a stateEnd goes before the starts of its
    `ts` only if its subject was open before this `ts`; else it belongs to a start of the same instant and follows it.
    """
    ts = waiting[0].ts
    if len(waiting) == 1 or waiting[1].ts != ts or waiting[0].rank not in _BEFORE_STARTS:
        return 0
    open_before = _open_before(subjects, ts)
    best, best_rank = 0, None
    for index, item in enumerate(waiting):
        if item.ts != ts:
            break
        rank = item.rank
        if rank in _BEFORE_STARTS:
            subject: object = rank if rank != RANK[EventType.STATE_END] else _state_name(item)
            if subject not in open_before:
                rank = _AFTER_OWN_START[rank]
        if best_rank is None or rank < best_rank:
            best, best_rank = index, rank
    return best


def _state_name(item: Waiting) -> str:
    event = item.event or decode_event(item.arrival.envelope.event)
    return str(event.params.get("media.state.name", "")).casefold()


def _open_before(subjects: Subjects, ts: int) -> set[object]:
    opened: set[object] = {name.casefold() for name, since in subjects.open_states.items() if since < ts}
    for rank, since in (
        (RANK[EventType.AD_COMPLETE], subjects.ad_opened_ts),
        (RANK[EventType.AD_BREAK_COMPLETE], subjects.break_opened_ts),
        (RANK[EventType.CHAPTER_COMPLETE], subjects.chapter_opened_ts),
    ):
        if since is not None and since < ts:
            opened.add(rank)
    return opened
