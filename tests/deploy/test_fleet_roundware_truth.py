"""The fleet's Roundware truth against sessions worked by hand from docs/reports.md."""

import pytest

from deploy.fleet.expectation import plain
from deploy.fleet.roundware.order import Step, in_order
from deploy.fleet.roundware.sums import union_ms
from tests.deploy.roundware_streams import (
    BEGAN_AT,
    LIMIT_MS,
    close,
    closes,
    delete,
    event,
    heard,
    listen,
    patch,
    session,
    streams,
    truth,
)

LIMIT = LIMIT_MS / 1000


def shown(expected: dict, got: dict) -> None:
    assert {key: got.get(key) for key in expected} == expected


def test_the_whole_run_of_vector_48() -> None:
    row = close(
        session(),
        event(0.1, "start_session"),
        event(0.2, "play_stream", client_time="2026-01-01T00:00:00.200Z"),
        event(0.3, "location_update", latitude=42.1, longitude=-71.2),
        event(0.4, "filter_stream", tag_ids=[3, 8]),
        listen(0.5, 11, 1),
        patch(1.7, 11, 1.2),
        event(2.0, "pause_stream", client_time="2026-01-01T00:00:02.000Z"),
    )
    shown(
        {
            "closeReason": "timeout",
            "endedAt": 2.0,
            "closedAt": 2.0 + LIMIT,
            "sessionSeconds": 2.0,
            "listeningSeconds": 1.8,
            "assetSeconds": 1.2,
            "heardSeconds": 1.2,
            "assets": [{"asset": 1, "plays": 1, "seconds": 1.2, "estimated": 0}],
            "firstPosition": {"latitude": 42.1, "longitude": -71.2},
            "distanceMeters": 0.0,
            "flags": [],
        },
        row,
    )
    words = ("session.start", "note", "play", "position", "filter", "item.start", "item.end", "pause")
    assert row["eventsByType"] == dict.fromkeys(words, 1)


def test_a_session_that_does_nothing_has_no_activity() -> None:
    row = close(session())
    shown({"closeReason": "no_activity", "endedAt": 0, "closedAt": LIMIT, "sessionSeconds": 0}, row)


def test_silence_beyond_the_limit_opens_a_second_visit_and_silence_up_to_it_does_not() -> None:
    shown({"id": "1:0", "sessionSeconds": LIMIT}, close(session(), event(LIMIT, "heartbeat")))
    first, second = closes(truth(session(), event(LIMIT + 0.001, "heartbeat"), event(LIMIT + 5, "client_error")))
    shown({"id": "1:0", "closeReason": "no_activity", "sessionSeconds": 0}, first)
    shown({"id": "2:0", "closeReason": "timeout", "sessionSeconds": 4.999, "startedAt": LIMIT + 0.001}, second)


@pytest.mark.parametrize("last", [event(3, "stop_session"), event(3, "cleanup_session"), streams(3, "kill")])
def test_an_explicit_end_is_the_last_record_of_its_visit_and_what_comes_after_opens_the_next(last) -> None:
    first, second = closes(truth(session(), last, event(3.001, "pause_stream")))
    shown({"closeReason": "explicit", "endedAt": 3.0, "closedAt": None}, first)
    shown({"instance": 2, "closeReason": "timeout", "flags": ["stopWithoutStart"]}, second)


def test_a_stop_time_ends_the_first_visit_unless_it_lies_too_far_ahead() -> None:
    row, second = closes(
        truth(session(stoptime="2026-01-01T00:00:10.500000"), event(9, "heartbeat"), event(11, "heartbeat"))
    )
    shown({"closeReason": "client", "endedAt": 10.5, "closedAt": 10.5, "sessionSeconds": 10.5}, row)
    shown({"startedAt": 11.0, "closeReason": "timeout"}, second)
    shown({"closeReason": "client", "endedAt": 0.0}, close(session(stoptime="2020-01-01T00:00:00Z")))
    shown(
        {"closeReason": "no_activity", "flags": ["stoptimeIgnored"]},
        close(session(stoptime="2026-01-03T00:00:00")),
    )


def test_a_visit_is_open_until_the_clock_has_passed_its_limit() -> None:
    told = (session(), event(5, "heartbeat"))
    assert truth(*told, horizon=BEGAN_AT + 5000 + LIMIT_MS).is_open
    assert not truth(*told, horizon=BEGAN_AT + 5001 + LIMIT_MS).is_open


def test_an_untold_duration_lasts_to_the_first_sign_of_its_end() -> None:
    row = close(
        session(), listen(1, 11, 5), listen(3, 12, 5), listen(4, 13, 6), event(6, "stop_listen"), event(9, "heartbeat")
    )
    shown({"assetSeconds": 2 + 3 + 2, "heardSeconds": 5, "flags": ["estimated", "stopWithoutStart"]}, row)
    assert row["assets"] == [
        {"asset": 5, "plays": 2, "seconds": 5, "estimated": 2},
        {"asset": 6, "plays": 1, "seconds": 2, "estimated": 1},
    ]


def test_durations_are_whole_milliseconds_half_up_and_end_with_the_visit() -> None:
    row = close(
        session(), listen(1, 11, 1, "0.0005"), listen(2, 12, 2, 1.003), listen(3, 13, 3, 60), event(5, "stop_session")
    )
    assert [asset["seconds"] for asset in row["assets"]] == [0.001, 1.003, 2.0]


def test_the_last_change_counts_and_a_deleted_listen_event_does_not() -> None:
    told = (session(), listen(1, 11, 1), listen(1, 12, 2), patch(2, 11, 0.5), patch(3, 11, 1.5), delete(4, 12))
    row = close(*told, event(9, "heartbeat"))
    shown({"assetSeconds": 1.5, "assets": [{"asset": 1, "plays": 1, "seconds": 1.5, "estimated": 0}]}, row)


def test_a_change_in_the_next_visit_revises_the_visit_just_closed_if_its_numbers_change() -> None:
    late = LIMIT + 100
    told = (session(), listen(1, 11, 1), event(20, "heartbeat"))
    rows = closes(truth(*told, patch(late, 11, 4), patch(late + 1, 11, 4), patch(late + 2, 11, 5)))
    assert [row["id"] for row in rows] == ["1:0", "1:1", "1:2", "2:0"]
    assert [row["assetSeconds"] for row in rows] == [19, 4, 5, 0]
    assert [row["flags"] for row in rows[:2]] == [["estimated", "heardAsListening"], ["heardAsListening"]]
    final = closes(truth(*told, event(late, "heartbeat"), patch(2 * late, 11, 4)))
    assert [row["id"] for row in final] == ["1:0", "2:0", "3:0"]
    assert "unknownListen" in final[2]["flags"]


def test_a_start_inside_an_open_interval_does_nothing_and_the_visit_closes_the_last() -> None:
    row = close(
        session(),
        event(1, "resume"),
        event(2, "start_listen"),
        event(4, "pause"),
        event(6, "start_stream"),
        event(9, "heartbeat"),
    )
    shown({"listeningSeconds": 3 + 3, "flags": ["unclosedListening"]}, row)


def step(at: int, client_ms: int | None, *, is_start: bool = True) -> Step:
    return Step(at, at, is_start, client_ms)


def counted(*steps: Step) -> list[tuple[int, int]]:
    return [(one.offset, one.at) for one in in_order(steps, 5_000)]


def test_starts_and_stops_count_in_the_order_of_their_client_within_the_window() -> None:
    assert counted(step(100, 20), step(110, 10)) == [(110, 110), (100, 110)]
    assert counted(step(100, 20), step(5101, 10)) == [(100, 100), (5101, 5101)]
    assert counted(step(100, 20), step(110, None), step(120, 10)) == [(100, 100), (110, 110), (120, 120)]


def test_who_waits_too_long_takes_along_all_that_stand_before_him() -> None:
    assert counted(step(0, 30), step(4000, 20), step(5001, 10)) == [(4000, 4000), (0, 4000), (5001, 5001)]


def test_ten_wait_and_an_eleventh_makes_the_first_leave() -> None:
    late = [step(at, 100 - at) for at in range(11)]
    assert counted(*late)[0] == (10, 10)
    assert counted(*late, step(11, 0))[:2] == [(10, 10), (11, 11)]


def test_a_clock_never_goes_back_within_a_session() -> None:
    assert [record.at - BEGAN_AT for record in heard((session(1), event(0.5, "pause"), event(2, "pause")))] == [
        1000,
        1000,
        2000,
    ]


def test_what_clients_say_about_time_and_place_is_flagged() -> None:
    assert close(session(), event(1, "x", client_time="not a time"))["flags"] == ["unreadableTime"]
    assert close(session(), event(1, "x", client_time="2026-01-01T01:00:00Z"))["flags"] == [
        "clockSkew",
    ]
    iphone = session(timezone="+0100")
    assert close(iphone, event(1, "x", client_time="2026-01-01T01:00:00"))["flags"] == []
    assert close(session(), event(1, "x", client_time="2026-01-01 00:00:02.+0000"))["flags"] == []
    for latitude in ("north", "91", "nan", "1e400"):
        row = close(session(), event(1, "location_update", latitude=latitude, longitude="3"))
        assert row["flags"] == ["badPosition"]
        assert "firstPosition" not in row


def test_an_event_that_came_again_within_seconds_is_flagged_and_counts() -> None:
    row = close(session(), event(1, "vote_asset"), event(6, "vote_asset"))
    shown({"flags": ["repeated"], "eventsByType": {"session.start": 1, "contribution": 2}}, row)
    assert "repeated" not in close(session(), event(1, "vote_asset"), event(6.001, "vote_asset"))["flags"]


def test_a_heartbeat_tells_what_was_so_after_as_many_records() -> None:
    known = truth(session(), event(1, "play_stream"), listen(2, 11, 1), event(7, "pause_stream"), patch(8, 11, 3))
    row = plain(known.heartbeat(known.visits[0], 3, 5))
    assert row["_id"].endswith(":heartbeat:5:0")
    shown({"listeningSeconds": 1.0, "assetSeconds": 0.0, "flags": ["estimated"]}, row["roundware"])
    assert row["mediabeat"]["extras"] == {"foldedEvents": 3}


def test_the_shared_device_is_nobody() -> None:
    row = close(session(device="00000000000000"))
    shown({"identity": {}, "flags": ["sharedDevice"]}, row)
    assert close(session())["identity"] == {"visitorId": "a device"}


def test_a_union_counts_what_overlaps_once() -> None:
    assert union_ms([(10, 20), (15, 30), (16, 18), (40, 40), (50, 51)]) == 21


def test_an_untold_duration_ends_where_a_stop_happens_not_where_it_counts() -> None:
    """The stop counts after the start that overtook it; what plays was over when it came."""
    row = close(
        session(),
        listen(1, 11, 5),
        event(2, "pause", client_time="2026-01-01T00:00:03Z"),
        event(4, "resume", client_time="2026-01-01T00:00:02Z"),
        event(9, "heartbeat"),
    )
    shown({"assetSeconds": 1.0, "listeningSeconds": 0.0}, row)


def test_a_deleted_play_ends_nothing() -> None:
    row = close(session(), listen(1, 11, 5), listen(2, 12, 5), delete(3, 12), event(9, "heartbeat"))
    shown({"assetSeconds": 8.0}, row)
