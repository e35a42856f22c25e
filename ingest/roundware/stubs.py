"""What a client asks for when it starts and does not come up without: told from the configuration, empty by default."""

from typing import Any

from ingest.roundware.desk import Asked, Desk
from ingest.roundware.fields import integer_of
from ingest.roundware.refusals import not_found


async def of_project(name: str, desk: Desk, asked: Asked) -> Any:
    """`projects/:id/` and what stands below it."""
    return _told(desk.configuration.stub(name, asked.number))


async def of_query(name: str, desk: Desk, asked: Asked) -> Any:
    """A list of its own, of the project that `?project_id=` names."""
    return _told(desk.configuration.stub(name, integer_of(asked.query.get("project_id"))))


def _told(stub: Any) -> Any:
    if stub is None:
        raise not_found()
    return stub
