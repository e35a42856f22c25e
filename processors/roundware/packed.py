"""A Roundware session as bytes and back: the layout of its state record, and nothing else.

    layout, kind, strikes | deadline, the lane's clock | JSON: everything else, in the order of `_pack` below

A change of layout takes the next number; the reader of the number before stays, so that a release reads what the last
one wrote. What waits in it goes by position, so a member may only be added at an end, and then is absent in older ones.
"""

from struct import Struct
from typing import Any, Final

from processors.roundware.rules import RoundwareRules
from processors.roundware.session import Kind, State, Told
from processors.roundware.visit import Asset, Listening, Mark, Play, Visit
from schemas import codec
from schemas.reports import CloseReason
from schemas.roundware import Listen

LAYOUT: Final = 1

_HEAD: Final = Struct(">BBBqq")
_TOLD: Final = tuple(Told.__slots__)
_PLAIN: Final = (
    *("ordinal", "started_at", "stop_at", "is_first", "records", "flags", "first_position", "last_position", "meters"),
    *("recent", "retired_ms", "heard_ms", "heard_until", "ended_at", "closed_at", "revision", "received_at"),
)
"""Members of a visit that are JSON as they are."""


class UnknownLayout(ValueError):
    """State written by a release this one cannot read. Says which layout it has."""


def kind_of(current: bytes) -> Kind:
    """What a state record stands for. UnknownLayout."""
    if current[0] != LAYOUT:
        raise UnknownLayout(f"Roundware state has layout {current[0]}; this release reads {LAYOUT}")
    return Kind(current[1])


def times_of(current: bytes) -> tuple[int, int]:
    """The deadline of a state record, and the lane's clock when it was written, in epoch ms."""
    _, _, _, deadline, clock = _HEAD.unpack_from(current)
    return deadline, clock


def pack(state: State, rules: RoundwareRules, clock: int) -> bytes:
    """The state record of a session."""
    devices: dict[str | None, int] = {}
    body = [
        state.at,
        state.received_at,
        None if state.told is None else [getattr(state.told, name) for name in _TOLD],
        state.is_told,
        state.visits,
        _visit(state.visit),
        _visit(state.last),
        state.heartbeats,
        state.heartbeat_at,
        state.events,
        [_play(play, devices) for play in state.plays.values()],
        list(devices),
    ]
    return _HEAD.pack(LAYOUT, state.kind, state.strikes, state.deadline(rules), clock) + codec.encode(body)


def unpack(sid: str, current: bytes) -> State:
    """The session of a state record. UnknownLayout if a later release wrote it."""
    kind = kind_of(current)
    body = codec.decode(current[_HEAD.size :])
    at, received_at, told, is_told, visits, visit, last, heartbeats, heartbeat_at, events, plays, devices = body
    number = int(sid[2:])
    return State(
        sid,
        kind,
        current[2],
        at,
        received_at,
        None if told is None else Told(*told),
        is_told,
        visits,
        _unpack_visit(visit),
        _unpack_visit(last),
        heartbeats,
        heartbeat_at,
        {play.listen.id: play for play in (_unpack_play(number, play, devices) for play in plays)},
        events,
    )


def _visit(visit: Visit | None) -> list[Any] | None:
    if visit is None:
        return None
    listening = visit.listening
    return [
        [getattr(visit, name) for name in _PLAIN],
        visit.counts,
        [list(mark) for mark in visit.marks],
        [listening.ms, listening.since, listening.at, listening.stopped_twice],
        [[number, asset.plays, asset.ms, asset.estimated] for number, asset in visit.retired.items()],
        visit.reason,
    ]


def _unpack_visit(packed: list[Any] | None) -> Visit | None:
    if packed is None:
        return None
    plain, counts, marks, listening, retired, reason = packed
    members = dict(zip(_PLAIN, plain, strict=True))
    for name in ("first_position", "last_position"):
        members[name] = None if members[name] is None else tuple(members[name])
    members["recent"] = [tuple(entry) for entry in members["recent"]]
    return Visit(
        **members,
        counts=counts,
        marks=[Mark(*mark) for mark in marks],
        listening=Listening(*listening),
        retired={number: Asset(*sums) for number, *sums in retired},
        reason=None if reason is None else CloseReason(reason),
    )


def _play(play: Play, devices: dict[str | None, int]) -> list[Any]:
    """A listen event; whose it is stands beside all of them, once for each device."""
    listen = play.listen
    device = devices.setdefault(listen.device, len(devices))
    return [
        *(play.at, play.visit, play.cut_at),
        *(listen.id, listen.project, listen.user, device, listen.asset, listen.starttime, listen.server_time),
        *(listen.duration_seconds, listen.updates),
    ]


def _unpack_play(number: int, packed: list[Any], devices: list[str | None]) -> Play:
    at, visit, cut_at, listen, project, user, device, asset, starttime, server_time, duration, updates = packed
    return Play(
        Listen(listen, number, project, user, devices[device], asset, starttime, server_time, duration, updates),
        at,
        visit,
        cut_at,
    )
