"""Runs the Roundware clients in processes of their own: one share of the scripts each."""

import asyncio
from collections.abc import Callable

from deploy.fleet.crew import Order, muster
from deploy.fleet.posting import Pace
from deploy.fleet.roundware.posting import Fleet, Journal
from deploy.fleet.roundware.scripts import script


def sail(order: Order, said: Callable[[str], None] = lambda _: None) -> list[Journal]:
    """Run every script; the journals in the order of the scripts."""
    return muster(order, _share, said)


def _share(order: Order, indexes: list[int]) -> list[Journal]:
    return asyncio.run(_sail_share(order, indexes))


async def _sail_share(order: Order, indexes: list[int]) -> list[Journal]:
    fleet = Fleet(order.urls, Pace(order.rate / order.processes), max(1, order.at_once // order.processes))
    silence = order.waits.idle + order.waits.grace
    return await fleet.run(script(order.seed, index, order.began_at, silence) for index in indexes)
