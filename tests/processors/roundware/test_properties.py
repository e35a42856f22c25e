"""What holds of every stream of posts, however it is cut into transactions and however often one is lost."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.roundware import packed
from processors.roundware.rules import RoundwareRules
from tests.processors.partition import FAR
from tests.processors.roundware.listening import VALID, Rounds, seconds
from tests.processors.roundware.streams import Step, post, steps

ample = settings(max_examples=60)
END = 100_000  # seconds; the longest stream and its last visit's idle limit lie before it


def folded_at_once(stream: list[Step]) -> Rounds:
    rounds = Rounds()
    post(rounds, stream)
    rounds.fold()
    rounds.wait(END)
    return rounds


def outcome(rounds: Rounds) -> tuple[Any, ...]:
    assert not rounds.rejects()
    rows = {row["_id"]: row for row in rounds.all_rows()}
    assert len(rows) == len(rounds.all_rows())
    return rows, rounds.shown(), rounds.live_state()


@ample
@given(steps, st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(("plain", "lost", "restarted")))
def test_any_cut_into_transactions_gives_the_same_rows(stream: list[Step], cuts: list[int], how: str) -> None:
    expected = folded_at_once(stream)
    rounds = Rounds()
    post(rounds, stream)
    place = 0
    while rounds.position < len(rounds.log):
        if how == "lost":
            rounds.table.fold(rounds.log, rounds.position, min(rounds.position + cuts[-1], len(rounds.log)), FAR)
            rounds.table.finish()
            rounds.table.rollback()
        size = cuts[place % len(cuts)]
        log, rounds.log = rounds.log, rounds.log[: rounds.position + size]
        rounds.fold()
        rounds.log = log
        place += 1
        if how == "restarted":
            rounds.restart()
    rounds.wait(END)
    assert outcome(rounds) == outcome(expected)
    assert rounds.counts.folded == expected.counts.folded
    assert rounds.counts.open_visits == {rounds.number: 0}


@ample
@given(steps, st.lists(st.floats(0, END), max_size=4))
def test_it_does_not_matter_when_the_clock_finds_out(stream: list[Step], looks: list[float]) -> None:
    expected = folded_at_once(stream)
    rounds = Rounds()
    post(rounds, stream)
    for record in list(rounds.log):
        log, rounds.log = rounds.log, rounds.log[: record.offset + 1]
        # A caught-up lane's clock is never beyond what may still come.
        received = min(record.timestamp - 5, *(later.timestamp - 5 for later in log[record.offset :]))
        for look in looks:
            if seconds(look) < received:
                rounds.wait(look)
        rounds.fold()
        rounds.log = log
    rounds.wait(END)
    assert outcome(rounds) == outcome(expected)


@ample
@given(steps)
@example([("tell", 0, 2, 0, 3), ("tell", 0, 2, 1, 13), ("hear", 0, 0.3, 1, 0), ("tell", 0, 0.3, 6, 40)])
def test_unpacking_gives_back_every_member(stream: list[Step]) -> None:
    rounds = Rounds()
    post(rounds, stream)
    table, rules = rounds.table._roundware, RoundwareRules()
    table.fold(rounds.log, 0, len(rounds.log), FAR)
    for sid, draft in table._drafts.items():
        bytes_of_it = packed.pack(draft.state, rules, 17)
        again = packed.unpack(sid, bytes_of_it)
        assert again == draft.state
        assert packed.pack(again, rules, 17) == bytes_of_it
        assert packed.kind_of(bytes_of_it) is draft.state.kind
        assert packed.times_of(bytes_of_it) == (draft.state.deadline(rules), 17)


@ample
@given(steps)
def test_the_numbers_of_a_visit_agree_with_each_other(stream: list[Step]) -> None:
    rounds = Rounds(listening=RoundwareRules(heartbeat_interval_ms=1))
    post(rounds, stream)
    for end in range(1, len(rounds.log) + 1, 3):
        log, rounds.log = rounds.log, rounds.log[:end]
        rounds.fold()
        rounds.log = log
    rounds.fold()
    rounds.wait(END)
    folded = 0
    for row in rounds.all_rows():
        VALID(row)
        own, block = row["mediabeat"], row["roundware"]
        if own["kind"] == "session-start":
            continue
        assert 0 <= block["heardSeconds"] <= block["assetSeconds"] + 1e-9
        assert 0 <= block["listeningSeconds"] <= block["sessionSeconds"]
        assert block["heardSeconds"] <= block["sessionSeconds"]
        assert sum(asset["seconds"] for asset in block["assets"]) - block["assetSeconds"] < 1e-6
        assert sum(block["eventsByType"].values()) == own["extras"]["foldedEvents"]
        assert block["sessionSeconds"] == (own["endedAt"] - own["startedAt"]) / 1000
        if own["kind"] == "session-close" and own["revision"] == 0:
            folded += own["extras"]["foldedEvents"]
    assert folded == rounds.counts.folded
    assert rounds.counts.consumed == rounds.counts.folded + rounds.counts.duplicates
    beats = [row["mediabeat"] for row in rounds.all_rows() if row["mediabeat"]["kind"] == "heartbeat"]
    for sid in {beat["sessionId"] for beat in beats}:
        instances = [beat["instance"] for beat in beats if beat["sessionId"] == sid]
        assert instances == list(range(instances[0], instances[0] + len(instances)))
