"""The fleet's truth against the sessions reports.md works by hand: 6.1 and each scenario of section 7, by number."""

from deploy.fleet.outcome import Timeouts
from deploy.fleet.truth import SessionTruth
from deploy.fleet.truth_records import read_partition
from tests.deploy.fleet_streams import (
    BEGAN_AT,
    ad,
    ad_break,
    ads,
    chapter,
    chapters,
    close,
    record,
    rows,
    start,
    state,
    truth,
)

POD = "cc80e8d564c18a8365efb04ecedce221"


def shown(expected: dict, got: dict) -> None:
    """Every expected member; a None expects absence."""
    assert {key: got.get(key) for key in expected} == expected


def timeline_1():
    def pod(index, second):
        return {
            "params": {
                "media.ad.podIndex": index,
                "media.ad.podSecond": second,
                "media.ad.podFriendlyName": f"ad_pod{index + 1}",
            }
        }

    custom = {"customMetadata": {"myCustomData1": "CustomData1", "myCustomData2": "CustomData2"}}
    first = start(60.3333333333333, id="VA API Sample Player", name="ClickMe", libraryVersion="va")
    return truth(
        first,
        (0, "adBreakStart", 0, pod(0, 0)),
        (0, "adStart", 0, ad("001", 15, 1) | custom),
        (1, "ping", 0),
        (2, "ping", 0),
        (3, "ping", 0),
        (15, "adComplete", 0),
        (15, "adStart", 0, ad("002", 7, 1)),
        (20, "ping", 0),
        (22, "adComplete", 0),
        (22, "adBreakComplete", 0),
        (22, "play", 0),
        (30, "ping", 8),
        (33, "bufferStart", 11),
        (36, "play", 11),
        (40, "ping", 15),
        (46, "adBreakStart", 21, pod(1, 21)),
        (46, "adStart", 21, ad("003", 8, 2)),
        (50, "ping", 21),
        (54, "adComplete", 21),
        (54, "adBreakComplete", 21),
        (60, "ping", 27),
        (64, "pauseStart", 31),
        (70, "ping", 31),
        (74, "play", 31),
        (80, "ping", 37),
        (88, "sessionComplete", 45),
    )


def test_6_1_timeline_1_gives_every_number_of_the_media_close():
    shown(
        {
            "isPlayed": True,
            "isCompleted": True,
            "isDroppedBeforeStart": None,
            "timePlayed": 45,
            "totalTimePlayed": 75,
            "uniqueTimePlayed": 45,
            "pauseCount": 1,
            "pauseTime": 10,
            "hasPauseImpactedStreams": True,
            "bufferCount": 1,
            "bufferTime": 3,
            "hasBufferImpactedStreams": True,
            "stallCount": 0,
            "stallTime": 0,
            "errorCount": 0,
            "bitrateChangeCount": 0,
            "bitrateAverage": None,
            "timeToStart": None,
            "droppedFrames": None,
            "adCount": 3,
            "chapterCount": 0,
            "hasProgress10": True,
            "hasProgress25": True,
            "hasProgress50": True,
            "hasProgress75": None,
            "hasProgress95": None,
            "hasSegmentView": True,
            "segment": "[0-1]",
            "estimatedStreams": 1,
            "hasResume": None,
            "secondsSinceLastCall": 0,
            "length": 60,
            "lengthSeconds": 60.3333333333333,
            "closeReason": "complete",
            "contentMs": 45_000,
            "adMs": 30_000,
            "mediaMs": 75_000,
            "endedAt": 88_000,
        },
        close(timeline_1()),
    )
    assert round(close(timeline_1())["averageMinuteAudience"], 4) == 0.7459


def test_6_1_timeline_1_gives_its_ad_rows():
    session = timeline_1()
    assert ads(session) == [("001", 15, "complete"), ("002", 7, "complete"), ("003", 8, "complete")]
    starts = rows(session, "ad-start")
    assert [row["mediaReporting"]["advertisingPodDetails"]["ID"] for row in starts] == [f"{POD}_0"] * 2 + [f"{POD}_1"]
    assert [row["mediabeat"]["startedAt"] - BEGAN_AT for row in starts] == [0, 15_000, 46_000]
    assert starts[0]["customMetadata"] == {"myCustomData1": "CustomData1", "myCustomData2": "CustomData2"}
    assert starts[2]["_id"].endswith(":ad-start:3:0")
    assert starts[0]["timestamp"] == "2026-01-01T00:00:00.000Z"


def test_7_2_the_second_before_a_startup_buffer_is_nobodys():
    got = close(
        truth(
            start(60),
            (1, "bufferStart", 1),
            (4, "play", 1),
            (10, "ping", 7),
            (15, "pauseStart", 12),
            (20, "ping", 12),
            (24, "play", 12),
            (29, "sessionEnd", 17),
        )
    )
    shown({"timePlayed": 16, "bufferCount": 1, "bufferTime": 3, "pauseCount": 1, "pauseTime": 9}, got)
    shown({"uniqueTimePlayed": 16, "hasProgress25": True, "hasProgress50": None, "segment": "[0-1]"}, got)
    shown({"isCompleted": None, "closeReason": "end", "startingMs": 1000}, got)


def test_7_4_a_downloaded_session():
    documents = [
        start(100, downloaded=True),
        *({"eventType": t, "playerTime": {"playhead": p, "ts": BEGAN_AT + ts}} for ts, t, p in (
            (4_696, "play", 0), (14_025, "ping", 10), (24_055, "ping", 20), (34_067, "ping", 30),
            (37_081, "sessionComplete", 35),
        )),
    ]  # fmt: skip
    session = SessionTruth(
        read_partition(
            0,
            [
                record(i, BEGAN_AT + 10**9, one, source="batch", batch={"id": "b", "index": i, "of": len(documents)})
                for i, one in enumerate(documents)
            ],
        ),
        Timeouts(),
    )
    shown({"contentMs": 32_385, "timePlayed": 32, "isCompleted": True, "isDownloaded": True}, close(session))
    shown({"startingMs": 4_696, "uniqueTimePlayed": 35}, close(session))
    assert len(rows(session, "session-close")) == 1


SIMPLE = (
    (0, "play", 0),
    (1, "play", 1),
    (5, "pauseStart", 5),
    (15, "ping", 5),
    (20, "play", 5),
    (30, "ping", 15),
)


def test_7_5_simple_play_with_pause():
    got = close(truth(start(30), *SIMPLE, (35, "sessionComplete", 20)))
    shown({"timePlayed": 20, "pauseCount": 1, "pauseTime": 15, "isCompleted": True}, got)
    shown({"hasProgress10": True, "hasProgress25": True, "hasProgress50": True, "hasProgress75": None}, got)
    ended = close(truth(start(30), *SIMPLE, (35, "sessionEnd", 20)))
    shown({"timePlayed": 20, "pauseTime": 15, "isCompleted": None, "closeReason": "end"}, ended)


def interrupted(event_type):
    return truth(
        start(30),
        (0, event_type, 0),
        (5, "play", 0),
        (6, "play", 1),
        (10, event_type, 5),
        (20, "ping", 5),
        (25, "play", 5),
        (35, "ping", 15),
        (40, "sessionComplete", 20),
    )


def test_7_6_startup_buffer_and_mid_buffer():
    shown({"timePlayed": 20, "bufferCount": 2, "bufferTime": 20, "pauseCount": 0}, close(interrupted("bufferStart")))


def test_7_7_the_same_with_seeks():
    shown({"timePlayed": 20, "pauseCount": 2, "pauseTime": 20, "bufferCount": 0}, close(interrupted("pauseStart")))


def test_7_9_two_breaks_of_two_ads():
    session = truth(
        start(30),
        (0, "adBreakStart", 0, ad_break(1)),
        (0, "adStart", 0, ad("a")),
        (15, "adComplete", 0),
        (15, "adStart", 0, ad("b", position=2)),
        (30, "adComplete", 0),
        (30, "adBreakComplete", 0),
        (30, "play", 0),
        (45, "adBreakStart", 15, ad_break(2, 15)),
        (45, "adStart", 15, ad("c")),
        (60, "adComplete", 15),
        (60, "adStart", 15, ad("d", position=2)),
        (75, "adComplete", 15),
        (75, "adBreakComplete", 15),
        (75, "sessionComplete", 15),
    )
    shown({"adMs": 60_000, "timePlayed": 15, "totalTimePlayed": 75, "adCount": 4}, close(session))
    assert ads(session) == [(name, 15, "complete") for name in "abcd"]


def test_7_10_ads_arrive_late_and_the_gap_of_the_second_break_is_content():
    session = truth(
        start(60),
        (0, "adBreakStart", 0, ad_break(1)),
        (15, "adStart", 0, ad("a")),
        (30, "adComplete", 0),
        (30, "adBreakComplete", 0),
        (30, "play", 0),
        (30, "chapterStart", 0, chapter(1)),
        (45, "chapterComplete", 15),
        (45, "adBreakStart", 15, ad_break(2, 15)),
        (70, "adStart", 15, ad("b")),
        (85, "adComplete", 15),
        (85, "adBreakComplete", 15),
        (85, "sessionComplete", 15),
    )
    assert ads(session) == [("a", 15, "complete"), ("b", 15, "complete")]
    assert chapters(session) == [(15, "complete")]
    shown({"timePlayed": 40, "breakGapMs": 25_000, "startingMs": 15_000, "totalTimePlayed": 70}, close(session))


def test_7_14_states_and_one_that_never_ends():
    got = close(
        truth(
            start(30),
            (0, "play", 0),
            (0, "stateStart", 0, state("customStateName")),
            (5, "stateEnd", 5, state("customStateName")),
            (10, "stateStart", 10, state("mute")),
            (10, "stateStart", 10, state("fullscreen")),
            (15, "stateEnd", 15, state("mute")),
            (15, "sessionComplete", 15),
        )
    )
    assert {name: (one["count"], one["time"]) for name, one in got["states"].items()} == {
        "customStateName": (1, 5),
        "mute": (1, 5),
        "fullscreen": (1, 5),
    }


def test_7_15_errors_change_no_state():
    def fault(name):
        return {"qoeData": {"media.qoe.errorID": name, "media.qoe.errorSource": "player"}}

    got = close(
        truth(
            start(30),
            (0, "play", 0),
            (1, "play", 1),
            (5, "error", 5, fault("1000.2000.3000")),
            (11, "ping", 11),
            (20, "error", 20, fault("custom.error.code")),
            (20, "sessionComplete", 20),
        )
    )
    shown({"errorCount": 2, "playerSdkErrors": ["1000.2000.3000", "custom.error.code"], "timePlayed": 20}, got)


def test_7_16_a_pause_of_half_an_hour_ends_by_the_player_not_by_us():
    pings = [(3 + 10 * n, "ping", 3) for n in range(1, 180)]
    session = truth(start(30), (0, "play", 0), (3, "pauseStart", 3), *pings, (1803, "sessionEnd", 3))
    shown({"timePlayed": 3, "pauseTime": 1800, "closeReason": "end", "hasResume": None}, close(session))
    assert session.rejects == []
    resumed = close(truth(start(30, resume=True), (0, "play", 3), (3, "sessionComplete", 6)))
    shown({"hasResume": True, "timePlayed": 3}, resumed)


def test_7_17_one_event_a_minute():
    session = truth(
        start(600),
        (60, "play", 5, {"qoeData": {"media.qoe.timeToStart": 1234}}),
        (120, "chapterStart", 10, chapter(1)),
        (180, "ping", 15),
        (240, "chapterComplete", 20),
        (300, "adBreakStart", 25, ad_break(1, 25)),
        (360, "adStart", 25, ad("a")),
        (420, "adComplete", 25),
        (480, "adBreakComplete", 25),
        (540, "sessionComplete", 45),
    )
    shown({"timePlayed": 420, "breakGapMs": 120_000, "totalTimePlayed": 480, "timeToStart": 1}, close(session))
    assert chapters(session) == [(120, "complete")]
    assert ads(session) == [("a", 60, "complete")]


def test_7_18_play_every_ten_seconds_only_closes_intervals():
    plays = [(10 * n, "play", 10 * n) for n in range(4)]
    shown({"timePlayed": 40, "isCompleted": True}, close(truth(start(40), *plays, (40, "sessionComplete", 40))))


def test_7_19_content_starts_after_the_pre_roll():
    session = truth(
        start(60),
        (0, "adBreakStart", 0, ad_break(1)),
        (0, "adStart", 0, ad("a")),
        (0, "play", 0),
        (15, "adComplete", 0),
        (15, "adStart", 0, ad("b")),
        (30, "adComplete", 0),
        (30, "adBreakComplete", 0),
        (30, "play", 0),
        (60, "sessionComplete", 30),
    )
    shown({"adCount": 2, "timePlayed": 30, "isPlayed": True, "serverStartupMs": 0}, close(session))


def test_7_20_a_skipped_ad_keeps_its_watched_part():
    session = truth(
        start(60),
        (0, "adBreakStart", 0, ad_break(1)),
        (0, "adStart", 0, ad("a")),
        (4, "adBreakComplete", 0),
        (4, "play", 0),
        (10, "sessionEnd", 6),
    )
    assert ads(session) == [("a", 4, "implicitSkip")]


def test_7_21_one_chapter_completed_and_one_skipped():
    def with_end(event_type):
        return chapters(
            truth(
                start(60),
                (0, "play", 0),
                (0, "chapterStart", 0, chapter(1)),
                (15, event_type, 15),
                (20, "sessionEnd", 20),
            )
        )

    assert with_end("chapterComplete") == [(15, "complete")]
    assert with_end("chapterSkip") == [(15, "skip")]
    assert with_end("ping") == [(20, "sessionEnd")]


def test_7_22_content_excludes_seeks_and_buffers():
    session = truth(
        start(600),
        (0, "play", 0),
        (10, "pauseStart", 10),
        (13, "play", 300),
        (20, "bufferStart", 307),
        (25, "play", 307),
        (30, "sessionEnd", 312),
    )
    shown({"timePlayed": 22, "pauseTime": 3, "bufferTime": 5, "uniqueTimePlayed": 22, "seekCount": 1}, close(session))


def test_7_23_live_joined_at_noon_sets_no_marker():
    session = truth(
        start(86400, playhead=43200, contentType="Live"),
        (0, "play", 43200),
        (20, "pauseStart", 43220),
        (50, "play", 43250),
        (70, "sessionEnd", 43270),
    )
    shown({"timePlayed": 40, "isCompleted": None, "hasProgress50": None, "uniqueTimePlayed": 40}, close(session))


def test_7_26_states_over_several_updates():
    def update(ended, started):
        return {
            "params": {
                "statesEnd": [{"media.state.name": name} for name in ended],
                "statesStart": [{"media.state.name": name} for name in started],
            }
        }

    got = close(
        truth(
            start(600),
            (0, "play", 0),
            (0, "statesUpdate", 0, update((), ("mute", "pictureInPicture"))),
            (100, "statesUpdate", 100, update(("mute", "pictureInPicture"), ("fullScreen",))),
            (200, "statesUpdate", 200, update(("fullscreen",), ())),
            (210, "sessionEnd", 210),
        )
    )
    assert sorted((one["count"], one["time"]) for one in got["states"].values()) == [(1, 100)] * 3


def test_7_27_a_pre_roll_drop():
    session = truth(
        start(60),
        (0, "adBreakStart", 0, ad_break(1)),
        (0.001, "adStart", 0, ad("a")),
        (1.001, "ping", 0),
        (6.001, "sessionEnd", 0),
    )
    got = close(session)
    shown({"isDroppedBeforeStart": True, "timePlayed": 0, "totalTimePlayed": 6, "segment": None}, got)
    shown({"dropReason": "preroll", "hasProgress10": None, "averageMinuteAudience": None}, got)
    assert got["flags"] == ["unclosedBreak"]
    assert ads(session) == [("a", 6, "sessionEnd")]


def test_7_28_rewatching_is_content_twice_and_unique_once():
    got = close(
        truth(
            start(100),
            (0, "play", 0),
            (20, "pauseStart", 20),
            (21, "play", 5),
            (41, "sessionEnd", 25),
        )
    )
    shown({"timePlayed": 40, "uniqueTimePlayed": 25, "hasProgress10": True, "hasProgress25": True}, got)
    shown({"hasProgress50": None}, got)


def test_7_30_a_stall_takes_its_time_back_from_content():
    got = close(
        truth(
            start(600),
            (0, "play", 0),
            (20, "ping", 20),
            (30, "ping", 20),
            (40, "ping", 20),
            (50, "ping", 30),
            (60, "sessionEnd", 40),
        )
    )
    shown({"stallCount": 1, "stallTime": 20, "timePlayed": 40, "totalTimePlayed": 40}, got)


def after_a_pre_roll(*events):
    """The close of a session whose content has never played when its first break ends, 5 s in."""
    pre_roll = ((0, "adBreakStart", 0, ad_break()), (0, "adStart", 0, ad("a", 5)), (5, "adBreakComplete", 0))
    return close(truth(start(60), *pre_roll, *events))


def test_4_2_a_playhead_that_runs_on_after_a_pre_roll_played_since_the_break():
    got = after_a_pre_roll((15, "ping", 10), (25, "sessionEnd", 20))
    shown({"timePlayed": 20, "uniqueTimePlayed": 20, "startingMs": 0}, got)


def test_4_2_a_jump_after_a_pre_roll_proves_no_play():
    got = after_a_pre_roll((5.001, "play", 13.7), (15.001, "sessionEnd", 23.7))
    shown({"contentMs": 10_000, "uniqueTimePlayed": 10, "startingMs": 1}, got)


def test_4_2_the_playhead_may_run_on_behind_an_event_of_the_same_moment():
    got = after_a_pre_roll((5, "bitrateChange", 0), (15, "ping", 10), (25, "sessionEnd", 20))
    shown({"timePlayed": 20, "startingMs": 0}, got)
