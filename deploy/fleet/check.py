"""Waits until the reports must be whole, judges them, and prints what was found."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from deploy.fleet.evidence import Evidence, Reader, gather
from deploy.fleet.expectation import plain
from deploy.fleet.judgement import Verdict, judge
from deploy.fleet.outcome import Timeouts

SHOWN = 12
"""Differences printed of each kind."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: `for_closing` until every session has run out of time, `for_rows` after that."""

    for_closing: float
    for_rows: float = 30.0
    look_every: float = 1.0


class Answers(Protocol):
    """What a journal of any dialect tells: the ids it was given, and how often each status was answered (0: none)."""

    @property
    def sids(self) -> list[str]: ...

    @property
    def statuses(self) -> dict[int, int]: ...


class Judge(Protocol):
    """What is wrong with the rows of one dialect, found as `judgement.judge` does; journals are that dialect's own."""

    def __call__(
        self, evidence: Evidence, journals: Iterable[Any], timeouts: Timeouts, *, since: int, horizon: int
    ) -> Verdict: ...


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def check(
    reader: Reader,
    partitions: int,
    journals: list[Any],
    timeouts: Timeouts,
    *,
    since: int,
    patience: Patience,
    said: Callable[[str], None],
    judged_by: Judge = judge,
) -> Verdict:
    """The verdict, as soon as nothing is missing and no session is open, or when patience is at its end."""
    give_up_closing = time.monotonic() + patience.for_closing
    give_up_rows = give_up_closing + patience.for_rows
    while True:
        # Reading and judging take their time: what came due meanwhile is for the next look, and so is patience's end.
        late, horizon = time.monotonic(), now_ms()
        evidence = await gather(reader, partitions)
        verdict = judged_by(evidence, journals, timeouts, since=since, horizon=horizon)
        is_open = verdict.open_sessions()
        if not is_open:
            # Every session has run out of time: from here on only the workers can be late.
            give_up_closing, give_up_rows = min(give_up_closing, late), min(give_up_rows, late + patience.for_rows)
        still_waits = (is_open and late < give_up_closing) or (verdict.is_waiting and late < give_up_rows)
        if not still_waits:
            return verdict
        longest = (give_up_closing if is_open else give_up_rows) - late
        differ = f"{is_open} sessions open, {len(verdict.problems)} rows still differ"
        said(f"waiting, at most {longest:.0f} s more: {differ}")
        await asyncio.sleep(max(patience.look_every, min(_until_closed(evidence, timeouts), give_up_closing - late)))


def _until_closed(evidence: Evidence, timeouts: Timeouts) -> float:
    """Seconds until the youngest session can be idle: there is nothing to see before, half of it at a time."""
    return max(0.0, (evidence.newest_at + timeouts.idle + timeouts.grace - now_ms()) / 2000)


def report(verdict: Verdict, journals: Iterable[Answers], said: Callable[[str], None]) -> bool:
    """Say counts and differences; True if there is no difference."""
    statuses: dict[str, int] = {}
    journals = list(journals)
    unheard = sum(not journal.sids for journal in journals)
    if unheard:
        said(f"{unheard} of {len(journals)} sessions never got an id: no answer to any start")
    for journal in journals:
        for status, times in journal.statuses.items():
            name = str(status) if status else "no answer"
            statuses[name] = statuses.get(name, 0) + times
    if statuses:
        said("answers: " + ", ".join(f"{times} x {status}" for status, times in sorted(statuses.items())))
    said("found: " + ", ".join(f"{number} {name}" for name, number in sorted(verdict.counts.items())))
    if verdict.open_sessions():
        said(f"{verdict.open_sessions()} sessions are still open: their close rows were not judged")
    kinds: dict[str, int] = {}
    for problem in verdict.problems:
        kinds[problem.what] = kinds.get(problem.what, 0) + 1
    for what, number in sorted(kinds.items()):
        for problem in [problem for problem in verdict.problems if problem.what == what][:SHOWN]:
            said(str(problem))
        if number > SHOWN:
            said(f"... and {number - SHOWN} more {what}")
    said(
        f"{len(verdict.problems)} differences: " + ", ".join(f"{n} {what}" for what, n in sorted(kinds.items()))
        if kinds
        else f"every row of {verdict.counts['sessions']} sessions is there once and equal to the truth"
    )
    return not verdict.problems


def truth_lines(verdict: Verdict) -> Iterable[bytes]:
    """The truth as JSON lines: one expected row each, then one expected reject each."""
    for truth in verdict.truths.values():
        for expected in truth.rows:
            yield _line(plain(expected.document))
        for reject in truth.rejects:
            yield _line({"reject": reject.code, "sid": reject.event.sid, "offset": reject.event.offset})


def _line(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
