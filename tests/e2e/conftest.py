from collections.abc import Iterator

import pytest

from tests.e2e.running import Running, running


@pytest.fixture(scope="module")
def mediabeat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process for all tests of a file; each test keeps to its own sessions."""
    with running(tmp_path_factory.mktemp("e2e") / "data", "--reorder-window", "0.5") as process:
        yield process
