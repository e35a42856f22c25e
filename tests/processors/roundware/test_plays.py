"""Listen events: how long each asset played, what is estimated, and what a late word still changes."""

from typing import Any

import pytest

from schemas.roundware import Listen
from tests.processors.roundware.listening import SID, Rounds, seconds

IDLE = 1800


def asset(number: int, plays: int, length: float, estimated: int = 0) -> dict[str, Any]:
    return {"asset": number, "plays": plays, "seconds": length, "estimated": estimated}


def ended(rounds: Rounds, at: float) -> dict[str, Any]:
    """The numbers of a visit that its client ends at `at`."""
    rounds.tell("stop_session", at)
    rounds.fold()
    return rounds.block()


def test_a_whole_run_gives_its_listening_time_one_asset_and_its_seconds() -> None:
    """Vector 48."""
    rounds = Rounds()
    rounds.open()
    rounds.tell("start_session", 0.1, client_time="2026-01-01T00:00:00.050Z")
    rounds.tell("play_stream", 0.5, client_time="2026-01-01T00:00:00.450Z")
    rounds.tell("location_update", 0.6, latitude=1.5, longitude=2.5)
    rounds.tell("filter_stream", 0.7, tags=(3, 8))
    listen = rounds.hear(11, 1)
    rounds.heard(listen, "1.2", 2.21)
    rounds.tell("pause_stream", 2.4, client_time="2026-01-01T00:00:02.350Z")
    rounds.fold()
    rounds.wait(IDLE + 3)
    block = rounds.block()
    del block["session"]
    assert block == {
        "visit": 1,
        "sessionSeconds": 2.4,
        "listeningSeconds": 1.9,
        "heardSeconds": 1.2,
        "assetSeconds": 1.2,
        "assets": [asset(11, 1, 1.2)],
        "eventsByType": {
            "filter": 1,
            "item.end": 1,
            "item.start": 1,
            "note": 1,
            "pause": 1,
            "play": 1,
            "position": 1,
            "session.start": 1,
        },
        "firstPosition": {"latitude": 1.5, "longitude": 2.5},
        "lastPosition": {"latitude": 1.5, "longitude": 2.5},
        "distanceMeters": 0,
    }


def test_seconds_of_assets_add_up_and_what_was_heard_is_their_union() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 0)
    rounds.hear(1, 10, "20")
    rounds.hear(2, 15, "5")
    rounds.hear(3, 25, "10")
    rounds.hear(1, 50, "1.0004")
    rounds.hear(1, 60, "0.0005")
    block = ended(rounds, 100)
    assert block["assetSeconds"] == 36.001
    assert block["heardSeconds"] == 26.001
    assert block["assets"] == [asset(1, 3, 21.001), asset(2, 1, 5), asset(3, 1, 10)]
    assert block["listeningSeconds"] == 100


def test_a_play_is_clipped_to_its_visit() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.hear(1, 10, "5000")
    block = ended(rounds, 60)
    assert (block["assetSeconds"], block["heardSeconds"]) == (50, 50)


@pytest.mark.parametrize(
    ("then", "expected"), [("same", 4), ("other", 50), ("pause_stream", 7), ("play_stream", 50), ("nothing", 50)]
)
def test_a_play_of_unknown_length_lasts_until_the_next_of_its_asset_a_stop_or_the_end(
    then: str, expected: float
) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 1)
    rounds.hear(1, 10)
    if then in {"same", "other"}:
        rounds.hear(1 if then == "same" else 2, 14, "0")
    elif then != "nothing":
        rounds.tell(then, 17)
        rounds.tell("pause_stream", 60)
    block = ended(rounds, 60)
    assert block["assets"][0]["seconds"] == expected
    assert block["assets"][0]["estimated"] == 1
    assert "estimated" in block["flags"]


def test_the_last_duration_told_replaces_the_others_and_an_estimate() -> None:
    rounds = Rounds()
    rounds.open()
    listen = rounds.hear(1, 10)
    rounds.tell("pause_stream", 12)
    rounds.heard(listen, "3.5", 15)
    rounds.heard(listen, "20.25", 32)
    rounds.heard(listen, None, 33)
    block = ended(rounds, 60)
    assert block["assets"] == [asset(1, 1, 20.25)]
    assert block["eventsByType"]["item.end"] == 3
    assert block["flags"] == ["stopWithoutStart"]


def test_without_starts_and_stops_what_was_heard_is_the_listening() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.hear(1, 10, "20")
    rounds.hear(2, 20, "20")
    block = ended(rounds, 60)
    assert block["listeningSeconds"] == block["heardSeconds"] == 30
    assert block["flags"] == ["heardAsListening"]


def test_a_deleted_play_counts_in_no_sum() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 5)
    listen = rounds.hear(1, 10, "20")
    rounds.forget(listen, 15)
    rounds.heard(listen, "5", 16)
    block = ended(rounds, 60)
    assert (block["assetSeconds"], block["heardSeconds"], block["assets"]) == (0, 0, [])
    assert block["eventsByType"] | {"item.start": 1, "item.delete": 1, "item.end": 1} == block["eventsByType"]
    assert block["flags"] == ["unclosedListening", "unknownListen"]


def test_a_deleted_play_does_not_end_the_one_before_it() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.hear(1, 5)
    deleted = rounds.hear(1, 10)
    rounds.forget(deleted, 11)
    rounds.hear(1, 15, "1")
    assert ended(rounds, 60)["assets"] == [asset(1, 2, 11, 1)]


@pytest.mark.parametrize(("word", "route", "closed"), [("kill", "streams", 1), ("kill", "events", 0)])
def test_the_kill_of_a_stream_ends_a_visit_and_an_event_of_that_name_does_not(
    word: str, route: str, closed: int
) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell(word, 5, route=route)
    rounds.fold()
    assert len(rounds.closes()) == closed


def closed_visit(rounds: Rounds) -> int:
    """A visit with one play of unknown length, ended at 100 s; the number of the play."""
    rounds.open()
    rounds.tell("play_stream", 1)
    listen = rounds.hear(1, 10)
    rounds.tell("stop_session", 100)
    return listen


def test_a_late_duration_makes_a_revision_of_the_visit_before_and_is_a_record_of_the_next() -> None:
    rounds = Rounds()
    listen = closed_visit(rounds)
    rounds.heard(listen, "30", 110)
    rounds.heard(listen, "30.000", 111)
    rounds.heard(listen, "5000", 112)
    rounds.heard(listen, "6000", 113)
    rounds.fold()
    rounds.wait(2 * IDLE)
    rows = rounds.closes()
    assert [row["_id"] for row in rows] == [f"{SID}:session-close:{end}" for end in ("1:0", "1:1", "1:2", "2:0")]
    assert [row["roundware"]["assetSeconds"] for row in rows] == [90, 30, 90, 0]
    assert "estimated" in rows[0]["roundware"]["flags"]
    assert "estimated" not in rows[2]["roundware"]["flags"]
    assert [row["mediabeat"]["endedAt"] for row in rows[:3]] == [seconds(100)] * 3
    assert [row["mediabeat"]["receivedAt"] for row in rows[:3]] == [seconds(100), seconds(110), seconds(112)]
    assert rows[3]["roundware"]["eventsByType"] == {"item.end": 4}


def test_a_late_deletion_makes_a_revision_too() -> None:
    rounds = Rounds()
    listen = closed_visit(rounds)
    rounds.forget(listen, 110)
    rounds.fold()
    assert [row["roundware"]["assets"] for row in rounds.closes()] == [[asset(1, 1, 90, 1)], []]


def test_a_visit_is_final_once_the_next_one_is_closed() -> None:
    rounds = Rounds()
    listen = closed_visit(rounds)
    rounds.tell("stop_session", 120)
    rounds.heard(listen, "30", 130)
    rounds.tell("stop_session", 140)
    rounds.fold()
    assert [row["mediabeat"]["revision"] for row in rounds.closes()] == [0, 0, 0]
    assert rounds.closes()[2]["roundware"]["flags"] == ["unknownListen"]
    shown = rounds.shown()[f"{SID}/l:{listen}"]
    assert isinstance(shown, Listen)
    assert (shown.duration_seconds, shown.updates) == ("30", 1)


def test_after_a_hundred_revisions_a_row_is_final() -> None:
    rounds = Rounds()
    listen = closed_visit(rounds)
    for number in range(150):
        rounds.heard(listen, f"{1 + number % 7}", 110 + number)
    rounds.fold()
    assert [row["mediabeat"]["revision"] for row in rounds.closes()] == list(range(101))


def test_positions_repeats_and_words_nobody_knows_are_noted() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("move_listener", 1, latitude=42.0, longitude=-71.0)
    rounds.tell("location_update", 2, quality=("badPosition",))
    rounds.tell("location_update", 3, latitude=42.0, longitude=-71.01)
    rounds.tell("location_update", 4, latitude=42.01, longitude=-71.01)
    for at in (10, 15, 20.1, 25.2):
        rounds.tell("vote_asset", at, data="same")
    rounds.tell("Heartbeat", 40, quality=("badTags",))
    rounds.tell("share_map", 41)
    block = ended(rounds, 60)
    assert block["firstPosition"] == {"latitude": 42.0, "longitude": -71.0}
    assert block["lastPosition"] == {"latitude": 42.01, "longitude": -71.01}
    assert block["distanceMeters"] == 1938  # 826.3 m along a parallel, 1111.9 m along a meridian
    assert block["flags"] == ["badPosition", "badTags", "repeated"]
    assert block["eventsByType"] == {"contribution": 4, "other": 2, "position": 4, "session.end": 1, "session.start": 1}


def test_an_event_is_repeated_only_within_five_seconds() -> None:
    rounds = Rounds()
    rounds.open()
    for at in (10, 15.001, 20.002):
        rounds.tell("vote_asset", at, data="same")
    rounds.tell("vote_asset", 21, data="other")
    rounds.tell("share_map", 22, data="same")
    assert "flags" not in ended(rounds, 60)
