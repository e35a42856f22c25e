"""The other worked scenarios of the report rules, by number and name."""

import pytest

from processors.session.rules import Rules
from schemas.events import Event
from schemas.reports import CloseReason, RowKind
from tests.processors.session.drive import BASE, Drive, at, drive, start

POD = {"media.ad.podIndex": 0, "media.ad.podSecond": 0}


def ad(name: str, length: int = 15, position: int = 1) -> dict[str, object]:
    return {"media.ad.id": name, "media.ad.length": length, "media.ad.podPosition": position}


def chapter(index: int, offset: float = 0, length: float = 30) -> dict[str, object]:
    return {"media.chapter.index": index, "media.chapter.offset": offset, "media.chapter.length": length}


def state(name: str) -> dict[str, object]:
    return {"media.state.name": name}


def test_2_buffer_first_then_pause_then_the_app_is_closed() -> None:
    numbers = drive(
        start(0, length=60),
        at(1, "bufferStart", 1),
        at(4, "play", 1),
        at(10, "ping", 7),
        at(15, "pauseStart", 12),
        at(20, "ping", 12),
        at(24, "play", 12),
        at(29, "sessionEnd", 17),
    ).close
    assert numbers.of("timePlayed", "bufferCount", "bufferTime", "pauseCount", "pauseTime") == (16, 1, 3, 1, 9)
    assert numbers.of("uniqueTimePlayed", "isCompleted", "segment") == (16, None, "[0-1]")
    assert numbers.markers == [10, 25]
    assert numbers.reason == "end"
    assert numbers.extras["startingMs"] == 1_000
    spent = [numbers.extras[name] for name in ("contentMs", "bufferMs", "pauseMs", "startingMs")]
    assert sum(spent) == 29_000


def test_4_downloaded_session() -> None:
    told = drive(
        start(0, length=60, downloaded=True),
        at(4.696, "play", 0),
        at(14.025, "ping", 10),
        at(24.055, "ping", 20),
        at(34.067, "ping", 30),
        at(37.081, "sessionComplete", 35),
        source="batch",
    )
    numbers = told.close
    assert numbers.extras["contentMs"] == 32_385
    assert numbers.extras["startingMs"] == 4_696
    assert numbers.of("timePlayed", "uniqueTimePlayed", "isCompleted", "isDownloaded") == (32, 35, True, True)
    assert numbers.value["timestamp"] == "2026-01-01T00:00:37.081Z"
    first = told.of(RowKind.SESSION_START)[0]
    assert first["mediaReporting"]["sessionDetails"]["isDownloaded"] is True
    assert first["mediabeat"]["source"] == "batch"


SIMPLE = (
    start(0, length=30),
    at(0, "play", 0),
    at(1, "play", 1),
    at(5, "pauseStart", 5),
    at(15, "ping", 5),
    at(20, "play", 5),
    at(30, "ping", 15),
)


def test_5_simple_play_with_pause() -> None:
    numbers = drive(*SIMPLE, at(35, "sessionComplete", 20)).close
    assert numbers.of("timePlayed", "pauseCount", "pauseTime", "isCompleted") == (20, 1, 15, True)
    assert numbers.markers == [10, 25, 50]


def test_5_simple_play_with_pause_and_sessionEnd_is_the_same_but_not_complete() -> None:
    numbers = drive(*SIMPLE, at(35, "sessionEnd", 20)).close
    assert numbers.of("timePlayed", "pauseCount", "pauseTime", "isCompleted") == (20, 1, 15, None)
    assert numbers.markers == [10, 25, 50]


def interrupted(event_type: str) -> tuple[Event, ...]:
    return (
        start(0, length=30),
        at(0, event_type, 0),
        at(5, "play", 0),
        at(6, "play", 1),
        at(10, event_type, 5),
        at(20, "ping", 5),
        at(25, "play", 5),
        at(35, "ping", 15),
        at(40, "sessionComplete", 20),
    )


def test_6_start_up_buffer_and_mid_buffer() -> None:
    numbers = drive(*interrupted("bufferStart")).close
    assert numbers.of("timePlayed", "bufferCount", "bufferTime", "pauseCount") == (20, 2, 20, 0)
    assert numbers.extras["bufferStartupMs"] == 5_000


def test_7_the_same_with_seeks() -> None:
    numbers = drive(*interrupted("pauseStart")).close
    assert numbers.of("timePlayed", "pauseCount", "pauseTime", "bufferCount") == (20, 2, 20, 0)


def test_9_two_breaks_of_two_ads() -> None:
    told = drive(
        start(0),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, ad("1")),
        at(15, "adComplete"),
        at(15, "adStart", 0, ad("2", position=2)),
        at(30, "adComplete"),
        at(30, "adBreakComplete"),
        at(30, "play", 0),
        at(45, "adBreakStart", 15, {"media.ad.podIndex": 1, "media.ad.podSecond": 15}),
        at(45, "adStart", 15, ad("3")),
        at(60, "adComplete", 15),
        at(60, "adStart", 15, ad("4", position=2)),
        at(75, "adComplete", 15),
        at(75, "adBreakComplete", 15),
        at(75, "sessionComplete", 15),
    )
    numbers = told.close
    assert numbers.of("timePlayed", "totalTimePlayed", "adCount") == (15, 75, 4)
    assert numbers.extras["adMs"] == 60_000
    assert len(told.of(RowKind.AD_START)) == 4
    assert [closed.of("timePlayed", "isCompleted") for closed in told.ads] == [(15, True)] * 4


LATE_ADS = (
    start(0),
    at(0, "adBreakStart", 0, POD),
    at(15, "adStart", 0, ad("late")),
    at(30, "adComplete"),
    at(30, "adBreakComplete"),
    at(30, "play", 0),
    at(30, "chapterStart", 0, chapter(1)),
    at(45, "chapterComplete", 15),
    at(45, "adBreakStart", 15, {"media.ad.podIndex": 1, "media.ad.podSecond": 15}),
    at(70, "adStart", 15, ad("later")),
    at(85, "adComplete", 15),
    at(85, "adBreakComplete", 15),
    at(85, "sessionComplete", 15),
)


def test_10_ads_arrive_late_and_the_gap_is_content() -> None:
    told = drive(*LATE_ADS)
    numbers = told.close
    assert [closed["timePlayed"] for closed in told.ads] == [15, 15]
    assert told.chapters[0]["timePlayed"] == 15
    assert numbers["timePlayed"] == 40
    assert numbers.extras["startingMs"] == 15_000
    assert numbers.extras["breakGapMs"] == numbers.extras["breakGapCreditedMs"] == 25_000


def test_10_ads_arrive_late_and_the_gap_is_nobodys() -> None:
    numbers = drive(*LATE_ADS, rules=Rules(break_gap="none")).close
    assert numbers["timePlayed"] == 15
    assert numbers.extras["breakGapMs"] == 25_000
    assert "breakGapCreditedMs" not in numbers.extras


def test_14_states() -> None:
    numbers = drive(
        start(0, length=30),
        at(0, "stateStart", 0, state("customStateName")),
        at(5, "stateEnd", 0, state("customStateName")),
        at(10, "stateStart", 0, state("mute")),
        at(10, "stateStart", 0, state("fullscreen")),
        at(11, "ping", 0),
        at(15, "stateEnd", 0, state("mute")),
        at(15, "sessionComplete", 0),
    ).close
    assert {name: (known["count"], known["time"]) for name, known in numbers.states.items()} == {
        "customStateName": (1, 5),
        "mute": (1, 5),
        "fullscreen": (1, 5),
    }
    assert numbers.flags == ["openState"]


def test_15_errors() -> None:
    numbers = drive(
        start(0, length=30),
        at(0, "play", 0),
        at(1, "play", 1),
        at(5, "error", 5, qoe={"media.qoe.errorID": "1000.2000.3000", "media.qoe.errorSource": "player"}),
        at(11, "ping", 11),
        at(20, "error", 20, qoe={"media.qoe.errorID": "custom.error.code", "media.qoe.errorSource": "player"}),
        at(20, "sessionComplete", 20),
    ).close
    assert numbers.of("errorCount", "hasErrorImpactedStreams", "timePlayed") == (2, True, 20)
    assert numbers["playerSdkErrors"] == ["1000.2000.3000", "custom.error.code"]


def test_16_idle_split_after_30_minutes() -> None:
    first = drive(
        start(0),
        at(0, "play", 0),
        at(1, "play", 1),
        at(3, "pauseStart", 3),
        *(at(second, "ping", 3) for second in range(13, 1794, 10)),
        at(1803, "sessionEnd", 3),
    ).close
    assert first.of("timePlayed", "pauseTime") == (3, 1800)
    second = drive(
        start(1803, 3, resume=True),
        at(1803, "play", 3),
        at(1804, "play", 4),
        at(1806, "sessionComplete", 6),
    )
    assert second.close.of("hasResume", "isPlayed", "timePlayed") == (True, True, 3)
    assert second.of(RowKind.SESSION_START)[0]["mediaReporting"]["sessionDetails"]["isViewed"] is True


def test_16_split_after_24_hours() -> None:
    day = 86_400
    first = drive(
        start(0, length=30),
        at(0, "play", 0),
        *(at(second, "ping", second) for second in range(60, day, 60)),
        at(day, "sessionEnd", day),
    ).close
    assert first.of("timePlayed", "estimatedStreams") == (day, 49)
    second = drive(start(day, day, length=30, resume=True), at(day, "play", day), at(day + 5, "sessionEnd", day + 5))
    assert second.close.of("hasResume", "timePlayed") == (True, 5)


MINUTES = (
    start(0),
    at(60, "play", 5, qoe={"media.qoe.timeToStart": 1234}),
    at(120, "chapterStart", 10, chapter(1)),
    at(180, "ping", 15),
    at(240, "chapterComplete", 20),
    at(300, "adBreakStart", 25, POD),
    at(360, "adStart", 25, ad("1")),
    at(420, "adComplete", 25),
    at(480, "adBreakComplete", 25),
    at(540, "sessionComplete", 45),
)


@pytest.mark.parametrize(("gap", "content", "media"), [("none", 300, 360), ("content", 420, 480)])
def test_17_xdm_example_of_a_batch_session(gap: str, content: int, media: int) -> None:
    told = drive(*MINUTES, source="batch", rules=Rules(break_gap=gap))  # type: ignore[arg-type]
    numbers = told.close
    assert numbers.of("timePlayed", "totalTimePlayed", "timeToStart") == (content, media, 1)
    assert numbers.extras["timeToStartMs"] == 1234
    assert told.ads[0]["timePlayed"] == 60
    assert told.chapters[0]["timePlayed"] == 120
    assert numbers.own["endedAt"] - numbers.own["startedAt"] == 540_000


def test_18_vod_without_interruptions() -> None:
    numbers = drive(
        start(0), *(at(second, "play", second) for second in (0, 10, 20, 30)), at(40, "sessionComplete", 40)
    ).close
    assert numbers.of("timePlayed", "isCompleted", "isPlayed") == (40, True, True)


def test_19_vod_with_a_pre_roll_of_two_ads() -> None:
    told = drive(
        start(0),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, ad("1")),
        at(0, "play", 0),
        at(15, "adComplete"),
        at(15, "adStart", 0, ad("2")),
        at(15, "play", 0),
        at(30, "adComplete"),
    )
    assert told.open.played is False
    told.fold(at(30, "adBreakComplete"), at(30, "play", 0), at(40, "sessionComplete", 10))
    assert len(told.of(RowKind.AD_START)) == 2
    assert [closed["isCompleted"] for closed in told.ads] == [True, True]
    assert told.close.of("isPlayed", "timePlayed", "totalTimePlayed") == (True, 10, 40)
    assert told.close.extras["serverStartupMs"] == 0


def test_20_skipped_ad() -> None:
    told = drive(
        start(0),
        at(0, "adBreakStart", 0, POD),
        at(0, "adStart", 0, ad("1")),
        at(4, "adBreakComplete"),
        at(4, "play", 0),
        at(14, "sessionComplete", 10),
    )
    (closed,) = told.ads
    assert closed.of("timePlayed", "isCompleted") == (4, None)
    assert closed.reason == "implicitSkip"
    assert len(told.of(RowKind.AD_START)) == 1


@pytest.mark.parametrize(
    ("ending", "completed", "reason"),
    [
        (at(20, "chapterComplete", 20), True, "complete"),
        (at(20, "chapterSkip", 20), None, "skip"),
        (at(20, "chapterStart", 20, chapter(2, 30)), None, "implicitSkip"),
    ],
)
def test_21_one_chapter_and_a_skipped_chapter(ending: Event, completed: bool | None, reason: str) -> None:
    told = drive(
        start(0), at(0, "play", 0), at(0, "chapterStart", 0, chapter(1)), ending, at(25, "sessionComplete", 25)
    )
    first = told.chapters[0]
    assert first.of("isStarted", "isCompleted", "timePlayed") == (True, completed, 20)
    assert first.reason == reason


def test_22_seeking_and_buffering_are_no_content() -> None:
    numbers = drive(
        start(0),
        at(0, "play", 0),
        at(10, "pauseStart", 10),
        at(14, "play", 60),
        at(20, "bufferStart", 66),
        at(26, "play", 66),
        at(36, "sessionComplete", 76),
    ).close
    assert numbers.of("timePlayed", "pauseTime", "bufferTime", "uniqueTimePlayed") == (26, 4, 6, 26)
    assert numbers.extras["seekCount"] == 1
    assert numbers.markers == [10, 75]
    assert numbers.extras["markersReached"] == [10, 25, 50, 75]


LIVE = (
    start(0, 43_200, length=86_400, contentType="Live"),
    at(0, "play", 43_200),
    at(10, "ping", 43_210),
    at(20, "pauseStart", 43_220),
    at(30, "play", 43_230),
    at(50, "sessionEnd", 43_250),
)


def test_23_live_joined_at_noon() -> None:
    numbers = drive(*LIVE).close
    assert numbers.of("timePlayed", "isCompleted", "segment") == (40, None, "[720-721]")
    assert numbers.markers == []
    assert "percentReached" not in numbers.extras
    assert numbers["uniqueTimePlayed"] == 40
    assert numbers.extras["seekCount"] == 1  # to the live edge


def test_23_live_joined_at_noon_with_markers_wanted() -> None:
    by_crossing = drive(*LIVE, rules=Rules(live_markers="always")).close
    assert by_crossing.markers == [50]
    by_reach = drive(*LIVE, rules=Rules(live_markers="always", marker_rule="reached")).close
    assert by_reach.markers == [10, 25, 50]
    assert by_reach.extras["markersCrossed"] == [50]


def test_24_live_programme_change() -> None:
    programme = start(0, 0, length=3600, contentType="live"), at(0, "play", 0), at(60, "ping", 60)
    completing = drive(*programme, at(120, "sessionComplete", 120))
    ending = drive(*programme, at(120, "sessionEnd", 120))
    following = drive(start(120, 0, length=3600, contentType="live"), at(120, "play", 0), at(125, "sessionEnd", 5))
    starts = [told.of(RowKind.SESSION_START) for told in (completing, following)]
    assert [len(rows) for rows in starts] == [1, 1]
    assert completing.close["isCompleted"] is True
    assert ending.close["isCompleted"] is None
    assert ending.close["timePlayed"] == completing.close["timePlayed"] == 120


def test_25_hand_over_to_another_device_is_two_sessions() -> None:
    source = drive(start(0), at(0, "play", 0), at(20, "sessionEnd", 20))
    target = drive(start(21, 20, resume=True), at(21, "play", 20), at(41, "sessionComplete", 40))
    told = (source, target)
    assert [len(session.of(RowKind.SESSION_START)) for session in told] == [1, 1]
    assert [session.close["hasResume"] for session in told] == [None, True]
    assert [session.close["timePlayed"] for session in told] == [20, 20]


def test_25_two_trackers_at_once_know_nothing_of_each_other() -> None:
    video, audio = Drive(), Drive()
    video.fold(start(0))
    audio.fold(start(0, streamType="audio"))
    video.fold(at(0, "play", 0))
    audio.fold(at(5, "play", 0))
    video.fold(at(10, "sessionEnd", 10))
    audio.fold(at(10, "sessionEnd", 5))
    assert (video.close["timePlayed"], audio.close["timePlayed"]) == (10, 5)
    assert (video.close["pev3"], audio.close["pev3"]) == ("video", "audio")


def test_25_an_app_sent_to_the_background_counts_up_to_its_last_event() -> None:
    numbers = drive(start(0), at(0, "play", 0), at(10, "ping", 10)).expire().close
    assert numbers.of("timePlayed", "isCompleted", "secondsSinceLastCall") == (10, None, 600)


def test_26_player_state_change_over_several_updates() -> None:
    def update(seconds: float, ends: tuple[str, ...], starts: tuple[str, ...]) -> Event:
        params = {"statesEnd": [state(name) for name in ends], "statesStart": [state(name) for name in starts]}
        return at(seconds, "statesUpdate", seconds, params)

    numbers = drive(
        start(0, length=600),
        at(0, "play", 0),
        update(0, (), ("mute", "pictureInPicture")),
        update(100, ("mute", "pictureInPicture"), ("fullScreen",)),
        update(200, ("fullscreen",), ()),
        at(210, "sessionComplete", 210),
    ).close
    assert {name: (known["count"], known["time"]) for name, known in numbers.states.items()} == {
        "mute": (1, 100),
        "pictureInPicture": (1, 100),
        "fullscreen": (1, 100),
    }
    assert numbers.flags == ["longGap"]  # no open state


def test_27_pre_roll_drop() -> None:
    told = drive(
        start(0),
        at(0, "adBreakStart", 0, POD),
        at(0.001, "adStart", 0, ad("1")),
        at(1.001, "ping", 0),
        at(6.001, "sessionEnd", 0),
    )
    numbers = told.close
    assert numbers.of("isDroppedBeforeStart", "isPlayed", "timePlayed", "totalTimePlayed") == (True, None, 0, 6)
    assert numbers.of("averageMinuteAudience", "segment", "hasSegmentView") == (None, None, None)
    assert numbers.markers == []
    assert numbers.extras["dropReason"] == "preroll"
    assert told.ads[0]["timePlayed"] == 6
    assert told.ads[0].reason == "sessionEnd"


def test_28_rewatch() -> None:
    numbers = drive(
        start(0),
        at(0, "play", 0),
        at(10, "ping", 10),
        at(20, "pauseStart", 20),
        at(21, "play", 5),
        at(31, "ping", 15),
        at(41, "sessionEnd", 25),
    ).close
    assert numbers.of("timePlayed", "uniqueTimePlayed") == (40, 25)
    assert numbers.markers == [10, 25]


def test_30_stall() -> None:
    numbers = drive(
        start(0, length=600),
        at(0, "play", 0),
        at(10, "ping", 10),
        at(20, "ping", 20),
        at(30, "ping", 20),
        at(40, "ping", 20),
        at(50, "ping", 30),
        at(60, "sessionEnd", 40),
    ).close
    assert numbers.of("stallCount", "stallTime", "timePlayed", "hasStallImpactedStreams") == (1, 20, 40, True)


def test_every_scenario_that_times_out_closes_at_its_last_event() -> None:
    told = drive(*LATE_ADS[:-2]).expire(CloseReason.TIMEOUT_IDLE, closed_at=BASE + 685_000)
    numbers = told.close
    assert numbers.reason == "timeoutIdle"
    assert numbers.own["closedAt"] == BASE + 685_000
    assert numbers.own["endedAt"] == BASE + 85_000
    assert numbers.value["timestamp"] == "2026-01-01T00:01:25.000Z"
    assert numbers.flags == ["unclosedBreak"]
