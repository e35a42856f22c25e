"""Compiles the pure rooms with mypyc where MEDIABEAT_COMPILE=1 asks for it; else there is nothing to build.

Compiled modules never lie beside their sources, where one that has grown old would be imported instead of them: an
editable or in-place build of them is refused. A wheel, or `pip install --target`, holds both from one moment.
"""

import os
import sys
from typing import Any

from setuptools import setup

ROOMS = [
    "processors/arrival.py",
    "processors/committed.py",
    "processors/counts.py",
    "processors/deadlines.py",
    "processors/endings.py",
    "processors/excluded.py",
    "processors/folding.py",
    "processors/outcome.py",
    "processors/rejects.py",
    "processors/session/ads.py",
    "processors/session/chapters.py",
    "processors/session/clock.py",
    "processors/session/flags.py",
    "processors/session/ledger.py",
    "processors/session/machine.py",
    "processors/session/packed.py",
    "processors/session/playback.py",
    "processors/session/player_states.py",
    "processors/session/progress.py",
    "processors/session/quality.py",
    "processors/session/reading.py",
    "processors/session/rows.py",
    "processors/session/rules.py",
    "processors/session/sections.py",
    "processors/session/stalls.py",
    "processors/session/start.py",
    "processors/session/state.py",
    "processors/session/summary.py",
    "processors/session/window.py",
    "processors/session_table.py",
    "processors/sheaves.py",
    "processors/state_records.py",
    "processors/stored_session.py",
    "schemas/batches.py",
    "schemas/codec.py",
    "schemas/events.py",
    "schemas/records.py",
    "schemas/repairs.py",
    "schemas/reports.py",
    "schemas/session_ids.py",
]


def compiled() -> dict[str, Any]:
    """What the build needs to compile, and what it compiles."""
    if os.environ.get("MEDIABEAT_COMPILE") != "1":
        return {}
    if {"develop", "editable_wheel", "--inplace", "-i"} & set(sys.argv):
        raise SystemExit("MEDIABEAT_COMPILE=1 is for wheels and for pip install --target, not for editable installs")
    try:
        from mypyc.build import mypycify
    except ImportError:  # the first of a build's two calls only asks what must be installed for the second
        return {"setup_requires": ["mypy[mypyc]>=1.18"]}
    return {"ext_modules": mypycify(ROOMS, opt_level=os.environ.get("MEDIABEAT_COMPILE_LEVEL", "2"), debug_level="0")}


setup(**compiled())
