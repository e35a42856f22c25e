"""What holds for every session, whatever its player sends: identities of time, counts, and check after check."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.session.rules import Rules
from schemas.events import Event, EventType
from schemas.reports import CloseReason, RowKind
from tests.processors.session.drive import BASE, SID, Drive, Numbers, drive
from tests.processors.session.streams import realistic, wild

EXAMPLES = settings(max_examples=70)
LAST = {EventType.SESSION_COMPLETE, EventType.SESSION_END}
TIMES = ("contentMs", "mediaMs", "adMs", "pauseMs", "bufferMs", "stallMs", "startingMs", "breakGapMs")


def told(events: list[Event], rules: Rules | None = None, *, packing: bool = True) -> Drive:
    """A session folded to its end, by its player or by the idle timeout."""
    session = Drive(rules, packing=packing)
    for event in events:
        if session.session is not None and session.open.closed:
            break
        session.fold(event)
    if not session.open.closed:
        session.expire()
    return session


def times(numbers: Numbers) -> dict[str, int]:
    return {name: numbers.extras[name] for name in TIMES}


def booked(extras: dict[str, Any]) -> int:
    """Every account but the ones that are sums of others."""
    uncredited = extras["breakGapMs"] - extras.get("breakGapCreditedMs", 0)
    return (
        extras["mediaMs"]
        + extras["pauseMs"]
        + extras["bufferMs"]
        + extras["stallMs"]
        + extras["startingMs"]
        + extras.get("errorMs", 0)
        + uncredited
    )


@EXAMPLES
@given(realistic())
def test_media_time_is_content_and_ads(events: list[Event]) -> None:
    session = told(events)
    numbers = session.close
    ad_ms = sum(ad.extras["adMs"] for ad in session.ads)
    assert numbers.extras["mediaMs"] == numbers.extras["contentMs"] + ad_ms
    assert numbers.extras["adMs"] == ad_ms


@EXAMPLES
@given(realistic(), st.booleans())
def test_every_millisecond_from_the_first_to_the_last_event_is_booked_once(
    events: list[Event], interrupts: bool
) -> None:
    numbers = told(events, Rules(error_interrupts=interrupts)).close
    assert booked(numbers.extras) == numbers.own["endedAt"] - numbers.own["startedAt"]


@EXAMPLES
@given(realistic())
def test_chapters_play_no_longer_than_the_content(events: list[Event]) -> None:
    session = told(events)
    newest = {row.own["instance"]: row.extras["contentMs"] for row in session.chapters}
    assert sum(newest.values()) <= session.close.extras["contentMs"]


@EXAMPLES
@given(realistic(jumps=False, stalls=False))
def test_unique_time_is_never_longer_than_what_was_played_at_normal_speed(events: list[Event]) -> None:
    numbers = told(events).close
    assert numbers["uniqueTimePlayed"] * 1000 <= numbers.extras["contentMs"] + 500


@EXAMPLES
@given(st.one_of(realistic(), wild()))
def test_every_ad_and_every_chapter_has_its_rows(events: list[Event]) -> None:
    session = told(events)
    numbers = session.close
    starts = [row["mediabeat"]["instance"] for row in session.of(RowKind.AD_START)]
    first_closes = [ad.own["instance"] for ad in session.ads if ad.own["revision"] == 0]
    assert starts == first_closes == list(range(1, numbers["adCount"] + 1))
    chapters = [chapter.own["instance"] for chapter in session.chapters if chapter.own["revision"] == 0]
    assert chapters == list(range(1, numbers["chapterCount"] + 1))


@EXAMPLES
@given(st.one_of(realistic(), wild()))
def test_a_session_is_either_played_or_dropped(events: list[Event]) -> None:
    numbers = told(events).close
    assert (numbers["isPlayed"] is True) != (numbers["isDroppedBeforeStart"] is True)
    assert numbers["isDroppedBeforeStart"] is None or numbers.markers == []


@EXAMPLES
@given(wild())
def test_whatever_comes_times_are_never_negative_and_ids_never_repeat(events: list[Event]) -> None:
    session = told(events)
    assert all(value >= 0 for value in times(session.close).values())
    assert booked(session.close.extras) >= 0
    ids = [row.value["_id"] for row in session.rows]
    assert len(ids) == len(set(ids))
    revisions: dict[tuple[str, int], int] = {}
    for row in session.rows:
        place = (row.kind, row.instance)
        assert row.revision == revisions.get(place, -1) + 1
        revisions[place] = row.revision


@EXAMPLES
@given(st.one_of(realistic(), wild()), st.data())
def test_a_session_packed_at_any_point_goes_on_as_if_it_had_not_been(events: list[Event], data: Any) -> None:
    whole = told(events, packing=False)
    split = Drive(packing=False)
    for event in events:
        if split.session is not None and split.open.closed:
            break
        split.fold(event)
        if data.draw(st.integers(0, 3)) == 0:
            split.repack()
    if not split.open.closed:
        split.expire()
    assert split.rows == whole.rows


@EXAMPLES
@given(realistic(jumps=False, stalls=False), st.data())
def test_pings_where_the_playhead_moves_may_be_lost(events: list[Event], data: Any) -> None:
    moving = [
        place
        for place, event in enumerate(events[1:-1], 1)
        if event.type is EventType.PING and event.playhead != events[place - 1].playhead and not event.qoe
    ]
    lost = data.draw(st.sets(st.sampled_from(moving))) if moving else set()
    fewer = [event for place, event in enumerate(events) if place not in lost]
    assert times(told(fewer).close) == times(told(events).close)


@EXAMPLES
@given(realistic(jumps=False, stalls=False))
def test_equal_ts_pulled_apart_move_no_account_by_more_than_5_ms_an_interval(events: list[Event]) -> None:
    spread: list[Event] = []
    for event in events:
        # As a client would that keeps a millisecond between two events.
        earliest = spread[-1].ts + 1 if spread else event.ts
        spread.append(event._replace(ts=max(event.ts, earliest)))
    before, after = times(told(events).close), times(told(spread).close)
    late = max(now.ts - then.ts for now, then in zip(spread, events, strict=True))
    intervals = 1 + sum(event.type is not EventType.PING for event in events)
    for name in TIMES:
        assert abs(before[name] - after[name]) <= max(5, late) * intervals


@EXAMPLES
@given(realistic(ends=False))
def test_a_session_that_loses_its_end_counts_up_to_the_new_last_event(events: list[Event]) -> None:
    session = Drive().fold(*events)
    so_far = Numbers(session.heartbeat().value)
    closed = session.expire().close
    assert times(closed) == times(so_far)
    assert closed.own["endedAt"] == events[-1].ts
    assert booked(closed.extras) == events[-1].ts - events[0].ts


@EXAMPLES
@given(realistic())
def test_a_heartbeat_agrees_with_a_close_at_the_same_moment(events: list[Event]) -> None:
    session = Drive()
    for event in events:
        if event.type in LAST:
            break
        session.fold(event)
    beat = Numbers(session.heartbeat().value)
    session.expire(CloseReason.CAP_24H, closed_at=BASE + 86_400_000)
    close = session.close
    assert beat.states == close.states
    ours = {"isDroppedBeforeStart": True, "hasResume": True, "secondsSinceLastCall": close["secondsSinceLastCall"]}
    beat_blocks = beat.value["mediaReporting"]
    close_blocks = close.value["mediaReporting"]
    for block in ("sessionDetails", "qoeDataDetails"):
        kept = {name: value for name, value in close_blocks[block].items() if name not in ours}
        assert {name: value for name, value in beat_blocks[block].items() if name not in ours} == kept
    assert beat.extras["foldedEvents"] == session.open.folded_events


def test_the_sid_of_these_tests_is_one_of_ours() -> None:
    assert len(SID) == 64
    assert drive(*told_events()).open.created_at == BASE


def told_events() -> list[Event]:
    from tests.processors.session.test_timeline_1 import EVENTS

    return list(EVENTS)
