"""Compares the rows of Roundware sessions with the truth, and what the door answered with what the log holds."""

from collections import Counter
from collections.abc import Iterable, Iterator

from deploy.fleet.evidence import Evidence, Landed
from deploy.fleet.expectation import differences
from deploy.fleet.judgement import Problem, Verdict, chains, compare_rows, name, placement
from deploy.fleet.outcome import Timeouts
from deploy.fleet.roundware.answers import unanswered_for
from deploy.fleet.roundware.posting import Journal
from deploy.fleet.roundware.told import Heard
from deploy.fleet.roundware.truth import SessionTruth


def judge(evidence: Evidence, journals: Iterable[Journal], timeouts: Timeouts, *, since: int, horizon: int) -> Verdict:
    """Every difference between rows and truth. Sessions that began before `since` (epoch ms) are left alone."""
    verdict = Verdict()
    for sid, heard in evidence.roundware.items():
        if heard[0].received_at < since:
            continue
        truth = verdict.truths[sid] = SessionTruth(heard, timeouts, horizon)
        found = evidence.rows.get(sid, [])
        verdict.problems += [*placement(found, evidence.partitions), *compare_rows(truth, found), *chains(found)]
        verdict.problems += [*_heartbeats(truth, found, timeouts.heartbeat), *_rejects(heard, evidence)]
        _count(verdict.counts, truth, heard, found)
    strangers = [sid for sid in evidence.rows if sid.startswith("r:") and sid not in evidence.roundware]
    verdict.problems += [Problem("unexpected", name(one)) for sid in strangers for one in evidence.rows[sid]]
    verdict.problems += unanswered_for(evidence.roundware, journals)
    return verdict


def _heartbeats(truth: SessionTruth, found: list[Landed], interval: int) -> Iterator[Problem]:
    """Their moment depends on commits and is not judged but for its bounds; their numbers are."""
    beats = sorted((one for one in found if one.topic_kind == "heartbeat"), key=lambda landed: landed.offset)
    ids = Counter(name(beat) for beat in beats)
    yield from (Problem("doubled", row_id, f"{times} times") for row_id, times in ids.items() if times > 1)
    last_folded: dict[int, int] = {}
    for instance, beat in enumerate({name(beat): beat for beat in beats}.values(), 1):
        ordinal = beat.row.get("roundware", {}).get("visit")
        visit = next((visit for visit in truth.visits if visit.ordinal == ordinal), None)
        if visit is None:
            yield Problem("unexpected", name(beat), f"a heartbeat of visit {ordinal}")
            continue
        ours = beat.row.get("mediabeat", {})
        folded, before = ours.get("extras", {}).get("foldedEvents"), last_folded.get(ordinal, 1)
        if not isinstance(folded, int) or not before < folded <= len(visit.records):
            room = f"{before} to {len(visit.records)} can be"
            yield Problem("heartbeat", name(beat), f"after {folded} records; {room}")
            continue
        for path, wanted, got in differences(truth.heartbeat(visit, folded, instance), beat.row):
            yield Problem("wrong", name(beat), f"{path}: expected {wanted!r}, got {got!r} (after {folded} records)")
        apart = visit.records[folded - 1].at - visit.records[before - 1].at
        if apart < interval:
            yield Problem("heartbeat", name(beat), f"{apart} ms after the one before")
        last_folded[ordinal] = folded


def _rejects(heard: list[Heard], evidence: Evidence) -> Iterator[Problem]:
    """A worker can use whatever the door took."""
    for record in heard:
        codes = evidence.rejects.get((record.partition, record.offset), [])
        if codes:
            place = f"{record.sid} {record.kind} at {record.partition}/{record.offset}"
            yield Problem("reject", f"reject of {place}", f"expected none, got {codes}")


def _count(counts: Counter[str], truth: SessionTruth, heard: list[Heard], found: list[Landed]) -> None:
    counts["sessions"] += 1
    counts["visits"] += len(truth.visits)
    counts["records"] += len(heard)
    counts["revisions"] += sum(one.revision > 0 for one in truth.rows)
    for visit in truth.visits:
        counts[f"visits ended: {visit.ending.reason if visit.ending else 'open'}"] += 1
    for one in found:
        counts[f"rows {one.topic_kind}"] += 1
