"""Compares what stands on the report topics with the truth, and names every difference."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from deploy.fleet.evidence import Evidence, Landed
from deploy.fleet.expectation import differences
from deploy.fleet.outcome import Expected, Reject, Timeouts
from deploy.fleet.posting import Journal
from deploy.fleet.truth import SessionTruth
from deploy.fleet.truth_records import Told
from schemas import topics


class Problem(NamedTuple):
    """`what`: missing, doubled, wrong, unexpected, chain, misplaced, heartbeat, unlogged or reject."""

    what: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.subject}" + (f": {self.detail}" if self.detail else "")


class Truth(Protocol):
    """What must come out of one session, of any dialect."""

    rows: list[Expected]
    rejects: list[Reject]

    @property
    def is_open(self) -> bool: ...


@dataclass(slots=True)
class Verdict:
    problems: list[Problem] = field(default_factory=list)
    truths: dict[str, Truth] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_waiting(self) -> bool:
        """Whether time alone may still mend it: something is missing and nothing else is wrong."""
        return any(problem.what == "missing" for problem in self.problems)

    def open_sessions(self) -> int:
        return sum(truth.is_open for truth in self.truths.values())


def judge(evidence: Evidence, journals: Iterable[Journal], timeouts: Timeouts, *, since: int, horizon: int) -> Verdict:
    """Every difference between rows and truth. Sessions that began before `since` (epoch ms) are left alone.

    `horizon`: the wall time up to which deadlines are taken to have passed.
    """
    verdict = Verdict()
    for sid, told in evidence.sessions.items():
        if told[0].received_at < since:
            continue
        truth = verdict.truths[sid] = SessionTruth(told, timeouts, horizon)
        found = evidence.rows.get(sid, [])
        verdict.problems += [*placement(found, evidence.partitions), *compare_rows(truth, found), *chains(found)]
        verdict.problems += [*_heartbeats(truth, found), *_rejects(truth, told, evidence)]
        _count(verdict.counts, truth, told, found)
    strangers = evidence.rows.keys() - evidence.sessions.keys() - evidence.roundware.keys()
    verdict.problems += [Problem("unexpected", name(one)) for sid in strangers for one in evidence.rows[sid]]
    verdict.problems += _unlogged(evidence.sessions, journals)
    return verdict


def name(landed: Landed) -> str:
    """How a row is called in a problem."""
    return str(landed.row.get("_id", f"row without _id at {landed.topic_kind}/{landed.partition}/{landed.offset}"))


def placement(found: list[Landed], partitions: int) -> Iterator[Problem]:
    """Each row is on its key's partition, on the topic of its kind, under its session's key."""
    for one in found:
        home = topics.partition_of(one.key, partitions)
        ours = one.row.get("mediabeat", {})
        if one.partition != home:
            yield Problem("misplaced", name(one), f"partition {one.partition}, its key belongs on {home}")
        if ours.get("kind") != one.topic_kind or ours.get("sessionId") != one.key:
            yield Problem("misplaced", name(one), f"on the topic of {one.topic_kind} under key {one.key}")


def compare_rows(truth: Truth, found: list[Landed]) -> Iterator[Problem]:
    """Each expected row is there once and equal, and no other but heartbeats."""
    by_id: dict[str, list[Landed]] = {}
    for one in found:
        if one.topic_kind != "heartbeat":
            by_id.setdefault(name(one), []).append(one)
    for expected in truth.rows:
        landed = by_id.pop(expected.row_id, [])
        if not landed:
            if not expected.optional:
                yield Problem("missing", expected.row_id)
            continue
        if len(landed) > 1:
            yield Problem("doubled", expected.row_id, f"{len(landed)} times")
        for path, wanted, got in differences(expected.document, landed[0].row):
            yield Problem("wrong", expected.row_id, f"{path}: expected {wanted!r}, got {got!r}")
    for row_id, landed in by_id.items():
        yield Problem("unexpected", row_id, f"{len(landed)} times" if len(landed) > 1 else "")


def chains(found: list[Landed]) -> Iterator[Problem]:
    """Revisions of one row count 0, 1, 2 ... in the order of their offsets."""
    found_chains: dict[tuple[str, Any], list[int]] = {}
    for one in sorted(found, key=lambda landed: landed.offset):
        ours = one.row.get("mediabeat", {})
        revisions = found_chains.setdefault((one.topic_kind, ours.get("instance")), [])
        if ours.get("revision") not in revisions:  # a doubled row is named as such
            revisions.append(ours.get("revision"))
    for (kind, instance), revisions in found_chains.items():
        if revisions != list(range(len(revisions))):
            yield Problem("chain", f"{found[0].key}:{kind}:{instance}", f"revisions in order {revisions}")


def _heartbeats(truth: SessionTruth, found: list[Landed]) -> Iterator[Problem]:
    """Their moment depends on commits and is not judged but for its bounds; their numbers are."""
    beats = sorted((one for one in found if one.topic_kind == "heartbeat"), key=lambda landed: landed.offset)
    if not beats or truth.story is None:
        yield from (Problem("unexpected", name(beat), "a heartbeat without a session") for beat in beats)
        return
    ids = Counter(name(beat) for beat in beats)
    yield from (Problem("doubled", row_id, f"{times} times") for row_id, times in ids.items() if times > 1)
    arrivals = [truth.story.start.arrived_at, *(event.arrived_at for event in truth.folded)]
    last_arrival, last_folded = arrivals[0], 1
    for instance, beat in enumerate({name(beat): beat for beat in beats}.values(), 1):
        ours = beat.row.get("mediabeat", {})
        folded = ours.get("extras", {}).get("foldedEvents")
        if not isinstance(folded, int) or not last_folded < folded <= truth.open_folds:
            yield Problem("heartbeat", name(beat), f"after {folded} events; {last_folded} to {truth.open_folds} can be")
            continue
        for path, wanted, got in differences(truth.heartbeat(folded, instance), beat.row):
            yield Problem("wrong", name(beat), f"{path}: expected {wanted!r}, got {got!r} (after {folded} events)")
        arrival = max(arrivals[:folded])
        if arrival - last_arrival < truth.timeouts.heartbeat:
            yield Problem("heartbeat", name(beat), f"{arrival - last_arrival} ms after the one before")
        last_arrival, last_folded = arrival, folded


def _rejects(truth: SessionTruth, told: list[Told], evidence: Evidence) -> Iterator[Problem]:
    expected = {reject.event.offset: reject.code for reject in truth.rejects}
    for event in told:
        codes = evidence.rejects.get((event.partition, event.offset), [])
        wanted = [expected[event.offset]] if event.offset in expected else []
        if codes != wanted:
            place = f"{event.sid} {event.type} at {event.partition}/{event.offset}"
            what = "missing" if wanted and not codes else "reject"
            yield Problem(what, f"reject of {place}", f"expected {wanted}, got {codes}")


def _unlogged(sessions: dict[str, list[Told]], journals: Iterable[Journal]) -> Iterator[Problem]:
    """An acknowledged event that the log does not hold: each 2xx answers for one record."""
    acknowledged: Counter[tuple[str, str]] = Counter()
    for journal in journals:
        acknowledged.update((sid, body.decode()) for sid, body in journal.acknowledged)
        if journal.batch is not None:
            sid, _ = journal.batch
            indexes = {event.index for event in sessions.get(sid, [])}
            of = max((event.of or 0 for event in sessions.get(sid, [])), default=0)
            if not of or indexes != set(range(of)):
                yield Problem("unlogged", sid, f"batch: {len(indexes)} of {of or '?'} elements stand in the log")
    logged = Counter((sid, event.body) for sid, told in sessions.items() for event in told)
    for (sid, body), times in acknowledged.items():
        if logged[sid, body] < times:
            yield Problem("unlogged", sid, f"answered 2xx {times} times, {logged[sid, body]} in the log: {body[:200]}")


def _count(counts: Counter[str], truth: SessionTruth, told: list[Told], found: list[Landed]) -> None:
    counts["sessions"] += 1
    counts["batches"] += told[0].source == "batch"
    counts["events"] += len(told)
    counts["events that changed something"] += len(truth.folded)
    counts["rejects"] += len(truth.rejects)
    counts["revisions"] += sum(one.revision > 0 for one in truth.rows)
    for one in found:
        counts[f"rows {one.topic_kind}"] += 1
