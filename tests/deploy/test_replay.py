import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.failure import Failure
from deploy.replay import Leaving, Sending, Settled, plan
from deploy.replay_file import FilePositions

PING = '{"eventType":"ping","playerTime":{"playhead":1,"ts":1}}'


def reject(**changed: Any) -> dict[str, Any]:
    return {
        "rejectedAt": 1,
        "stage": "door",
        "code": "schema_violation",
        "status": 400,
        "sid": "ab",
        "endpoint": "/api/v1/sessions/ab/events",
        "errors": [],
        "peer": None,
        "origin": None,
        "body": PING,
        **changed,
    }


def test_an_event_goes_under_its_session_as_it_came() -> None:
    assert plan(reject()) == Sending("/api/v1/sessions/ab/events", PING.encode())


def test_bytes_that_are_no_text_go_as_they_came() -> None:
    body = b"\xff\xfe"

    assert plan(reject(body=None, bodyBase64=base64.b64encode(body).decode())) == Sending(
        "/api/v1/sessions/ab/events", body
    )


def test_a_batch_goes_whole_where_it_came_in() -> None:
    assert plan(reject(endpoint="/api/v1/downloaded", sid=None, body="[]")) == Sending("/api/v1/downloaded", b"[]")


@pytest.mark.parametrize(
    "changed",
    [{"sid": None, "endpoint": "/api/2/sessions/"}, {"sid": "r:499837736321292", "endpoint": None, "stage": "worker"}],
)
def test_what_a_roundware_client_sent_is_left(changed: dict[str, Any]) -> None:
    assert plan(reject(**changed)) == Leaving("a Roundware request is its client's to send, with the client's token")


def test_an_event_that_a_worker_rejected_goes_under_its_session() -> None:
    assert plan(reject(stage="worker", code="poisoned", endpoint=None)) == Sending(
        "/api/v1/sessions/ab/events", PING.encode()
    )


def test_a_start_that_a_worker_rejected_goes_anew() -> None:
    body = '{"eventType":"sessionStart"}'

    assert plan(reject(stage="worker", code="empty_content_id", endpoint=None, body=body)) == Sending(
        "/api/v1/sessions", body.encode()
    )


@pytest.mark.parametrize(
    "left",
    [
        reject(truncated=True),
        reject(code="session_closed"),
        reject(stage="worker", endpoint=None, sid=None),
        {},
    ],
)
def test_what_cannot_be_sent_is_left_with_a_reason(left: dict[str, Any]) -> None:
    assert isinstance(plan(left), Leaving)


def walk(settled: Settled, offsets: list[int], chosen: set[int]) -> list[int]:
    """One replay: settle the chosen ones; which of them were met for the first time."""
    fresh = []
    for offset in offsets:
        if not settled.pass_by(offset) and offset in chosen:
            settled.settle(offset)
            fresh.append(offset)
    return fresh


OFFSETS = st.lists(st.integers(0, 10_000), unique=True).map(sorted)


@given(OFFSETS, st.data())
def test_each_reject_is_met_once_whatever_was_chosen_before(offsets: list[int], data: st.DataObject) -> None:
    subsets = st.sets(st.sampled_from(offsets)) if offsets else st.just(set())
    settled, before = Settled(), set()
    for chosen in data.draw(st.lists(subsets, max_size=4)):
        assert walk(settled, offsets, chosen) == sorted(chosen - before)
        before |= chosen
        settled = Settled(settled.text())

    assert [offset for offset in offsets if offset in settled] == sorted(before)


@given(OFFSETS)
def test_a_replay_of_everything_leaves_one_run_however_offsets_skip(offsets: list[int]) -> None:
    settled = Settled()
    walk(settled, offsets, set(offsets))

    assert settled.text() == (f"0-{offsets[-1]}" if offsets else "")
    assert settled.next_offset() == (offsets[-1] + 1 if offsets else 0)


def test_a_gap_closes_when_what_was_left_is_settled() -> None:
    settled = Settled()
    walk(settled, [3, 5, 9], {3, 9})
    assert settled.text() == "0-3,9-9"
    assert settled.next_offset() == 4

    again = Settled(settled.text())
    walk(again, [3, 5, 9], {5})
    assert again.text() == "0-9"


async def test_positions_are_kept_in_the_data_directory(tmp_path: Path) -> None:
    positions = FilePositions(tmp_path, "mediabeat")
    assert await positions.load() == {}
    settled = Settled()
    settled.settle(4)

    await positions.save({3: settled})

    assert (tmp_path / "mediabeat-replay.json").exists()
    found = await FilePositions(tmp_path, "mediabeat").load()
    assert {partition: runs.text() for partition, runs in found.items()} == {3: "0-4"}
    assert await FilePositions(tmp_path, "another").load() == {}


@pytest.mark.parametrize("text", ["", "[]", '{"1":"x"}', '{"a":"0-1"}'])
async def test_a_broken_file_of_positions_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "mediabeat-replay.json").write_text(text)

    with pytest.raises(Failure, match=r"mediabeat-replay\.json"):
        await FilePositions(tmp_path, "mediabeat").load()


async def test_a_directory_that_cannot_be_written_stops_the_replay(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot write"):
        await FilePositions(tmp_path / "gone", "mediabeat").save({})
