"""Ad breaks and ads, rule by rule."""

import pytest

from processors.session.rules import Rules
from schemas.events import Event
from schemas.reports import CloseReason, RowKind
from tests.processors.session.drive import BASE, Drive, at, drive, start

POD = {"media.ad.podIndex": 2, "media.ad.podSecond": 10.5, "media.ad.podFriendlyName": "mid"}
OTHER_POD = {"media.ad.podIndex": 3, "media.ad.podSecond": 20}


def ad(name: str) -> dict[str, object]:
    return {"media.ad.id": name, "media.ad.length": 14.6, "media.ad.podPosition": 0}


def playing(*events: Event, rules: Rules | None = None) -> Drive:
    return drive(start(), at(0, "play"), *events, rules=rules)


def test_an_ad_outside_a_break_is_ignored_and_its_time_is_content() -> None:
    told = playing(at(10, "adStart", 10, ad("1")), at(20, "adComplete", 20), at(25, "sessionEnd", 25))
    assert told.close.of("adCount", "timePlayed") == (0, 25)
    assert told.of(RowKind.AD_START) == []
    assert told.close.flags == ["ignoredAd"]


@pytest.mark.parametrize("params", [ad(""), {"media.ad.length": 5}])
def test_an_ad_without_an_id_is_ignored(params: dict[str, object]) -> None:
    told = playing(at(10, "adBreakStart", 10, POD), at(10, "adStart", 10, params), at(20, "sessionEnd", 10))
    assert told.close["adCount"] == 0
    assert told.close.flags == ["unclosedBreak", "ignoredAd"]


def test_an_ad_without_an_id_ends_the_one_before_it() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(15, "adStart", 10, ad("")),
        at(25, "adBreakComplete", 10),
        at(25, "sessionEnd", 10),
    )
    assert [closed.extras["adMs"] for closed in told.ads] == [5_000]


def test_a_new_ad_skips_the_open_one() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(14, "adStart", 10, ad("2")),
        at(20, "adComplete", 10),
        at(20, "adBreakComplete", 10),
    )
    assert [(closed["name"], closed.reason, closed["timePlayed"]) for closed in told.ads] == [
        ("1", "implicitSkip", 4),
        ("2", "complete", 6),
    ]


def test_the_open_ad_said_again_is_no_new_ad() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(11, "adStart", 10, ad("1")),
        at(20, "adComplete", 10),
    )
    assert [closed["timePlayed"] for closed in told.ads] == [10]
    assert len(told.of(RowKind.AD_START)) == 1


def test_the_open_ad_described_otherwise_is_no_new_ad() -> None:
    described = ad("1") | {"media.ad.advertiser": "somebody", "media.ad.playerName": "another"}
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(11, "adStart", 10, described),
        at(20, "adStart", 10, described | {"media.ad.name": "another ad"}),
        at(30, "adComplete", 10),
    )
    assert [closed["timePlayed"] for closed in told.ads] == [10, 10]


def test_the_same_ad_played_again_is_a_new_ad() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(20, "adComplete", 10),
        at(20, "adStart", 10, ad("1")),
        at(25, "adSkip", 10),
    )
    assert [(closed.own["instance"], closed.reason) for closed in told.ads] == [(1, "complete"), (2, "skip")]


def test_a_new_break_ends_the_open_one_and_its_ad() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(14, "adBreakStart", 10, OTHER_POD),
        at(14, "adStart", 10, ad("2")),
        at(20, "adComplete", 10),
        at(20, "adBreakComplete", 10),
        at(30, "sessionEnd", 20),
    )
    assert [closed.reason for closed in told.ads] == ["implicitSkip", "complete"]
    assert told.close.flags == ["unclosedBreak"]
    assert told.close["timePlayed"] == 20


def test_the_open_break_said_again_changes_nothing() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(14, "adBreakStart", 10, POD),
        at(20, "adComplete", 10),
        at(20, "adBreakComplete", 10),
        at(20, "sessionEnd", 10),
    )
    assert [closed["timePlayed"] for closed in told.ads] == [10]
    assert told.close.flags == []


def test_a_break_never_completed_keeps_its_ads_and_is_flagged() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(20, "adComplete", 10),
        at(50, "sessionComplete", 40),
    )
    assert told.close.of("adCount", "timePlayed", "totalTimePlayed") == (1, 40, 50)
    assert told.close.flags == ["unclosedBreak"]


def test_ends_of_what_is_not_open_are_ignored() -> None:
    told = playing(at(1, "adComplete", 1), at(2, "adSkip", 2), at(3, "adBreakComplete", 3), at(10, "sessionEnd", 10))
    assert told.close.of("timePlayed", "adCount") == (10, 0)
    assert told.ads == []


def test_playheads_sent_during_a_break_say_nothing_of_the_content() -> None:
    told = playing(
        at(30, "adBreakStart", 30, POD),
        at(30, "adStart", 0, ad("1")),
        at(40, "ping", 0),
        at(45, "adComplete", 99),
        at(45, "adBreakComplete", 0),
        at(55, "ping", 40),
        at(65, "sessionEnd", 50),
    )
    assert told.close.of("timePlayed", "uniqueTimePlayed", "stallCount", "segment") == (50, 50, 0, "[0-1]")
    assert told.close.markers == [10, 25, 50]
    assert told.close.extras["seekCount"] == 0


def test_an_ad_row_carries_the_session_the_ad_and_the_pod() -> None:
    told = Drive().fold(
        start(0)._replace(custom_metadata={"team": "a", "plan": "free"}),
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1"), metadata={"plan": "ads", "slot": "x"}),
        at(20, "adComplete", 10),
    )
    for kind in (RowKind.AD_START, RowKind.AD_CLOSE):
        (row,) = told.of(kind)
        assert row["customMetadata"] == {"team": "a", "plan": "ads", "slot": "x"}
        assert row["mediaReporting"]["sessionDetails"]["name"] == "content"
        assert row["mediaReporting"]["sessionDetails"]["pev3"] == "videoAd"
        assert row["mediaReporting"]["advertisingDetails"]["length"] == 15
        pod = row["mediaReporting"]["advertisingPodDetails"]
        assert pod["ID"].endswith("_2")
        assert pod == {"ID": pod["ID"], "index": 2, "offset": 11, "friendlyName": "mid"}


def test_a_pods_name_may_come_with_the_ad() -> None:
    told = drive(
        start(),
        at(0, "adBreakStart", 0, OTHER_POD),
        at(0, "adStart", 0, ad("1") | {"media.ad.podFriendlyName": "late"}),
    )
    assert told.of(RowKind.AD_START)[0]["mediaReporting"]["advertisingPodDetails"]["friendlyName"] == "late"


@pytest.mark.parametrize(
    ("reason", "said"),
    [(CloseReason.TIMEOUT_IDLE, "timeout"), (CloseReason.TIMEOUT_STILL, "timeout"), (CloseReason.CAP_24H, "timeout")],
)
def test_an_ad_open_at_a_timeout_closes_at_the_last_event(reason: CloseReason, said: str) -> None:
    told = playing(at(10, "adBreakStart", 10, POD), at(10, "adStart", 10, ad("1")), at(14, "ping", 10))
    told.expire(reason, BASE + 900_000)
    (closed,) = told.ads
    assert (closed.reason, closed["timePlayed"], closed.own["endedAt"]) == (said, 4, BASE + 14_000)
    assert closed.own["closedAt"] == BASE + 900_000
    assert told.close.reason == reason


def test_rows_of_unfinished_ads_can_be_left_out() -> None:
    told = playing(
        at(10, "adBreakStart", 10, POD),
        at(10, "adStart", 10, ad("1")),
        at(14, "adSkip", 10),
        at(14, "adStart", 10, ad("2")),
        at(24, "adComplete", 10),
        rules=Rules(unfinished_rows=False),
    )
    assert [closed["name"] for closed in told.ads] == ["2"]
