"""What one visit amounts to: intervals of the session's clock, their unions, and the counts beside them.

Everything is computed anew from the list of what was heard; nothing is carried over or subtracted.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from deploy.fleet.roundware import readings
from deploy.fleet.roundware.order import Step, in_order
from deploy.fleet.roundware.told import Heard

REPEAT_WITHIN_MS = 5_000
REPEAT_AMONG = 16
SKEW_MS = 300_000

Interval = tuple[int, int]


class Frame(NamedTuple):
    """Where a visit lies: `began_at`, `ended_at` in epoch milliseconds; `zone` is the session's timezone.

    `window_ms`: how far listen starts and stops that overtook each other may lie apart.
    """

    began_at: int
    ended_at: int
    zone: str
    window_ms: int
    is_over: bool = True


@dataclass(slots=True)
class Sound:
    """One listen event. `at`: when its POST happened. `lasted_ms`: as last told, None while nobody told."""

    number: int
    asset: int
    at: int
    offset: int
    lasted_ms: int | None
    is_forgotten: bool = False


class Played(NamedTuple):
    """One listen event within its visit."""

    asset: int
    interval: Interval
    is_estimated: bool


class Listening(NamedTuple):
    """Intervals between listen starts and stops as they count, the stops as they happened, and what was odd."""

    intervals: list[Interval]
    stops: list[Step]
    has_steps: bool
    flags: set[str]


def sounds_of(records: Iterable[Heard]) -> dict[int, Sound]:
    """The listen events that began in these records, as they are known after the last of them; by their number."""
    sounds: dict[int, Sound] = {}
    for record in records:
        if record.kind == "listen":
            asset = int(record.sent.get("asset", record.sent.get("asset_id", 0)))
            lasted = readings.lasted_ms(record.sent)
            sounds[record.number] = Sound(record.number, asset, record.at, record.offset, lasted)
        elif (sound := sounds.get(record.made.get("listen", 0))) is not None:
            change(sound, record)
    return sounds


def change(sound: Sound, record: Heard) -> None:
    """What a change or a deletion does to a listen event."""
    if record.kind == "listenDelete":
        sound.is_forgotten = True
    elif (lasted := readings.lasted_ms(record.sent)) is not None:
        sound.lasted_ms = lasted


def listening_of(records: Iterable[Heard], frame: Frame) -> Listening:
    steps = []
    for record in records:
        kind = readings.type_of(record)
        if record.kind == "event" and kind in ("play", "pause"):
            client_ms = readings.client_time_ms(record.sent, frame.zone)
            steps.append(Step(record.at, record.offset, kind == "play", client_ms))
    heard = Listening([], [step for step in steps if not step.is_start], bool(steps), set())
    since: int | None = None
    for step in in_order(steps, frame.window_ms):
        if step.is_start:
            since = step.at if since is None else since
            continue
        if since is None:
            heard.flags.add("stopWithoutStart")
        else:
            heard.intervals.append((since, step.at))
        since = None
    if since is not None:
        heard.intervals.append((since, frame.ended_at))
        if frame.is_over:
            heard.flags.add("unclosedListening")
    return heard


def played(sounds: Iterable[Sound], stops: list[Step], frame: Frame) -> list[Played]:
    """Each listen event that was not deleted: as long as was told, else to the first sign of its end."""
    kept = [sound for sound in sounds if not sound.is_forgotten]
    found = []
    for sound in kept:
        if sound.lasted_ms is None:
            again = [other.at for other in kept if other.asset == sound.asset and other.offset > sound.offset]
            stopped = [stop.at for stop in stops if stop.offset > sound.offset]
            end = min([*again, *stopped, frame.ended_at])
        else:
            end = sound.at + max(sound.lasted_ms, 0)
        interval = (min(sound.at, frame.ended_at), max(min(sound.at, frame.ended_at), min(end, frame.ended_at)))
        found.append(Played(sound.asset, interval, sound.lasted_ms is None))
    return found


def union_ms(intervals: Iterable[Interval]) -> int:
    total, reached = 0, 0
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def types_of(records: Iterable[Heard]) -> Counter[str]:
    return Counter(readings.type_of(record) for record in records)


def odd_times(records: Iterable[Heard], zone: str) -> set[str]:
    """Flags of what clients say about time."""
    flags = set()
    for record in records:
        if record.kind != "event" or not record.sent.get("client_time"):
            continue
        told = readings.client_time_ms(record.sent, zone)
        if told is None:
            flags.add("unreadableTime")
        elif abs(told - record.at) > SKEW_MS:
            flags.add("clockSkew")
    return flags


def has_repeats(records: Iterable[Heard]) -> bool:
    """Whether an event came again, within seconds and among the last of its visit."""
    events = [record for record in records if record.kind == "event"]
    return any(
        event.at - earlier.at <= REPEAT_WITHIN_MS
        and readings.event_type(event) == readings.event_type(earlier)
        and event.sent == earlier.sent
        for place, event in enumerate(events)
        for earlier in events[max(0, place - REPEAT_AMONG) : place]
    )
