"""In which order events count: a second reading of topics.md 3 (When rows leave) and collection-api.md 4.6."""

from dataclasses import dataclass

from deploy.fleet.truth_records import Told
from deploy.fleet.truth_story import Story

WINDOW_EVENTS = 10
SERIAL_CLIENTS = ("ios-", "tvos-", "android-")
AD_BOUNDARIES = frozenset({"adBreakStart", "adBreakComplete", "adStart", "adComplete", "adSkip"})
ROW_MAKERS = AD_BOUNDARIES | {"chapterStart", "chapterComplete", "chapterSkip", "sessionComplete", "sessionEnd"}
REPEATABLE = frozenset({"play", "pauseStart", "bufferStart"})
"""SDKs send these twice, byte for byte, before and after an ad boundary, and mean both."""

_RANKS = (
    ("sessionStart",),
    ("adComplete", "adSkip"),
    ("adBreakComplete",),
    ("chapterComplete", "chapterSkip"),
    ("chapterStart",),
    ("adBreakStart",),
    ("adStart",),
    ("stateEnd",),
    ("stateStart", "statesUpdate"),
    ("play", "pauseStart", "bufferStart"),
    ("bitrateChange", "error"),
    ("ping",),
    ("sessionComplete",),
    ("sessionEnd",),
)
RANK = {event_type: float(rank) for rank, types in enumerate(_RANKS) for event_type in types}
_FOLLOWS = {
    "adComplete": RANK["adStart"] + 0.5,
    "adSkip": RANK["adStart"] + 0.5,
    "adBreakComplete": RANK["adStart"] + 0.75,  # after the ads that began and ended with it (DECISIONS 42)
    "chapterComplete": RANK["chapterStart"] + 0.5,
    "chapterSkip": RANK["chapterStart"] + 0.5,
    "stateEnd": RANK["stateStart"] + 0.5,
}
"""Where an end stands whose subject was not open before its `ts`."""


@dataclass(slots=True)
class Waiting:
    """An event in the reorder window.

    `has_place`: it counts among those that wait. A repeat does not before it is known to be meant, for else it changes
    nothing: it stands aside, pushes nobody out and holds nobody up.
    """

    event: Told
    has_place: bool = True


def is_serial(start: Told) -> bool:
    """Whether the client sends one event at a time: equal `ts` then keep arrival order."""
    return start.source == "batch" or str(start.params.get("media.libraryVersion", "")).startswith(SERIAL_CLIENTS)


def row_is_due(waiting: list[Waiting], clock: int, window_ms: int) -> bool:
    """Whether an event that makes a row must leave, because the lane's clock has passed its window.

    The clock is the highest `receivedAt` of the partition so far.
    """
    return any(
        one.has_place and one.event.type in ROW_MAKERS and clock > one.event.arrived_at + window_ms for one in waiting
    )


def is_due(waiting: list[Waiting], arrived_at: int, window_ms: int) -> bool:
    """Whether any event must leave, because one of its session was received more than the window later."""
    return any(one.has_place and arrived_at > one.event.arrived_at + window_ms for one in waiting)


def is_full(waiting: list[Waiting]) -> bool:
    """Whether an eleventh event waits."""
    return sum(one.has_place for one in waiting) > WINDOW_EVENTS


def repeat_has_place(repeat: Told, waiting: list[Waiting], *, serial: bool, after_boundary: bool) -> bool:
    """Whether a repeat is known to be meant when it arrives: an ad boundary of its `ts` stands between its twin and it.

    `after_boundary`: one was folded since its twin was. A twin that still waits leaves after every boundary of its
    `ts`, unless its client sends one event at a time.
    """
    beside = [one.event for one in waiting if one.has_place and one.event.ts == repeat.ts]
    twins = [event.offset for event in beside if event.body == repeat.body]
    boundaries = [event.offset for event in beside if event.type in AD_BOUNDARIES]
    if twins:
        return serial and max(boundaries, default=-1) > max(twins)
    return bool(boundaries) or after_boundary


def settle_repeats(waiting: list[Waiting], arrival: Told, window_ms: int) -> None:
    """A boundary that arrives gives a repeat aside its place if its twin is folded; one whose window passed goes."""
    for one in [one for one in waiting if not one.has_place]:
        twins = [other for other in waiting if other.has_place and other.event.body == one.event.body]
        if arrival.arrived_at > one.event.arrived_at + window_ms:
            waiting.remove(one)
        elif arrival.type in AD_BOUNDARIES and arrival.ts == one.event.ts and not twins:
            one.has_place = True


def take_first(waiting: list[Waiting], story: Story) -> Waiting:
    """Remove and return the first in order: by `ts`; ties by arrival, for parallel clients by rank first."""
    earliest = min(one.event.ts for one in waiting)
    ties = [one for one in waiting if one.event.ts == earliest]
    first = ties[0] if is_serial(story.start) else min(ties, key=lambda one: _rank(one.event, story))
    waiting.remove(first)
    return first


def _rank(event: Told, story: Story) -> float:
    """A complete, skip or stateEnd goes before starts only if its subject was open before this `ts`."""
    if event.type not in _FOLLOWS or _open_before(event, story):
        return RANK[event.type]
    return _FOLLOWS[event.type]


def _open_before(event: Told, story: Story) -> bool:
    opening = story.opening
    opened_at: int | None
    if event.type in ("adComplete", "adSkip"):
        opened_at = opening.ad.started_at if opening.ad else None
    elif event.type == "adBreakComplete":
        opened_at = opening.pod_at if opening.pod else None
    elif event.type in ("chapterComplete", "chapterSkip"):
        opened_at = opening.chapter.started_at if opening.chapter else None
    else:
        opened_at = story.states.on_since(event.params["media.state.name"])
    return opened_at is not None and opened_at < event.ts
