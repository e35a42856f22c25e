"""The comparison of rows with the truth: what it must find, shown on doctored rows."""

import copy
from typing import Any

import orjson
import pytest

from deploy.fleet.evidence import Evidence, Landed
from deploy.fleet.expectation import Maybe, Near, OneOf, Unordered, differences, plain
from deploy.fleet.judgement import Verdict, judge
from deploy.fleet.outcome import Timeouts
from deploy.fleet.posting import Journal
from deploy.fleet.truth import FOREVER, SessionTruth
from schemas import topics
from tests.deploy.fleet_streams import BEGAN_AT, SID, ad, ad_break, chapter, spoken, start, told

STREAM = [
    start(600),
    spoken(0, "adBreakStart", 0, ad_break()),
    spoken(0, "adStart", 0, ad("a")),
    spoken(10, "adComplete", 0),
    spoken(10, "adBreakComplete", 0),
    spoken(10, "play", 0),
    spoken(10, "chapterStart", 0, chapter()),
    spoken(20, "ping", 10),
    spoken(25, "chapterComplete", 10),
    spoken(30, "ping", 10),
    spoken(40, "sessionComplete", 20),
    spoken(41, "play", 0),
    spoken(50, "sessionEnd", 9),
]
HOME = topics.partition_of(SID, 12)


@pytest.fixture
def evidence() -> Evidence:
    """What the topics hold when everything is right: the truth itself, written out."""
    events = [event.__class__(**{name: getattr(event, name) for name in event.__slots__}) for event in told(STREAM)]
    rows = [plain(expected.document) for expected in SessionTruth(events, Timeouts()).rows]
    landed = [
        Landed(row["mediabeat"]["kind"], HOME, offset, SID, orjson.loads(orjson.dumps(row)))
        for offset, row in enumerate(rows)
    ]
    return Evidence({SID: events}, {SID: landed}, {}, partitions=12)


def judged(evidence: Evidence, *journals: Journal) -> Verdict:
    return judge(evidence, journals, Timeouts(), since=0, horizon=FOREVER)


def found(evidence: Evidence) -> list[tuple[str, str]]:
    return [(problem.what, problem.subject.removeprefix(SID + ":")) for problem in judged(evidence).problems]


def row(evidence: Evidence, row_id: str) -> dict[str, Any]:
    return next(one.row for one in evidence.rows[SID] if one.row["_id"] == f"{SID}:{row_id}")


def without(evidence: Evidence, row_id: str) -> None:
    evidence.rows[SID] = [one for one in evidence.rows[SID] if one.row["_id"] != f"{SID}:{row_id}"]


def test_rows_equal_to_the_truth_are_right(evidence: Evidence) -> None:
    assert found(evidence) == []
    assert [one.row["_id"].removeprefix(SID + ":") for one in evidence.rows[SID]] == [
        "session-start:1:0",
        "ad-start:1:0",
        "ad-close:1:0",
        "chapter-close:1:0",
        "chapter-close:1:1",
        "session-close:1:0",
        "session-close:1:1",
    ]


@pytest.mark.parametrize("row_id", ["session-start:1:0", "ad-close:1:0", "session-close:1:1"])
def test_a_missing_row_is_named(evidence: Evidence, row_id: str) -> None:
    without(evidence, row_id)
    assert found(evidence) == [("missing", row_id)]


def test_a_doubled_row_is_named(evidence: Evidence) -> None:
    doubled = next(one for one in evidence.rows[SID] if one.topic_kind == "ad-close")
    evidence.rows[SID].append(Landed("ad-close", HOME, 99, SID, doubled.row))
    assert found(evidence) == [("doubled", "ad-close:1:0")]


def test_a_wrong_second_is_named_with_its_path(evidence: Evidence) -> None:
    row(evidence, "session-close:1:0")["mediaReporting"]["sessionDetails"]["timePlayed"] += 1
    (problem,) = judged(evidence).problems
    assert (problem.what, problem.detail) == (
        "wrong",
        "mediaReporting.sessionDetails.timePlayed: expected 20, got 21",
    )


@pytest.mark.parametrize("change", [{"surprise": 1}, {"uniqueTimePlayed": True}, {"isPlayed": False}])
def test_an_added_or_mistyped_field_is_named(evidence: Evidence, change: dict[str, Any]) -> None:
    row(evidence, "session-close:1:1")["mediaReporting"]["sessionDetails"] |= change
    assert found(evidence) == [("wrong", "session-close:1:1")]


def test_a_broken_revision_chain_is_named(evidence: Evidence) -> None:
    broken = row(evidence, "session-close:1:1")
    broken["_id"] = f"{SID}:session-close:1:2"
    broken["mediabeat"]["revision"] = 2
    assert found(evidence) == [
        ("missing", "session-close:1:1"),
        ("unexpected", "session-close:1:2"),
        ("chain", "session-close:1"),
    ]


def test_a_revision_written_before_its_predecessor_is_named(evidence: Evidence) -> None:
    rows = evidence.rows[SID]
    rows[-2:] = [
        Landed("session-close", HOME, 5, SID, rows[-1].row),
        Landed("session-close", HOME, 6, SID, rows[-2].row),
    ]
    assert found(evidence) == [("chain", "session-close:1")]


def test_rows_of_nobody_and_on_a_wrong_partition_are_named(evidence: Evidence) -> None:
    stranger = copy.deepcopy(row(evidence, "ad-close:1:0"))
    stranger["_id"] = "x:ad-close:1:0"
    evidence.rows["x"] = [Landed("ad-close", 0, 0, "x", stranger)]
    first = evidence.rows[SID][0]
    evidence.rows[SID][0] = Landed(first.topic_kind, HOME + 1, 0, SID, first.row)
    assert found(evidence) == [("misplaced", "session-start:1:0"), ("unexpected", "x:ad-close:1:0")]


def heartbeat(evidence: Evidence, folded: int, instance: int, received: int) -> Landed:
    document = plain(SessionTruth(evidence.sessions[SID], Timeouts()).heartbeat(folded, instance))
    document["mediabeat"]["receivedAt"] = received
    return Landed("heartbeat", HOME, 100 + instance, SID, document)


def test_heartbeats_are_judged_by_the_events_they_counted(evidence: Evidence) -> None:
    short = Timeouts(heartbeat=20)
    received = [event.received_at for event in evidence.sessions[SID]]
    first, second = heartbeat(evidence, 4, 1, received[3]), heartbeat(evidence, 8, 2, received[7])
    evidence.rows[SID] += [first, second]
    assert judge(evidence, [], short, since=0, horizon=FOREVER).problems == []

    second.row["mediaReporting"]["qoeDataDetails"]["stallTime"] = 3
    (problem,) = judge(evidence, [], short, since=0, horizon=FOREVER).problems
    assert problem.what == "wrong"
    assert "stallTime: expected 0, got 3 (after 8 events)" in problem.detail


def test_a_heartbeat_after_the_first_close_row_or_too_soon_is_named(evidence: Evidence) -> None:
    received = [event.received_at for event in evidence.sessions[SID]]
    evidence.rows[SID] += [heartbeat(evidence, 12, 1, received[11])]
    assert found(evidence) == [("heartbeat", "heartbeat:1:0")]
    evidence.rows[SID][-1:] = [heartbeat(evidence, 8, 1, received[7])]
    assert found(evidence) == [("heartbeat", "heartbeat:1:0")]  # 70 ms after the start, 30 s are asked for


def test_a_reject_nobody_expects_and_one_that_is_missing_are_named(evidence: Evidence) -> None:
    evidence.rejects[0, 3] = ["poisoned"]
    assert [what for what, _ in found(evidence)] == ["reject"]
    evidence.rejects.clear()
    evidence.sessions[SID] += told([start(), *(spoken(60, "ping", n) for n in range(13))])[13:]
    assert [what for what, _ in found(evidence)] == ["missing"]


def test_an_acknowledged_event_that_is_not_in_the_log_is_named(evidence: Evidence) -> None:
    body = evidence.sessions[SID][5].body.encode()
    journal = Journal(0, "watched", [SID], [(SID, body)])
    assert judged(evidence, journal).problems == []
    journal.acknowledged.append((SID, body))
    (problem,) = judged(evidence, journal).problems
    assert problem.what == "unlogged"
    assert "answered 2xx 2 times, 1 in the log" in problem.detail


def test_a_batch_answered_2xx_must_be_in_the_log_whole(evidence: Evidence) -> None:
    journal = Journal(0, "offline", ["f" * 64], batch=("f" * 64, b"[]"))
    assert [problem.what for problem in judged(evidence, journal).problems] == ["unlogged"]


def test_sessions_from_before_the_run_are_left_alone(evidence: Evidence) -> None:
    without(evidence, "ad-close:1:0")
    assert judge(evidence, [], Timeouts(), since=BEGAN_AT + 1, horizon=FOREVER).problems == []


def test_expectations_with_room_accept_no_more_than_they_say() -> None:
    expected = {"a": Maybe(1), "b": OneOf(("x", "y")), "c": Near(0.5, 0.05), "d": Unordered([1, 2])}
    assert list(differences(expected, {"b": "y", "c": 0.54, "d": [2, 1]})) == []
    wrong = {"a": 2, "b": "z", "c": 0.56, "d": [1], "e": None}
    assert [one.path for one in differences(expected, wrong)] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(("played", "problems"), [(0, []), (10, [("missing", "session-close:1:1")])])
def test_a_revision_may_be_left_out_only_if_it_changes_nothing_in_some_reading(
    played: int, problems: list[tuple[str, str]]
) -> None:
    # Shares are compared to half a percent: less than that may have changed or not.
    stream = [start(600), spoken(0, "play", 0), spoken(20, "sessionComplete", 20), spoken(21, "play", 20)]
    stream += [spoken(21 + played, "ping", 20.4 + played)]
    events = told(stream)
    documents = [plain(expected.document) for expected in SessionTruth(events, Timeouts()).rows]
    landed = [
        Landed(document["mediabeat"]["kind"], HOME, offset, SID, orjson.loads(orjson.dumps(document)))
        for offset, document in enumerate(documents)
    ]
    evidence = Evidence({SID: events}, {SID: landed}, {}, partitions=12)
    assert [document["_id"] for document in documents][-1] == f"{SID}:session-close:1:1"
    assert found(evidence) == []
    without(evidence, "session-close:1:1")
    assert found(evidence) == problems
