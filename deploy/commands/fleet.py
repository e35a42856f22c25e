"""Simulated players, and the check of every report row against a truth computed apart from the workers.

Posts SESSIONS sessions drawn from a seed to the front door. With --check it then waits until every session has ended
(the timeouts below must be those of the workers: small ones make it quick), reads the log and compares each row of
each report topic with the truth: missing, doubled, wrong. Exit status 1 on any difference. With --sessions 0 nothing
is posted and every session in the log is checked.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import orjson

from deploy import loop, settings, wiring
from deploy.fleet import check, crew
from deploy.fleet.judgement import Verdict
from deploy.fleet.outcome import Timeouts
from deploy.fleet.posting import Journal
from deploy.fleet.scripts import Waits
from deploy.settings import Settings
from schemas import topics

SETTINGS: Final = (
    "IDLE_TIMEOUT",
    "STILL_TIMEOUT",
    "SESSION_CAP",
    "GRACE",
    "REORDER_WINDOW",
    "HEARTBEAT_INTERVAL",
    "PARTITIONS",
    *settings.LOG,
)
CLOCK_SKEW_MS: Final = 5_000
"""How far a front door's clock may be behind ours before its sessions are taken for older ones."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, action="append", help="a front door; may be given several times")
    parser.add_argument("--sessions", type=_natural, default=100, help="how many sessions (100)")
    parser.add_argument("--rate", type=float, default=0.0, help="posts a second in all (0: as fast as answers come)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed plays the same sessions (1)")
    parser.add_argument("--processes", type=_positive, default=1, help="player processes (1)")
    parser.add_argument("--at-once", type=_positive, default=200, help="sessions at once over all processes (200)")
    parser.add_argument("--check", action="store_true", help="compare every report row with the truth afterwards")
    parser.add_argument("--patience", type=float, help="longest wait for sessions to end, in seconds")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="write the expected rows as JSON lines (needs --check)"
    )
    parser.add_argument("--journal", type=Path, metavar="FILE", help="write what was answered, a JSON line per session")


def execute(arguments: argparse.Namespace, settings: Settings) -> int | None:
    began_at = check.now_ms()
    order = crew.Order(
        urls=arguments.url,
        sessions=arguments.sessions,
        seed=arguments.seed,
        began_at=began_at,
        waits=_waits(settings),
        rate=arguments.rate,
        processes=arguments.processes,
        at_once=arguments.at_once,
    )
    journals = crew.sail(order, _progress) if arguments.sessions else []
    if arguments.journal:
        arguments.journal.write_bytes(b"".join(_journal_line(journal) for journal in journals))
    if not arguments.check:
        acknowledged = sum(len(journal.acknowledged) for journal in journals)
        print(f"posted {arguments.sessions} sessions, {acknowledged} events answered 2xx")
        return None
    since = began_at - CLOCK_SKEW_MS if arguments.sessions else 0
    verdict = loop.run(_check(settings, journals, since, arguments.patience))
    if arguments.truth:
        arguments.truth.write_bytes(b"".join(check.truth_lines(verdict)))
    return None if check.report(verdict, journals, print) else 1


async def _check(settings: Settings, journals: list[Journal], since: int, patience: float | None) -> Verdict:
    if patience is None:
        patience = (settings.idle_timeout_ms + settings.grace_ms + settings.reorder_window_ms) / 1000 + 5
    reader = await wiring.open_reader(settings)
    try:
        return await check.check(
            reader,
            settings.partitions or topics.DEFAULT_PARTITIONS,
            journals,
            _timeouts(settings),
            since=since,
            patience=check.Patience(patience),
            said=_progress,
        )
    finally:
        await reader.close()


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        idle=settings.idle_timeout_ms,
        still=settings.still_timeout_ms,
        cap=settings.session_cap_ms,
        grace=settings.grace_ms,
        window=settings.reorder_window_ms,
        heartbeat=settings.heartbeat_interval_ms,
    )


def _waits(settings: Settings) -> Waits:
    return Waits(
        idle=settings.idle_timeout_ms / 1000,
        grace=settings.grace_ms / 1000,
        window=settings.reorder_window_ms / 1000,
        still=settings.still_timeout_ms / 1000,
    )


def _journal_line(journal: Journal) -> bytes:
    document = {
        "index": journal.index,
        "kind": journal.kind,
        "sids": journal.sids,
        "answers": {str(status): times for status, times in journal.statuses.items()},
        "acknowledged": [[sid, body.decode()] for sid, body in journal.acknowledged],
        "batch": journal.batch[0] if journal.batch else None,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _progress(sentence: str) -> None:
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr)


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
