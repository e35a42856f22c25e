"""The comparison of Roundware rows and answers with the truth: each deliberate fault is found and named."""

import orjson
import pytest

from deploy.fleet.evidence import Evidence, Landed
from deploy.fleet.expectation import plain
from deploy.fleet.outcome import Timeouts
from deploy.fleet.roundware.judgement import judge
from deploy.fleet.roundware.posting import Answered, Journal
from schemas import topics
from tests.deploy.roundware_streams import FOREVER, LIMIT_MS, NUMBER, SID, event, heard, listen, patch, session, truth

LATE = LIMIT_MS / 1000 + 100
STREAM = (session(), listen(1, 11, 1), event(40, "pause_stream"), patch(LATE, 11, 4))
HOME = topics.partition_of(SID, 12)


@pytest.fixture
def evidence() -> Evidence:
    """What the topics hold when everything is right: the truth itself, written out, and a heartbeat."""
    known = truth(*STREAM)
    rows = [plain(expected.document) for expected in known.rows]
    rows.append(plain(known.heartbeat(known.visits[0], 3, 1)))
    landed = [
        Landed(row["mediabeat"]["kind"], HOME, offset, SID, orjson.loads(orjson.dumps(row)))
        for offset, row in enumerate(rows)
    ]
    return Evidence(rows={SID: landed}, partitions=12, roundware={SID: heard(STREAM)})


def found(evidence: Evidence, *acknowledged: Answered) -> list[tuple[str, str]]:
    journal = Journal(0, "left", [SID], acknowledged=list(acknowledged))
    verdict = judge(evidence, [journal], Timeouts(idle=LIMIT_MS), since=0, horizon=FOREVER)
    return [(problem.what, problem.subject.removeprefix(SID + ":")) for problem in verdict.problems]


def place(evidence: Evidence, row_id: str) -> int:
    return next(at for at, one in enumerate(evidence.rows[SID]) if one.row["_id"] == f"{SID}:{row_id}")


def test_rows_equal_to_the_truth_are_right(evidence: Evidence) -> None:
    assert found(evidence) == []
    assert [one.row["_id"].removeprefix(SID + ":") for one in evidence.rows[SID]] == [
        "session-start:1:0",
        "session-close:1:0",
        "session-close:1:1",
        "session-start:2:0",
        "session-close:2:0",
        "heartbeat:1:0",
    ]


@pytest.mark.parametrize("row_id", ["session-start:2:0", "session-close:1:1", "session-close:2:0"])
def test_a_dropped_row_is_missing(evidence: Evidence, row_id: str) -> None:
    del evidence.rows[SID][place(evidence, row_id)]
    assert found(evidence) == [("missing", row_id)]


@pytest.mark.parametrize("row_id", ["session-start:1:0", "session-close:1:0", "heartbeat:1:0"])
def test_a_doubled_row_is_named(evidence: Evidence, row_id: str) -> None:
    evidence.rows[SID].append(evidence.rows[SID][place(evidence, row_id)])
    assert found(evidence) == [("doubled", row_id)]


@pytest.mark.parametrize("row_id", ["session-close:1:0", "session-close:1:1", "heartbeat:1:0"])
@pytest.mark.parametrize("value", ["assetSeconds", "heardSeconds", "listeningSeconds", "sessionSeconds"])
def test_a_number_that_is_wrong_by_a_millisecond_is_found(evidence: Evidence, row_id: str, value: str) -> None:
    evidence.rows[SID][place(evidence, row_id)].row["roundware"][value] += 0.001
    assert found(evidence) == [("wrong", row_id)]


def test_wrong_flags_types_and_assets_are_found(evidence: Evidence) -> None:
    first, second = (evidence.rows[SID][place(evidence, f"session-close:1:{n}")].row["roundware"] for n in (0, 1))
    first["flags"].remove("estimated")
    second["eventsByType"]["pause"] = 2
    second["assets"][0]["plays"] = 2
    assert found(evidence) == [("wrong", "session-close:1:0")] + 2 * [("wrong", "session-close:1:1")]


def test_a_row_that_nobody_expects_is_found_also_of_a_session_nobody_told(evidence: Evidence) -> None:
    stray = evidence.rows[SID][0]
    row = stray.row | {"_id": f"{SID}:session-start:3:0"}
    evidence.rows[SID].append(Landed("session-start", HOME, 99, SID, row))
    ghost = stray.row | {"_id": "r:5:session-start:1:0"}
    evidence.rows["r:5"] = [Landed("session-start", 0, 1, "r:5", ghost)]
    assert found(evidence) == [("unexpected", "session-start:3:0"), ("unexpected", "r:5:session-start:1:0")]


def test_a_heartbeat_of_no_visit_or_beyond_its_visit_is_found(evidence: Evidence) -> None:
    beat = evidence.rows[SID][place(evidence, "heartbeat:1:0")].row
    beat["roundware"]["visit"] = 7
    assert found(evidence) == [("unexpected", "heartbeat:1:0")]
    beat["roundware"]["visit"], beat["mediabeat"]["extras"]["foldedEvents"] = 1, 4
    assert found(evidence) == [("heartbeat", "heartbeat:1:0")]


def test_a_worker_that_refuses_what_the_door_took_is_found(evidence: Evidence) -> None:
    evidence.rejects[0, 2] = ["undecodable"]
    assert [what for what, _ in found(evidence)] == ["reject"]


def acknowledged(number: int = NUMBER, **answer: object) -> Answered:
    sent = STREAM[0][2]["sent"]
    echo = {"id": number, "session_id": number, "client_system": "iOS 8.1", "timezone": "0000", "project_id": 1}
    return Answered("session", number, sent, echo | answer)


def test_an_answer_that_the_log_backs_is_right(evidence: Evidence) -> None:
    assert found(evidence, acknowledged()) == []


def test_what_was_answered_and_is_not_in_the_log_is_found(evidence: Evidence) -> None:
    lost = Answered("event", 777, {"session_id": NUMBER, "event_type": "pause"}, {"id": 777})
    changed = Answered("listenChange", 11, {"duration_in_seconds": 5}, {"id": 11, "duration_in_seconds": 5.0})
    assert [what for what, _ in found(evidence, lost, changed)] == ["unlogged", "unlogged"]


def test_an_answer_that_says_something_else_is_found(evidence: Evidence) -> None:
    assert [what for what, _ in found(evidence, acknowledged(timezone="+0100"))] == ["answer"]


def test_a_number_that_was_given_twice_is_found(evidence: Evidence) -> None:
    assert [what for what, _ in found(evidence, acknowledged(), acknowledged())] == ["doubled"]
