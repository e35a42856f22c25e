"""How long somebody listened: starts and stops, and those that overtook each other on their way."""

import pytest

from processors.roundware.reading import client_ms
from processors.roundware.rules import RoundwareRules
from tests.processors.roundware.listening import Rounds, seconds

IDLE = 1800
STARTS = ["play_stream", "start_listen", "start_stream", "resume", "request_stream"]
STOPS = ["pause_stream", "stop_listen", "stop_stream", "pause"]


def utc(at: float) -> str:
    """A client's clock that shows `at` seconds after midnight."""
    return f"2026-01-01T00:{int(at) // 60:02}:{at % 60:06.3f}Z"


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("stop", STOPS)
def test_listening_is_from_a_start_to_the_next_stop(start: str, stop: str) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell(start, 10)
    rounds.tell(stop, 25.5)
    rounds.tell(start, 30)
    rounds.tell(stop, 31.25)
    rounds.tell("stop_session", 40)
    rounds.fold()
    block = rounds.block()
    assert block["listeningSeconds"] == 16.75
    assert block["sessionSeconds"] == 40
    assert "flags" not in block


def test_a_start_while_listening_does_nothing() -> None:
    rounds = Rounds()
    rounds.open()
    for at in (10, 12, 14):
        rounds.tell("play_stream", at)
    rounds.tell("pause_stream", 20)
    rounds.tell("stop_session", 40)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 10


def test_a_stop_without_a_start_counts_nothing_and_is_flagged() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("pause_stream", 5)
    rounds.tell("play_stream", 10)
    rounds.tell("pause_stream", 20)
    rounds.tell("pause_stream", 30)
    rounds.tell("stop_session", 40)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 10
    assert rounds.block()["flags"] == ["stopWithoutStart"]


@pytest.mark.parametrize(("how", "end"), [("stop_session", 90), ("heartbeat", 90)])
def test_listening_that_is_open_ends_with_the_visit(how: str, end: int) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 10)
    rounds.tell(how, end)
    rounds.fold()
    rounds.wait(2 * IDLE)
    assert rounds.block()["listeningSeconds"] == 80
    assert rounds.block()["flags"] == ["unclosedListening"]
    details = rounds.close()["mediaReporting"]["sessionDetails"]
    assert (details["timePlayed"], details["totalTimePlayed"], details["isPlayed"]) == (80, 80, True)


def test_a_stop_that_overtook_its_start_is_put_behind_it() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("pause_stream", 20.1, client_time=utc(20))
    rounds.tell("play_stream", 20.3, client_time=utc(10))
    rounds.tell("stop_session", 60)
    rounds.fold()
    # The start counts where it arrived, and the stop not before it: nothing was listened that can be proved.
    assert rounds.block()["listeningSeconds"] == 0
    assert "flags" not in rounds.block()


def test_what_arrives_more_than_the_window_later_is_not_put_before() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("pause_stream", 20, client_time=utc(20))
    rounds.tell("play_stream", 25.001, client_time=utc(10))
    rounds.tell("stop_session", 60)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 34.999
    assert rounds.block()["flags"] == ["stopWithoutStart", "unclosedListening"]


def test_what_has_waited_long_enough_takes_along_what_stands_before_it() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 10, client_time=utc(50))
    rounds.tell("pause_stream", 12, client_time=utc(40))  # stands before the start, which leaves below
    rounds.tell("pause_stream", 15.5, client_time=utc(30))
    rounds.tell("stop_session", 60)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 3.5  # 12 (not before the stop that left first) to 15.5
    assert rounds.block()["flags"] == ["stopWithoutStart"]


def test_a_clock_that_cannot_be_read_makes_all_that_wait_leave() -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("play_stream", 10, client_time=utc(50))
    rounds.tell("pause_stream", 12, client_time="noon")
    rounds.tell("play_stream", 12.5, client_time=utc(1))
    rounds.tell("pause_stream", 13.5, client_time=utc(2))
    rounds.tell("stop_session", 60)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 3
    assert rounds.block()["flags"] == ["unreadableTime"]


def test_events_of_one_client_second_keep_their_order() -> None:
    rounds = Rounds()
    rounds.open()
    for at, word in ((10, "play_stream"), (10.2, "pause_stream"), (10.3, "play_stream"), (10.8, "pause_stream")):
        rounds.tell(word, at, client_time="2026-01-01T00:00:10")
    rounds.tell("stop_session", 60)
    rounds.fold()
    assert rounds.block()["listeningSeconds"] == 0.7


def test_more_than_ten_do_not_wait() -> None:
    rounds = Rounds()
    rounds.open()
    for number in range(8):
        rounds.tell("play_stream", 10 + number / 10, client_time=utc(30 + 2 * number))
        rounds.tell("pause_stream", 10.05 + number / 10, client_time=utc(31 + 2 * number))
    rounds.tell("play_stream", 11, client_time=utc(1))
    rounds.tell("stop_session", 60)
    rounds.fold()
    # Three pairs have left when the start of clock 1 comes, which stands before all that wait and leaves as the eleventh:
    # it counts at its own moment, 11, and what waits counts not before it, so that the first stop ends it at once.
    assert rounds.block()["listeningSeconds"] == 0.15


@pytest.mark.parametrize(
    ("text", "timezone", "expected"),
    [
        ("2026-11-21T03:56:37.422Z", None, 1795233397422),
        ("2026-11-21T03:56:37.422999Z", None, 1795233397422),
        ("2015-03-13T13:00:09", "-0500", 1426269609000),
        ("2015-03-13T13:00:09", "0530", 1426231809000),
        ("2015-03-13T13:00:09", "-8000", None),
        ("2015-03-13T13:00:09", None, None),
        ("2012-01-09 00:42:02.+0000", "-8000", 1326069722000),
        ("2012-01-09 00:42:02.5+01:30", None, 1326064322500),
        (" 2012-01-09T00:42:02Z ", None, 1326069722000),
        ("2012-13-09T00:42:02Z", None, None),
        ("2012-01-09T00:42:02+1500", None, None),
        ("not a time", "0000", None),
        ("", "0000", None),
    ],
)
def test_a_clients_clock_is_read_in_three_forms(text: str, timezone: str | None, expected: int | None) -> None:
    assert client_ms(text, timezone) == expected


@pytest.mark.parametrize(
    ("client", "flags"),
    [(utc(0), None), ("2026-01-01T00:05:01Z", ["clockSkew"]), ("x", ["unreadableTime"]), ("", None), (None, None)],
)
def test_a_clients_clock_is_compared_with_ours(client: str | None, flags: list[str] | None) -> None:
    rounds = Rounds()
    rounds.open()
    rounds.tell("heartbeat", 0, client_time=client)
    rounds.tell("stop_session", 1)
    rounds.fold()
    assert rounds.block().get("flags") == flags


def test_the_numbers_so_far_are_told_at_a_commit_after_the_interval() -> None:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=30_000))
    rounds.open()
    rounds.tell("play_stream", 10)
    rounds.fold()
    rounds.tell("heartbeat", 29.999)
    rounds.fold()
    assert not rounds.rows("heartbeat")
    rounds.tell("location_update", 30)
    rounds.fold()
    [beat] = rounds.rows("heartbeat")
    assert beat["_id"] == f"{beat['mediabeat']['sessionId']}:heartbeat:1:0"
    assert beat["mediabeat"]["final"] is False
    assert beat["mediabeat"]["extras"] == {"foldedEvents": 4}
    assert beat["mediabeat"]["endedAt"] == seconds(30)
    assert beat["roundware"]["listeningSeconds"] == 20
    assert beat["roundware"]["sessionSeconds"] == 30
    assert "flags" not in beat["roundware"]
    rounds.tell("pause_stream", 31)
    rounds.tell("stop_session", 70)
    rounds.fold()
    rounds.tell("play_stream", 71)
    rounds.tell("heartbeat", 101)
    rounds.fold()
    beats = rounds.rows("heartbeat")
    assert [row["mediabeat"]["instance"] for row in beats] == [1, 2]
    assert beats[1]["roundware"]["visit"] == 2
    assert beats[1]["roundware"]["listeningSeconds"] == 30
