"""The fleet's truth on arrival: the reorder window, ties, duplicates, timeouts, batches and revisions (topics.md 3)."""

from deploy.fleet.outcome import Timeouts
from deploy.fleet.truth import SessionTruth
from deploy.fleet.truth_records import read_partition
from tests.deploy.fleet_streams import (
    BEGAN_AT,
    SID,
    ad,
    ad_break,
    ads,
    chapter,
    chapters,
    close,
    record,
    rows,
    spoken,
    start,
    state,
    truth,
)

PARALLEL = {"libraryVersion": "js-3.1.0"}


def arrivals(*received: tuple[float, dict], timeouts: Timeouts | None = None, **params) -> SessionTruth:
    """A session whose events were received at these seconds after its start."""
    records = [
        record(0, BEGAN_AT, start(**params)),
        *(record(n, BEGAN_AT + round(at * 1000), document) for n, (at, document) in enumerate(received, 1)),
    ]
    return SessionTruth(read_partition(0, records), timeouts or Timeouts())


def test_events_inside_the_window_count_in_the_order_of_their_ts() -> None:
    session = arrivals(
        (0.1, spoken(10, "pauseStart", 10)),
        (0.2, spoken(0, "play", 0)),
        (0.3, spoken(30, "sessionEnd", 10)),
        (0.4, spoken(20, "play", 10)),
    )
    assert (close(session)["timePlayed"], close(session)["pauseTime"]) == (20, 10)


def test_an_event_later_than_the_window_folds_where_the_session_stands_and_is_flagged() -> None:
    session = arrivals(
        (0.1, spoken(0, "play", 0)),
        (0.2, spoken(20, "ping", 20)),
        (6, spoken(30, "ping", 30)),
        (12, spoken(10, "error", 40)),
        (12.1, spoken(40, "sessionEnd", 40)),
    )
    assert close(session)["timePlayed"] == 40
    assert close(session)["flags"] == ["clockSkew"]


def test_an_eleventh_waiting_event_pushes_the_first_out() -> None:
    pings = [(0.1, spoken(10 + n, "ping", n)) for n in range(11)]
    session = arrivals(
        (0, spoken(0, "play", 0)), *pings, (0.2, spoken(1, "pauseStart", 1)), (0.3, spoken(30, "sessionEnd", 30))
    )
    assert close(session)["flags"] == ["clockSkew"]  # the ping at 10 had gone: the pause at 1 comes too late


def test_ties_of_a_parallel_client_go_by_rank_and_of_a_serial_one_by_arrival() -> None:
    def content_starts(**params) -> bool:
        session = arrivals(
            (0.1, spoken(0, "play", 0)),
            (0.2, spoken(0, "adStart", 0, ad("a"))),
            (0.3, spoken(0, "adBreakStart", 0, ad_break())),
            (0.4, spoken(15, "sessionEnd", 0)),
            **params,
        )
        return "isPlayed" in close(session)

    assert not content_starts(**PARALLEL)
    assert content_starts(libraryVersion="ios-media-5.0.1")


def test_a_complete_of_what_opened_at_the_same_ts_follows_its_start() -> None:
    session = arrivals(
        (0.1, spoken(0, "adBreakStart", 0, ad_break())),
        (0.2, spoken(5, "adComplete", 0)),
        (0.3, spoken(5, "adStart", 0, ad("a"))),
        (0.4, spoken(9, "sessionEnd", 0)),
        **PARALLEL,
    )
    assert ads(session) == [("a", 0, "complete")]


def test_a_repeated_event_changes_nothing() -> None:
    error = spoken(5, "error", 5)
    session = arrivals((0.1, spoken(0, "play", 0)), (0.2, error), (0.3, error), (0.4, spoken(9, "sessionEnd", 9)))
    assert close(session)["errorCount"] == 1
    assert len(session.folded) == 3
    assert session.rejects == []


def test_a_repeated_pause_around_an_ad_boundary_is_meant() -> None:
    pause = spoken(5, "pauseStart", 5)
    session = arrivals(
        (0.1, spoken(0, "play", 0)),
        (0.2, pause),
        (0.3, spoken(5, "adBreakStart", 5, ad_break())),
        (0.4, spoken(5, "adStart", 5, ad("a"))),
        (0.5, pause),
        (0.6, spoken(15, "sessionEnd", 5)),
    )
    assert close(session)["pauseTime"] == 10
    assert close(session)["pauseCount"] == 1
    assert ads(session) == [("a", 0, "sessionEnd")]


def test_events_after_the_end_are_rejected_and_its_repeat_is_not() -> None:
    end = spoken(9, "sessionEnd", 9)
    session = arrivals(
        (0.1, spoken(0, "play", 0)),
        (0.2, end),
        (0.3, spoken(10, "ping", 10)),
        (0.4, end),
        (9, spoken(11, "ping", 10)),
        (9.1, end),
    )
    assert [(reject.event.offset, reject.code) for reject in session.rejects] == [
        (3, "session_closed"),
        (5, "session_closed"),
    ]
    assert len(rows(session, "session-close")) == 1


def test_silence_closes_at_the_last_event_and_rejects_what_comes_after() -> None:
    session = arrivals(
        (0.1, spoken(0, "adBreakStart", 0, ad_break())),
        (0.2, spoken(0, "adStart", 0, ad("a"))),
        (1, spoken(7, "ping", 0)),
        (1 + 660.001, spoken(20, "ping", 0)),
    )
    row = rows(session, "session-close")[0]
    assert (row["mediabeat"]["closeReason"], row["mediabeat"]["closedAt"]) == ("timeoutIdle", BEGAN_AT + 601_000)
    assert row["mediabeat"]["endedAt"] == BEGAN_AT + 7000
    assert row["mediabeat"]["receivedAt"] == BEGAN_AT + 1000
    assert row["mediaReporting"]["sessionDetails"]["secondsSinceLastCall"] == 600
    assert ads(session) == [("a", 7, "timeout")]
    assert [reject.event.offset for reject in session.rejects] == [4]


def test_a_gap_of_exactly_the_timeout_and_its_grace_is_not_yet_silence() -> None:
    session = arrivals((0.5, spoken(0, "play", 0)), (660.5, spoken(20, "sessionEnd", 20)))
    assert close(session)["closeReason"] == "end"


def test_a_playhead_that_stands_too_long_closes_before_the_event_that_shows_it() -> None:
    session = arrivals(
        (0.1, spoken(0, "play", 0)),
        (0.2, spoken(10, "pauseStart", 10)),
        (0.3, spoken(1000, "ping", 10)),
        (0.4, spoken(1870, "ping", 10)),
        (0.5, spoken(1870.5, "ping", 10)),
    )
    assert (close(session)["closeReason"], close(session)["pauseTime"]) == ("timeoutStill", 1860)
    assert rows(session, "session-close")[0]["mediabeat"]["closedAt"] == BEGAN_AT + 1_810_000
    assert [reject.event.offset for reject in session.rejects] == [5]


def test_the_cap_closes_however_lively_the_session_is() -> None:
    pings = [(n * 3, spoken(n, "ping", n)) for n in range(1, 6)]
    session = arrivals((0.1, spoken(0, "play", 0)), *pings, timeouts=Timeouts(cap=10_000, grace=1000))
    assert close(session)["closeReason"] == "cap24h"
    assert [reject.event.offset for reject in session.rejects] == [5, 6]


def test_a_session_without_events_says_so() -> None:
    session = arrivals()
    assert close(session)["flags"] == ["noEvents"]
    assert close(session)["closeReason"] == "timeoutIdle"


def test_a_replay_goes_out_as_one_revision_and_a_mere_end_as_none() -> None:
    watched = ((0, "play", 0), (10, "sessionComplete", 10))
    ended = truth(start(), *watched, (11, "ping", 10), (12, "sessionEnd", 10))
    assert len(rows(ended, "session-close")) == 1
    replayed = truth(start(), *watched, (12, "play", 0), (17, "sessionComplete", 5), (18, "sessionEnd", 5))
    first, second = rows(replayed, "session-close")
    assert (first["_id"], second["_id"]) == (f"{SID}:session-close:1:0", f"{SID}:session-close:1:1")
    assert second["mediaReporting"]["sessionDetails"]["timePlayed"] == 15
    cut_off = truth(start(), *watched, (12, "play", 0), (17, "ping", 5))
    assert [row["mediabeat"]["closeReason"] for row in rows(cut_off, "session-close")] == ["complete", "complete"]


def test_a_stall_found_late_revises_the_chapter() -> None:
    session = truth(
        start(600),
        (0, "play", 0),
        (0, "chapterStart", 0, chapter()),
        (20, "ping", 20),
        (25, "chapterComplete", 20),
        (30, "ping", 20),
        (40, "sessionEnd", 30),
    )
    assert chapters(session) == [(25, "complete"), (20, "complete")]
    assert [row["mediabeat"]["revision"] for row in rows(session, "chapter-close")] == [0, 1]
    assert close(session)["stallTime"] == 10


def test_a_batch_uploaded_twice_is_one_session_and_ends_at_its_last_element() -> None:
    documents = [start(libraryVersion="x"), spoken(0, "play", 0), spoken(50, "ping", 50), spoken(60, "ping", 60)]
    records = [
        record(
            offset,
            BEGAN_AT + 10**10 + offset,
            document,
            sid="f" * 64,
            source="batch",
            batch={"id": "f" * 64, "index": offset % 4, "of": 4},
        )
        for offset, document in enumerate(documents * 2)
    ]
    session = SessionTruth(read_partition(0, records), Timeouts())
    assert (close(session)["closeReason"], close(session)["timePlayed"]) == ("end", 60)
    assert len(rows(session, "session-close")) == 1
    assert session.rejects == []


def test_another_sessions_record_in_the_partition_moves_the_clock() -> None:
    timeouts = Timeouts(idle=10_000, grace=1000)
    records = [
        record(0, BEGAN_AT, start()),
        record(1, BEGAN_AT + 11_500, start(), sid=SID.replace("ab", "ba")),
        record(2, BEGAN_AT + 11_000, spoken(1, "play", 0)),  # received before, appended after the silence was over
    ]
    session = SessionTruth([told for told in read_partition(0, records) if told.sid == SID], timeouts)
    assert close(session)["closeReason"] == "timeoutIdle"
    assert [reject.event.offset for reject in session.rejects] == [2]


def test_a_state_that_is_still_on_goes_on_counting_in_a_replay() -> None:
    session = truth(
        start(),
        (0, "play", 0),
        (5, "stateStart", 5, state("mute")),
        (10, "sessionComplete", 10),
        (100, "play", 0),
        (107, "sessionComplete", 7),
    )
    first, second = (row["mediaReporting"]["states"][0]["time"] for row in rows(session, "session-close"))
    assert (first, second) == (5, 12)


def test_a_playhead_that_moves_in_an_ad_is_no_standing_still() -> None:
    stream = [
        (0.1, spoken(0, "play", 0)),
        (0.2, spoken(10, "adBreakStart", 10, ad_break())),
        (0.3, spoken(10, "adStart", 10, ad("a"))),
    ]
    moving = [(1 + n, spoken(500 * n, "ping", 10 + n)) for n in range(1, 6)]
    standing = [(1 + n, spoken(500 * n, "ping", 10)) for n in range(1, 6)]
    assert close(arrivals(*stream, *moving))["closeReason"] == "timeoutIdle"
    assert close(arrivals(*stream, *standing))["closeReason"] == "timeoutStill"


def test_a_dropped_repeat_is_no_sign_of_life_and_a_meant_one_is() -> None:
    timeouts = Timeouts(idle=10_000, grace=1000, window=5000)
    play = spoken(0, "play", 0)
    dropped = arrivals((1, play), (9, play), (13, spoken(5, "ping", 5)), timeouts=timeouts)
    assert close(dropped)["closeReason"] == "timeoutIdle"
    assert rows(dropped, "session-close")[0]["mediabeat"]["closedAt"] == BEGAN_AT + 11_000
    meant = arrivals(
        (1, play),
        (1.1, spoken(0, "adBreakStart", 0, ad_break())),
        (9, play),
        (13, spoken(5, "sessionEnd", 5)),
        timeouts=timeouts,
    )
    assert close(meant)["closeReason"] == "end"


def test_a_repeat_that_may_mean_nothing_pushes_nobody_out_of_the_window() -> None:
    parallel = start(600, libraryVersion="js-3.0.0")
    of_break = [(10, "adBreakStart", 9, ad_break()), (10, "adStart", 9, ad("a")), (10, "play", 9), (10, "play", 9)]
    pings = [(11 + number, "ping", 10 + number) for number in range(7)]
    late = (5, "ping", 4)
    assert [(event.ts - BEGAN_AT) // 1000 for event in truth(parallel, *of_break, *pings, late).folded][:2] == [5, 10]
    # One more that counts, and the first of them has left before the late one comes.
    pushed = truth(parallel, *of_break, *pings, (18, "ping", 17), late).folded
    assert [(event.ts - BEGAN_AT) // 1000 for event in pushed][:2] == [10, 5]
