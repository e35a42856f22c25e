"""The door's tests run over both ways through it."""

import pytest

from tests.ingest.doors import WAYS, Opening


@pytest.fixture(scope="module", params=WAYS)
def way(request, monkeypatch_module):
    """Doors are opened with this way while a test of the module runs."""
    monkeypatch_module.setattr(Opening, "way", request.param)
    return request.param


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch
