"""Runs the fleet in processes of its own: one share of the scripts each."""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from deploy.fleet.posting import Fleet, Journal, Pace
from deploy.fleet.scripts import Waits, script


@dataclass(frozen=True, slots=True)
class Order:
    """What the whole fleet shall do. `rate`: posts a second over all processes, 0 as fast as answers come."""

    urls: list[str]
    sessions: int
    seed: int
    began_at: int
    waits: Waits
    rate: float = 0.0
    processes: int = 1
    at_once: int = 200


class Numbered(Protocol):
    """A journal: `index` is that of its script."""

    @property
    def index(self) -> int: ...


Entry = TypeVar("Entry", bound=Numbered)


def sail(order: Order, said: Callable[[str], None] = lambda _: None) -> list[Journal]:
    """Run every script; the journals in the order of the scripts."""
    return muster(order, _share, said)


def muster(
    order: Order, run_share: Callable[[Order, list[int]], list[Entry]], said: Callable[[str], None]
) -> list[Entry]:
    """Run each process's share, given as indexes of scripts; the journals in the order of the scripts."""
    shares = [list(range(first, order.sessions, order.processes)) for first in range(order.processes)]
    # A fresh interpreter each: a forked one would share the parent's event loop and open files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(order.processes, mp_context=context) as pool:
        futures: list[Future[list[Entry]]] = [pool.submit(run_share, order, share) for share in shares if share]
        journals: list[Entry] = []
        for future in futures:
            journals += future.result()
            said(f"{len(journals)} of {order.sessions} sessions posted")
    return sorted(journals, key=lambda journal: journal.index)


def _share(order: Order, indexes: list[int]) -> list[Journal]:
    return asyncio.run(_sail_share(order, indexes))


async def _sail_share(order: Order, indexes: list[int]) -> list[Journal]:
    fleet = Fleet(order.urls, Pace(order.rate / order.processes), max(1, order.at_once // order.processes))
    return await fleet.run(script(order.seed, index, order.began_at, order.waits) for index in indexes)
