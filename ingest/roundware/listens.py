"""`listenevents/`: one asset that plays in one session, how long, and that it never did."""

from typing import Any, Final

from ingest.roundware import listing
from ingest.roundware.desk import Asked, Desk
from ingest.roundware.fields import Fields
from ingest.roundware.numbers import Series
from ingest.roundware.refusals import no_such_number
from schemas.roundware import Listen, ListenChange, ListenDelete, changed, listen_shown

NO_NUMBER: Final = "Incorrect type. Expected pk value, received {}."


async def post(desk: Desk, asked: Asked) -> Any:
    fields = Fields(asked.fields() if asked.sent.document is not None else {})
    starttime = fields.instant("starttime", "start_time", required=True)
    session = fields.positive("session", "session_id", wrong_type=NO_NUMBER)
    asset = fields.positive("asset", "asset_id", wrong_type=NO_NUMBER)
    duration = fields.duration()
    if session is not None and not desk.is_session(session):
        fields.complaints.add("session", no_such_number(session))
    fields.complaints.raise_if_any()
    assert starttime is not None
    assert session is not None
    assert asset is not None
    number = await desk.number(Series.LISTEN)
    received_at, shown = desk.stamp()
    listen = Listen(
        id=number,
        session=session,
        project=desk.project_of(session),
        user=asked.caller.user,
        device=asked.caller.device,
        asset=asset,
        starttime=starttime,
        server_time=shown,
        duration_seconds=duration,
    )
    await desk.keep(listen, received_at, asked)
    return listen_shown(listen)


async def patch(desk: Desk, asked: Asked) -> Any:
    fields = Fields(asked.fields() if asked.sent.document is not None else {})
    duration = fields.duration()
    fields.complaints.raise_if_any()
    listen = await desk.listen(asked.number)
    number = await desk.number(Series.EVENT)
    received_at, shown = desk.stamp()
    change = ListenChange(
        number, listen.session, listen.project, asked.caller.user, asked.caller.device, listen.id, shown, duration
    )
    await desk.keep(change, received_at, asked)
    # A lane may have folded it meanwhile: where it is counted too low, the lane's word comes through all the same.
    now, listen = desk.folded.listen(listen.id), changed(listen, change)
    if now is not None:
        listen = changed(now, change)._replace(updates=max(now.updates, listen.updates))
    desk.folded.put(listen)
    return listen_shown(listen)


async def delete(desk: Desk, asked: Asked) -> Any:
    listen = await desk.listen(asked.number)
    number = await desk.number(Series.EVENT)
    received_at, shown = desk.stamp()
    deletion = ListenDelete(
        number, listen.session, listen.project, asked.caller.user, asked.caller.device, listen.id, shown
    )
    await desk.keep(deletion, received_at, asked)
    desk.folded.delete(listen)


async def get_list(desk: Desk, asked: Asked) -> Any:
    page, session = listing.listens(asked.query)
    found = desk.seen(asked.caller, desk.folded.listens(asked.caller.listed, session))
    return [listen_shown(listen) for listen in await page.of(found)]


async def get_one(desk: Desk, asked: Asked) -> Any:
    return listen_shown(desk.shown(asked.caller, await desk.listen(asked.number)))
