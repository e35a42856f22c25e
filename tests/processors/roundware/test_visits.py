"""Where a visit begins and ends, and why."""

import pytest

from processors.roundware.rules import RoundwareRules
from schemas.roundware import Event
from tests.processors.partition import SECOND, T0
from tests.processors.roundware.listening import QUIET, SID, Rounds, seconds

IDLE = 1800


def own(row: dict) -> dict:
    return row["mediabeat"]


def test_a_session_that_does_nothing_more_had_no_activity_and_no_time() -> None:
    rounds = Rounds()
    rounds.open(1)
    rounds.fold()
    rounds.wait(IDLE + 1)
    assert not rounds.closes()
    rounds.wait(IDLE + 1.002)
    close = rounds.close()
    assert own(close)["closeReason"] == "no_activity"
    assert (own(close)["startedAt"], own(close)["endedAt"]) == (T0 + SECOND, T0 + SECOND)
    assert own(close)["closedAt"] == seconds(1 + IDLE)
    assert close["roundware"]["sessionSeconds"] == 0
    assert close["_id"] == f"{SID}:session-close:1:0"


def test_silence_ends_a_visit_at_its_last_record_whenever_that_is_found_out() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("heartbeat", 88.123)
    rounds.tell("heartbeat", 88.123 + IDLE + 0.001)
    rounds.fold()
    [close] = rounds.closes()
    assert own(close)["closeReason"] == "timeout"
    assert own(close)["endedAt"] == own(close)["receivedAt"] == seconds(88.123)
    assert own(close)["closedAt"] == seconds(88.123 + IDLE)
    assert close["timestamp"] == "2026-01-01T00:01:28.123Z"
    assert close["roundware"]["sessionSeconds"] == 88.123
    assert [own(row)["instance"] for row in rounds.rows("session-start")] == [1, 2]


def test_silence_of_exactly_the_limit_ends_nothing() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("heartbeat", IDLE)
    rounds.fold()
    assert len(rounds.rows("session-start")) == 1


@pytest.mark.parametrize("word", ["stop_session", "cleanup_session"])
def test_a_word_of_the_client_ends_a_visit_where_it_stands(word: str) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell(word, 60)
    rounds.fold()
    close = rounds.close()
    assert own(close)["closeReason"] == "explicit"
    assert own(close)["endedAt"] == seconds(60)
    assert "closedAt" not in own(close)
    assert close["roundware"]["eventsByType"] == {"session.end": 1, "session.start": 1}


def test_whatever_comes_after_the_end_opens_the_next_visit() -> None:
    """Vector 40, and the fallback of a client that goes on with an old number."""
    rounds = Rounds()
    rounds.open()
    listen = rounds.hear(1, 1)
    rounds.tell("stop_session", 2)
    rounds.tell("heartbeat", 2.5)
    rounds.tell("stop_session", 3)
    rounds.heard(listen, "1", 4)
    rounds.tell("stop_session", 5)
    rounds.hear(7, 6)
    rounds.fold()
    rounds.wait(3 * IDLE)
    closes = [row for row in rounds.closes() if own(row)["revision"] == 0]
    assert [own(row)["instance"] for row in closes] == [1, 2, 3, 4]
    assert [own(row)["closeReason"] for row in closes] == ["explicit", "explicit", "explicit", "timeout"]
    assert [own(row)["instance"] for row in rounds.rows("session-start")] == [1, 2, 3, 4]
    assert all(own(row)["startedAt"] <= own(row)["endedAt"] for row in closes)


def test_an_event_long_after_the_limit_is_a_second_visit_of_the_same_session() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 10)
    rounds.fold()
    rounds.wait(2 * IDLE)
    rounds.tell("pause_stream", 3 * IDLE)
    rounds.fold()
    rounds.wait(5 * IDLE)
    first, second = rounds.closes()
    assert first["roundware"]["listeningSeconds"] == 0  # the listening that was open ends with the visit's last record
    assert first["roundware"]["flags"] == ["unclosedListening"]
    assert second["_id"] == f"{SID}:session-close:2:0"
    assert own(second)["closeReason"] == "timeout"
    assert second["roundware"]["flags"] == ["stopWithoutStart"]


def test_a_streams_heartbeat_moves_the_last_activity_and_is_listed() -> None:
    """Vector 47."""
    rounds = Rounds()
    rounds.open()
    event = rounds.tell("heartbeat", IDLE, route="streams")
    rounds.fold()
    rounds.wait(2 * IDLE)
    assert not rounds.closes()
    rounds.wait(2 * IDLE + 0.002)
    close = rounds.close()
    assert own(close)["endedAt"] == seconds(IDLE)
    assert close["roundware"]["eventsByType"] == {"ping": 1, "session.start": 1}
    listed = rounds.shown()[f"{SID}/e:{event}"]
    assert isinstance(listed, Event)
    assert (listed.event_type, listed.route) == ("heartbeat", "streams")


def test_a_stoptime_given_at_creation_ends_the_first_visit_and_silence_does_not() -> None:
    rounds = Rounds()
    rounds.open(stoptime="2026-01-01T02:00:00")
    rounds.tell("play_stream", 10)
    rounds.fold()
    rounds.wait(2 * 3600)
    assert not rounds.closes()
    rounds.tell("heartbeat", 2 * 3600)
    rounds.tell("heartbeat", 2 * 3600 + 0.001)
    rounds.fold()
    close = rounds.close()
    assert own(close)["closeReason"] == "client"
    assert own(close)["endedAt"] == own(close)["closedAt"] == seconds(7200)
    assert close["roundware"]["listeningSeconds"] == 7190
    assert close["roundware"]["eventsByType"]["ping"] == 1
    rounds.wait(7200 + IDLE + 1)
    assert own(rounds.closes()[1])["closeReason"] == "timeout"


def test_a_word_of_the_client_goes_before_a_stoptime() -> None:
    rounds = Rounds()
    rounds.open(stoptime="2026-01-01T02:00:00")
    rounds.tell("stop_session", 10)
    rounds.fold()
    rounds.wait(3 * 3600)
    assert own(rounds.close())["closeReason"] == "explicit"


def test_a_stoptime_before_the_start_ends_the_visit_there() -> None:
    rounds = Rounds()
    rounds.open(5, stoptime="2025-12-31T23:00:00")
    rounds.tell("heartbeat", 6)
    rounds.fold()
    close = rounds.close()
    assert (own(close)["closeReason"], own(close)["endedAt"]) == ("client", seconds(5))
    assert len(rounds.rows("session-start")) == 2


def test_a_stoptime_more_than_a_day_ahead_is_not_believed() -> None:
    rounds = Rounds()
    rounds.open(stoptime="2026-01-02T00:00:00.001000")
    rounds.fold()
    rounds.wait(IDLE + 1)
    close = rounds.close()
    assert own(close)["closeReason"] == "no_activity"
    assert close["roundware"]["flags"] == ["stoptimeIgnored"]


def test_a_start_row_tells_of_the_session_and_the_visit() -> None:
    rounds = Rounds()
    rounds.open(1, timezone="-0500")
    rounds.fold()
    [row] = rounds.rows("session-start")
    assert row["_id"] == f"{SID}:session-start:1:0"
    assert row["timestamp"] == "2026-01-01T00:00:01.000Z"
    assert row["eventType"] == "media.sessionStart"
    assert row["mediaReporting"]["sessionDetails"] == {
        "ID": SID,
        "streamType": "audio",
        "pev3": "audio",
        "playerName": "web",
        "isViewed": True,
    }
    assert own(row)["identity"] == {"visitorId": "4f1c-device"}
    assert own(row)["source"] == "roundware"
    assert row["roundware"] == {
        "visit": 1,
        "session": {
            "projectId": 1,
            "userId": 7_000_001,
            "deviceId": "4f1c-device",
            "clientType": "web",
            "clientSystem": "Firefox",
            "timezone": "-0500",
            "utcOffsetMinutes": -300,
            "language": "en",
            "languageId": 1,
            "geoListenEnabled": True,
            "demoStreamEnabled": False,
        },
    }


def test_two_doors_whose_clocks_differ_never_turn_a_session_back() -> None:
    rounds = Rounds()
    rounds.open(10)
    rounds.tell("play_stream", 12)
    rounds.tell("pause_stream", 11.9)
    rounds.tell("stop_session", 11.8)
    rounds.tell("heartbeat", 11.7)
    rounds.fold()
    close = rounds.close()
    assert own(close)["endedAt"] == seconds(12)
    assert own(close)["receivedAt"] == seconds(11.8)
    assert close["roundware"]["listeningSeconds"] == 0
    assert own(rounds.rows("session-start")[1])["startedAt"] == seconds(12)


def test_a_door_whose_clock_is_far_ahead_is_believed_two_seconds() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("heartbeat", 3600, appended=T0 + 10 * SECOND)
    rounds.tell("stop_session", 13)
    rounds.fold()
    close = rounds.close()
    assert own(close)["endedAt"] == seconds(13)
    assert close["roundware"]["eventsByType"]["ping"] == 1


def test_the_device_of_everybody_is_no_visitor() -> None:
    rounds = Rounds()
    rounds.open(device="0" * 14)
    rounds.fold()
    rounds.wait(IDLE + 1)
    close = rounds.close()
    assert own(close)["identity"] == {}
    assert close["roundware"]["session"]["deviceId"] == "0" * 14
    assert close["roundware"]["flags"] == ["sharedDevice"]


def test_a_second_session_record_changes_nothing() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.open(5)
    rounds.fold()
    rounds.wait(IDLE + 5)
    assert rounds.counts.duplicates == 1
    assert rounds.close()["roundware"]["eventsByType"] == {"session.start": 1}


def test_a_longer_limit_than_when_its_state_was_written_holds_for_an_open_visit() -> None:
    rounds = Rounds(listening=RoundwareRules(idle_timeout_ms=60_000, heartbeat_interval_ms=0))
    rounds.open()
    rounds.fold()
    rounds.listening = QUIET
    rounds.restart()
    rounds.wait(IDLE)
    assert not rounds.closes()
    rounds.wait(IDLE + 0.001)
    assert own(rounds.close())["closedAt"] == seconds(IDLE)
