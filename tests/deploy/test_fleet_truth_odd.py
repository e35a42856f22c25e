"""The fleet's truth on what its own players never tell: clocks set anew, odd orders, events after the end, parts."""

from typing import Any

import pytest

from deploy.fleet.outcome import Timeouts
from deploy.fleet.truth import FOREVER, SessionTruth
from deploy.fleet.truth_records import read_partition
from schemas.session_ids import created_at
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

WATCHED = ((0, "play", 0), (10, "sessionComplete", 10))
DAY = 86_400


def posted(*received: tuple[float, dict[str, Any]], first: dict[str, Any] | None = None) -> SessionTruth:
    """Events received at these seconds after their session's start."""
    records = [record(0, BEGAN_AT, first or start())]
    records += [record(n, BEGAN_AT + round(at * 1000), document) for n, (at, document) in enumerate(received, 1)]
    return SessionTruth(read_partition(0, records), Timeouts())


def uploaded(*documents: dict[str, Any], at: tuple[int, ...], until: int = FOREVER) -> SessionTruth:
    """A batch whose elements were received at these seconds."""
    records = [
        record(n, BEGAN_AT + at[n] * 1000, document, source="batch", batch={"id": SID, "index": n, "of": 4})
        for n, document in enumerate(documents)
    ]
    return SessionTruth(read_partition(0, records), Timeouts(), until)


@pytest.mark.parametrize("leap", [-1, 604_800.001])
def test_a_clock_set_anew_adds_no_time_and_is_flagged(leap: float) -> None:
    set_anew = ((10.1, spoken(10 + leap, "ping", 10)), (20, spoken(30 + leap, "sessionEnd", 30)))
    session = posted(
        (0.1, spoken(0, "play", 0)), (0.2, spoken(10, "ping", 10)), (10, spoken(10, "error", 10)), *set_anew
    )
    assert close(session)["contentMs"] == (30_000 if leap > 0 else 29_000)
    assert close(session)["flags"] == ["clockSkew"]


def test_a_week_exactly_is_time() -> None:
    session = truth(start(), (0, "play", 0), (7 * DAY, "sessionEnd", 7 * DAY), timeouts=Timeouts(still=10**12))
    assert close(session)["contentMs"] == 7 * DAY * 1000


def test_an_event_without_a_date_costs_its_session_nothing_and_its_row_is_stamped_with_its_arrival() -> None:
    undated = spoken(0, "chapterStart", 5, chapter()) | {"playerTime": {"playhead": 5, "ts": -1}}
    ended = spoken(0, "chapterComplete", 5) | {"playerTime": {"playhead": 5, "ts": -1}}
    session = posted((0.1, spoken(0, "play", 0)), (0.2, spoken(10, "sessionEnd", 10)), (0.3, undated), (0.4, ended))
    [row] = rows(session, "chapter-close")
    assert row["timestamp"] == "2026-01-01T00:00:00.400Z"
    assert row["mediabeat"]["endedAt"] == BEGAN_AT
    assert close(session)["contentMs"] == 10_000


def test_limits_are_those_of_the_playheads_as_written() -> None:
    session = truth(start(), (0, "play", 6.501), (0.5, "ping", 9.501), (1, "sessionEnd", 10.001))
    assert (close(session)["seekCount"], close(session)["uniqueTimePlayed"]) == (0, 4)


def test_what_lies_before_the_beginning_is_no_content_seen() -> None:
    session = truth(start(), (0, "play", -5), (20, "sessionEnd", 15))
    assert (close(session)["timePlayed"], close(session)["uniqueTimePlayed"]) == (20, 15)


def test_a_playhead_moved_in_a_pause_is_one_seek_and_a_nudge_is_none() -> None:
    paused = ((0, "play", 0), (10, "pauseStart", 10), (11, "ping", 50), (12, "ping", 70))
    assert close(truth(start(), *paused, (13, "play", 12), (20, "sessionEnd", 19)))["seekCount"] == 0
    assert close(truth(start(), *paused, (13, "play", 80), (20, "sessionEnd", 87)))["seekCount"] == 1


def test_a_play_inside_a_break_begins_the_content_where_it_stands() -> None:
    got = close(truth(start(), (0, "adBreakStart", 70, ad_break()), (5, "play", 0), (9, "adBreakComplete", 0)))
    assert (got["segment"], got["percentReached"], got["markersReached"]) == ("[1-2]", 70.0, [10, 25, 50])


def test_live_content_has_marks_if_its_player_counts_from_zero() -> None:
    stream = ((0, "play", 10), (20, "sessionEnd", 30))
    assert "hasProgress25" in close(truth(start(contentType="Live"), *stream))
    late = ((0, "play", 10.001), (20, "sessionEnd", 30))
    assert "hasProgress25" not in close(truth(start(contentType="Live"), *late))


def test_an_unnamed_ad_ends_the_one_before_it() -> None:
    stream = ((0, "adBreakStart", 0, ad_break()), (0, "adStart", 0, ad("a")), (5, "adStart", 0, ad("")))
    assert ads(truth(start(), *stream, (9, "sessionEnd", 0))) == [("a", 5, "implicitSkip")]


def test_a_break_that_begins_and_ends_at_one_ts_holds_the_ads_of_that_ts() -> None:
    stream = (
        (0, "adBreakComplete", 0),
        (0, "adBreakStart", 0, ad_break()),
        (0, "adSkip", 0),
        (0, "adStart", 0, ad("a")),
    )
    assert ads(truth(start(libraryVersion="js-3.1.0"), *stream, (9, "sessionEnd", 0))) == [("a", 0, "skip")]


def test_states_are_called_by_their_known_names_and_an_eleventh_is_too_many() -> None:
    stream = [(0, "stateStart", 0, state(name)) for name in ("FULLSCREEN", "Own", *(f"x{n}" for n in range(9)))]
    got = close(truth(start(), *stream))
    assert list(got["states"])[:2] == ["fullscreen", "Own"]
    assert len(got["states"]) == 10
    assert "truncated" in got["flags"]


def test_quality_and_errors_among_the_params_count_after_those_in_their_place() -> None:
    told = {"params": {"media.qoe.bitrate": 800, "media.errorId": "p", "media.errorSource": "external"}}
    both = told | {"qoeData": {"media.qoe.errorID": "q", "media.qoe.bitrate": 900}}
    got = close(
        truth(
            start(), (0, "error", 0, told), (1, "error", 0, both), (2, "error", 0, {"params": {"media.errorId": "n"}})
        )
    )
    assert (got["bitrateAverage"], got["externalErrors"], got["playerSdkErrors"]) == (900, ["p", "q"], ["n"])


def test_an_expected_row_does_not_change_with_what_comes_after_it() -> None:
    error = {"qoeData": {"media.qoe.errorID": "late", "media.qoe.errorSource": "player"}}
    first, second = rows(truth(start(), *WATCHED, (11, "error", 10, error), (12, "sessionEnd", 10)), "session-close")
    assert "playerSdkErrors" not in first["mediaReporting"]["qoeDataDetails"]
    assert second["mediaReporting"]["qoeDataDetails"]["playerSdkErrors"] == ["late"]


def test_ads_chapters_and_states_after_a_complete_count_and_take_no_time_before_a_play() -> None:
    after = [(20, "adBreakStart", 10, ad_break()), (20, "adStart", 10, ad("a")), (20, "stateStart", 10, state("mute"))]
    after += [(20, "chapterStart", 10, chapter()), (30, "pauseStart", 10)]
    idle = truth(start(), *WATCHED, *after, (40, "sessionEnd", 10))
    assert (ads(idle), chapters(idle)) == ([("a", 0, "sessionEnd")], [(0, "sessionEnd")])
    assert (close(idle)["timePlayed"], close(idle)["states"]["mute"]["time"]) == (10, 0)
    played = truth(start(), *WATCHED, *after, (40, "play", 10), (45, "sessionEnd", 10))
    assert ads(played) == [("a", 5, "sessionEnd")]
    assert (close(played)["pauseCount"], close(played)["states"]["mute"]["time"]) == (0, 5)


def test_a_replay_is_no_seek_and_its_quality_counts_from_its_play_on() -> None:
    quality = {"qoeData": {"media.qoe.bitrate": 500}}
    pinged = close(truth(start(), *WATCHED, (20, "ping", 10, quality), (30, "play", 90), (35, "sessionEnd", 95)))
    assert (pinged["seekCount"], "bitrateAverage" in pinged) == (0, False)
    played = close(truth(start(), *WATCHED, (30, "play", 90, quality), (35, "sessionEnd", 95)))
    assert (played["bitrateAverage"], played["percentReached"]) == (500, 95.0)


def test_a_start_far_from_its_id_opens_nothing_on_either_side() -> None:
    for apart, opens in ((120_000, True), (120_001, False), (-120_000, True), (-120_001, False)):
        session = SessionTruth(read_partition(0, [record(0, created_at(SID) + apart, start())]), Timeouts())
        assert (session.story is not None) is opens


def test_a_session_without_content_id_has_no_rows() -> None:
    session = posted((1, spoken(1, "play", 0)), first=start(id=""))
    assert session.rows == []
    assert [reject.code for reject in session.rejects] == ["empty_content_id", "empty_content_id"]


def test_silence_counts_from_what_was_received_latest() -> None:
    session = posted((9, spoken(0, "play", 0)), (8, spoken(1, "ping", 1)))
    [row] = rows(session, "session-close")
    assert (row["mediabeat"]["closedAt"], row["mediabeat"]["receivedAt"]) == (BEGAN_AT + 609_000, BEGAN_AT + 9_000)


def test_a_double_lets_nobody_leave_the_window() -> None:
    pause, parallel = spoken(10, "pauseStart", 0), start(libraryVersion="js-3.1.0")
    session = posted((1, pause), (6.5, pause), (5.5, spoken(5, "ping", 0)), first=parallel)
    assert close(session)["flags"] == []


def test_a_late_double_gets_no_meaning_from_a_boundary_older_than_the_newest() -> None:
    play, pause = spoken(5, "play", 0), spoken(30, "pauseStart", 0)
    boundaries = ((1.2, spoken(5, "adBreakStart", 0, ad_break())), (1.3, spoken(20, "adBreakStart", 0, ad_break(2))))
    session = posted(
        (1, play), *boundaries, (1.4, pause), (9, spoken(31, "ping", 0)), (20, play), (21, spoken(40, "ping", 0))
    )
    assert close(session)["pauseTime"] == 10


def test_the_start_is_known_for_good() -> None:
    session = posted(
        *((n, spoken(n, "ping", n)) for n in range(1, 20)), (30, start()), (31, spoken(31, "sessionEnd", 31))
    )
    assert session.rejects == []
    assert len(session.folded) == 20


def test_a_batch_that_broke_off_is_reported_and_again_when_its_rest_has_come() -> None:
    documents = [start(), spoken(0, "play", 0), spoken(50, "ping", 50), spoken(50, "ping", 50, {"qoeData": {}})]
    part = uploaded(*documents[:3], at=(0, 0, 0))
    assert (close(part)["closeReason"], close(part)["flags"]) == ("cap24h", ["incompleteBatch"])
    assert part.is_open is False
    whole = uploaded(*documents, at=(0, 0, 0, 2 * DAY))
    assert [row["mediabeat"]["revision"] for row in rows(whole, "session-close")] == [0, 1]
    assert (close(whole)["closeReason"], close(whole)["flags"], close(whole)["timePlayed"]) == ("end", [], 50)


@pytest.mark.parametrize(
    ("stream", "flags"),
    [
        ([(0, "play", 0), (60, "ping", 60)], []),
        ([(0, "play", 0), (60.001, "ping", 60)], ["longGap"]),
        ([(0, "pauseStart", 0), (60.001, "ping", 0)], []),
        ([(0, "adStart", 0, ad("a"))], ["ignoredAd"]),
        ([(0, "adBreakStart", 0, ad_break()), (0, "adStart", 0, ad("")), (0, "adBreakComplete", 0)], ["ignoredAd"]),
        ([(0, "adBreakStart", 0, ad_break()), (0, "adBreakComplete", 0), (9, "ping", 9)], ["inferredPlay"]),
        ([(0, "play", 0, {"qoeData": {"media.qoe.bitrate": 100_000}})], ["bitrateBps"]),
        ([(0, "stateStart", 0, state("mute"))], ["openState"]),
        ([(0, "adBreakStart", 0, ad_break())], ["unclosedBreak"]),
    ],
)
def test_flags_are_raised_for_what_they_say(stream: list[Any], flags: list[str]) -> None:
    assert close(truth(start(), *stream))["flags"] == flags


def test_a_share_ends_at_a_hundred() -> None:
    got = close(truth(start(60), (0, "play", 0), (90, "sessionEnd", 90)))
    assert (got["percentReached"], got["percentUnique"], got["uniqueTimePlayed"]) == (100.0, 100.0, 90)


def test_a_repeat_is_known_for_ten_minutes_after_the_end() -> None:
    end = spoken(1, "sessionEnd", 1)
    known = posted((1, end), (601, end))
    assert known.rejects == []
    forgotten = posted((1, end), (601.001, end))
    assert [reject.code for reject in forgotten.rejects] == ["session_closed"]
