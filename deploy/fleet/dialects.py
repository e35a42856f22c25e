"""The dialects a fleet can speak: who posts, who judges, and which silence ends a session."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from deploy.fleet import crew, judgement
from deploy.fleet.check import Judge
from deploy.fleet.crew import Order
from deploy.fleet.roundware import crew as roundware_crew
from deploy.fleet.roundware import judgement as roundware_judgement

Said = Callable[[str], None]


class Dialect(NamedTuple):
    """`idle`: the name of the setting that says how long a session may be silent.

    `has_grace`: whether GRACE is added to that.
    """

    sail: Callable[[Order, Said], list[Any]]
    judge: Judge
    idle: str
    has_grace: bool


DIALECTS: Final = {
    "collection": Dialect(crew.sail, judgement.judge, "IDLE_TIMEOUT", has_grace=True),
    "roundware": Dialect(roundware_crew.sail, roundware_judgement.judge, "ROUNDWARE_IDLE_TIMEOUT", has_grace=False),
}
