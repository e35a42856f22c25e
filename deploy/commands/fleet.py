"""Simulated players, and the check of every report row against a truth computed apart from the workers.

Posts SESSIONS sessions drawn from a seed to the front door, in the dialect of Media Collection players or in that of
Roundware clients. With --check it then waits until every session has ended
(the timeouts below must be those of the workers: small ones make it quick), reads the log and compares each row of
each report topic with the truth: missing, doubled, wrong. Exit status 1 on any difference. With --sessions 0 nothing
is posted and every session in the log is checked.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from deploy import loop, settings, wiring
from deploy.door_address import door_url, refuse_without_door
from deploy.fleet import check
from deploy.fleet.crew import Order
from deploy.fleet.dialects import DIALECTS, Dialect
from deploy.fleet.judgement import Verdict
from deploy.fleet.outcome import Timeouts
from deploy.fleet.scripts import Waits
from deploy.settings import Settings

SETTINGS: Final = (
    *(dialect.idle for dialect in DIALECTS.values()),
    "STILL_TIMEOUT",
    "SESSION_CAP",
    "GRACE",
    "REORDER_WINDOW",
    "HEARTBEAT_INTERVAL",
    *settings.LOG,
)
CLOCK_SKEW_MS: Final = 5_000
"""How far a front door's clock may be behind ours before its sessions are taken for older ones."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", required=True, action="append", type=door_url, help="a front door; may be given several times"
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="collection", help="what they speak (collection)")
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
    dialect, began_at = DIALECTS[arguments.dialect], check.now_ms()
    order = Order(
        urls=arguments.url,
        sessions=arguments.sessions,
        seed=arguments.seed,
        began_at=began_at,
        waits=_waits(dialect, settings),
        rate=arguments.rate,
        processes=arguments.processes,
        at_once=arguments.at_once,
    )
    if arguments.sessions:
        refuse_without_door(arguments.url)
    journals = dialect.sail(order, _progress) if arguments.sessions else []
    if arguments.journal:
        arguments.journal.write_bytes(b"".join(_line(journal.document()) for journal in journals))
    if not arguments.check:
        acknowledged = sum(len(journal.acknowledged) for journal in journals)
        print(f"posted {arguments.sessions} sessions, {acknowledged} events answered 2xx")
        return 1 if arguments.sessions and not acknowledged else None
    since = began_at - CLOCK_SKEW_MS if arguments.sessions else 0
    verdict = loop.run(_check(dialect, settings, journals, since, arguments.patience))
    if arguments.truth:
        arguments.truth.write_bytes(b"".join(check.truth_lines(verdict)))
    return None if check.report(verdict, journals, print) else 1


async def _check(
    dialect: Dialect, settings: Settings, journals: list[Any], since: int, patience: float | None
) -> Verdict:
    timeouts = _timeouts(dialect, settings)
    if patience is None:
        patience = (timeouts.idle + timeouts.grace + timeouts.window) / 1000 + 5
    reader = await wiring.open_reader(settings)
    try:
        return await check.check(
            reader,
            await reader.partitions(),
            journals,
            timeouts,
            since=since,
            patience=check.Patience(patience),
            said=_progress,
            judged_by=dialect.judge,
        )
    finally:
        await reader.close()


def _timeouts(dialect: Dialect, settings: Settings) -> Timeouts:
    return Timeouts(
        idle=_idle_ms(dialect, settings),
        still=settings.still_timeout_ms,
        cap=settings.session_cap_ms,
        grace=settings.grace_ms if dialect.has_grace else 0,
        window=settings.reorder_window_ms,
        heartbeat=settings.heartbeat_interval_ms,
    )


def _idle_ms(dialect: Dialect, settings: Settings) -> int:
    idle: int = getattr(settings, f"{dialect.idle.lower()}_ms")
    return idle


def _waits(dialect: Dialect, settings: Settings) -> Waits:
    return Waits(
        idle=_idle_ms(dialect, settings) / 1000,
        grace=settings.grace_ms / 1000 if dialect.has_grace else 0.0,
        window=settings.reorder_window_ms / 1000,
        still=settings.still_timeout_ms / 1000,
    )


def _line(document: dict[str, Any]) -> bytes:
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
