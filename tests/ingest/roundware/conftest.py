"""One log and one door for a whole module: what a test leaves there must not matter to another."""

import pytest

from tests.ingest.roundware.front import PROJECTS, open_front, open_log


@pytest.fixture
async def log(tmp_path):
    async with open_log(tmp_path / "data") as log:
        yield log


@pytest.fixture
async def front(log):
    async with open_front(log, PROJECTS) as front:
        yield front
