"""Offline batches: one session, in order, without window, silence or heartbeat; known for thirty days."""

from hashlib import sha256
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from processors.session.rules import Rules
from tests.processors.partition import HOUR, IOS, MINUTE, START_PARAMS, T0, Partition, document, reports

SID = sha256(b"a batch").hexdigest()
DAY = 24 * HOUR
CAP = 24 * HOUR + MINUTE
AD = {"media.ad.id": "ad", "media.ad.name": "ad", "media.ad.length": 15, "media.ad.podPosition": 1}
POD = {"media.ad.podIndex": 1, "media.ad.podSecond": 0}


def bodies(*events: tuple[Any, ...]) -> list[bytes]:
    """Events as (type, playhead, ts) or (type, playhead, ts, params)."""
    found = []
    for event_type, playhead, ts, *params in events:
        members = {"params": params[0]} if params else {}
        found.append(orjson.dumps(document(event_type, playhead, T0 + ts, **members)))
    return found


START = ("sessionStart", 0, 0, START_PARAMS | IOS)
WATCHED = bodies(START, ("play", 0, 0), ("ping", 50, 50_000), ("ping", 100, 100_000), ("sessionComplete", 120, 120_000))


def test_a_batch_closes_at_its_last_element_at_once() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED)
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "complete"
    assert close["mediabeat"]["source"] == "batch"
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 120
    assert partition.counts.open_sessions == {3: 0}


def test_a_batch_that_does_not_end_itself_closes_with_end() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:-1])
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"
    assert close["mediabeat"]["endedAt"] == T0 + 100_000
    assert "incompleteBatch" not in close["mediabeat"].get("flags", [])


def test_a_batch_of_a_start_alone_is_over_with_it() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:1])
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["flags"] == ["noEvents"]


def test_a_second_upload_changes_nothing_and_is_no_reject() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED)
    partition.fold()
    written = len(partition.written)
    for later in (MINUTE, HOUR, 29 * DAY):
        partition.upload(SID, WATCHED, at=later)
        partition.fold()
        partition.restart()
    assert len(partition.written) == written
    assert partition.counts.duplicates == 3 * len(WATCHED)


def test_a_batch_is_forgotten_after_thirty_days() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED)
    partition.fold()
    partition.pass_time(30 * DAY)
    assert partition.live_state() == {SID}
    partition.pass_time(30 * DAY + 1)
    assert not partition.live_state()


def test_a_retry_after_a_prefix_goes_on_where_the_prefix_ends() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:3], of=5)
    partition.fold()
    partition.restart()
    partition.upload(SID, WATCHED, at=MINUTE)
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 120
    assert partition.counts.duplicates == 3
    assert not partition.rejects()


def test_a_batch_has_neither_silence_nor_still_playhead() -> None:
    partition = Partition()
    partition.upload(SID, bodies(START, ("play", 5, 0), ("ping", 5, 3 * HOUR)), of=4)
    partition.fold()
    partition.pass_time(23 * HOUR)
    partition.upload(SID, bodies(("sessionEnd", 5, 9 * HOUR)), first=3, at=23 * HOUR)
    partition.fold()
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "end"


def test_a_batch_has_no_heartbeats() -> None:
    partition = Partition(rules=Rules(heartbeat_interval_ms=1))
    partition.upload(SID, WATCHED[:2], of=5)
    partition.fold()
    partition.upload(SID, WATCHED[2:], at=MINUTE, first=2)
    partition.fold()
    assert not partition.rows("heartbeat")


def test_an_incomplete_batch_closes_at_the_cap_and_says_so() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:3], of=5)
    partition.fold()
    partition.pass_time(CAP)
    assert not partition.rows("session-close")
    partition.pass_time(CAP + 1)
    [close] = partition.rows("session-close")
    assert close["mediabeat"]["closeReason"] == "cap24h"
    assert close["mediabeat"]["flags"] == ["incompleteBatch"]
    assert close["mediabeat"]["closedAt"] == T0 + 24 * HOUR
    assert partition.live_state() == {SID, f"{SID}/start"}
    assert not partition.closed()


def test_the_missing_elements_reopen_an_incomplete_batch_and_revise_its_rows() -> None:
    partition = Partition()
    events = bodies(
        START,
        ("play", 0, 0),
        ("adBreakStart", 10, 10_000, POD),
        ("adStart", 10, 10_000, AD),
        ("adComplete", 10, 25_000),
        ("adBreakComplete", 10, 25_000),
        ("sessionEnd", 30, 45_000),
    )
    whole = Partition()
    whole.upload(SID, events)
    whole.fold()

    partition.upload(SID, events[:4], of=7)
    partition.fold()
    partition.pass_time(CAP + 1)
    assert len(partition.rows("ad-close")) == 1
    partition.restart()
    partition.upload(SID, events, at=3 * DAY)
    partition.fold()

    for kind in ("ad-close", "session-close"):
        first, second = partition.rows(kind)
        assert (first["mediabeat"]["revision"], second["mediabeat"]["revision"]) == (0, 1)
        [told_at_once] = reports(whole.rows(kind))
        assert reports([second])[0]["mediaReporting"] == told_at_once["mediaReporting"]
        assert "incompleteBatch" not in second["mediabeat"].get("flags", [])
    assert partition.counts.duplicates == 4
    assert partition.counts.open_sessions == {3: 0}


def test_a_reopened_batch_that_stays_incomplete_closes_again() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:2], of=5)
    partition.fold()
    partition.pass_time(CAP + 1)
    partition.upload(SID, WATCHED[2:3], at=2 * DAY, first=2, of=5)
    partition.fold()
    partition.pass_time(2 * DAY + CAP + 1)
    assert [row["mediabeat"]["revision"] for row in partition.rows("session-close")] == [0, 1]
    assert partition.counts.closed == {"cap24h": 2}
    partition.pass_time(40 * DAY)
    assert not partition.live_state()


def test_a_batch_that_completed_but_lacks_elements_reopens_too() -> None:
    partition = Partition()
    events = bodies(
        START, ("play", 0, 0), ("sessionComplete", 9, 9_000), ("play", 9, 10_000), ("sessionEnd", 19, 20_000)
    )
    partition.upload(SID, events[:3], of=5)
    partition.fold()
    partition.pass_time(CAP + 1)
    partition.upload(SID, events[3:], at=2 * DAY, first=3)
    partition.fold()
    assert not partition.rejects()
    contents = [row["mediaReporting"]["sessionDetails"]["timePlayed"] for row in partition.rows("session-close")]
    assert contents[-1] == 19


def test_an_element_after_the_end_is_rejected_once() -> None:
    partition = Partition()
    events = bodies(START, ("sessionEnd", 5, 5_000), ("ping", 6, 6_000))
    partition.upload(SID, events)
    partition.upload(SID, events, at=MINUTE)
    partition.fold()
    assert [reject["origin"]["offset"] for reject in partition.rejects("session_closed")] == [2]
    assert partition.counts.duplicates == 3


def test_an_element_after_the_end_that_repeats_one_before_it_is_no_reject() -> None:
    partition = Partition()
    partition.upload(SID, [*bodies(START, ("error", 0, 0), ("sessionEnd", 0, 5_000), ("error", 0, 0))])
    partition.fold()
    assert partition.rejects() == []
    assert partition.counts.duplicates == 1


def test_an_element_too_early_is_rejected_and_waits_for_its_place() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[:2], of=5)
    partition.upload(SID, WATCHED[3:], first=3)
    partition.upload(SID, WATCHED, at=MINUTE)
    partition.fold()
    assert len(partition.rejects("undecodable")) == 2
    [close] = partition.rows("session-close")
    assert close["mediaReporting"]["sessionDetails"]["timePlayed"] == 120


def test_elements_without_their_start_open_nothing() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED[1:], first=1)
    partition.fold()
    assert [reject["code"] for reject in partition.rejects()] == ["session_closed"] * 4


def test_a_batch_without_content_id_is_muted_and_its_repeat_is_no_reject() -> None:
    partition = Partition()
    events = bodies(("sessionStart", 0, 0, START_PARAMS | {"media.id": ""}), ("play", 0, 0), ("sessionEnd", 5, 5_000))
    partition.upload(SID, events)
    partition.upload(SID, events, at=MINUTE)
    partition.fold()
    assert [reject["code"] for reject in partition.rejects()] == ["empty_content_id"] * 3
    assert partition.counts.duplicates == 3


def test_a_batch_may_be_days_old() -> None:
    partition = Partition()
    partition.upload(SID, WATCHED, at=20 * DAY)
    partition.fold()
    assert len(partition.rows("session-close")) == 1
    assert not partition.rejects()


@given(st.lists(st.sampled_from(["play", "pauseStart", "bufferStart", "ping", "error"]), max_size=12), st.data())
def test_a_batch_reports_what_a_serial_client_reports_live(types: list[str], data: st.DataObject) -> None:
    events: list[tuple[Any, ...]] = [START]
    ts = 0
    for event_type in types:
        ts += data.draw(st.sampled_from([0, 1, 4_000, 10_000]))
        events.append((event_type, ts // 1_000, ts))
    events.append((data.draw(st.sampled_from(["sessionEnd", "sessionComplete"])), ts // 1_000, ts))
    live = Partition()
    sid = f"01{0:04x}{T0:012x}{SID[:46]}"  # one id for both, as only a test can have it
    for event_type, playhead, at, *params in events:
        live.post(sid, event_type, playhead, at, **({"params": params[0]} if params else {}))
    live.fold()
    live.pass_time(ts + 6_000)
    batch = Partition()
    batch.upload(sid, bodies(*events))
    batch.fold()
    assert comparable(batch) == comparable(live)


def comparable(partition: Partition) -> list[dict[str, Any]]:
    """Rows of a partition but for what only a batch, or only a live session, can say."""
    rows = reports(partition.all_rows())
    for row in rows:
        row["mediaReporting"].get("sessionDetails", {}).pop("isDownloaded", None)
        row["mediabeat"].get("extras", {}).pop("serverStartupMs", None)
    return rows
