"""`sessions/`: open one; show one or many."""

import re
from typing import Any, Final

from ingest.roundware import listing
from ingest.roundware.configuration import Configuration
from ingest.roundware.desk import Asked, Desk
from ingest.roundware.fields import NOT_A_STRING, NUL, Fields
from ingest.roundware.numbers import Series
from ingest.roundware.refusals import BLANK, NULL, no_such_number
from ingest.roundware.tokens import Caller
from schemas.roundware import Session, session_shown

LONGEST: Final = 128
NO_TIMEZONE: Final = "Timezone must be in RFC822 GMT format (e.g. '-0800')"
DEFAULT_TIMEZONE: Final = "0000"

_TIMEZONE: Final = re.compile(r"[+-]?[0-9]{4}").fullmatch


async def post(desk: Desk, asked: Asked) -> Any:
    judged = judge(asked.fields(), asked.caller, desk.configuration)
    number = await desk.number(Series.SESSION)
    received_at, shown = desk.stamp()
    session = judged._replace(id=number, session=number, starttime=shown)
    await desk.keep(session, received_at, asked)
    return session_shown(session)


async def get_list(desk: Desk, asked: Asked) -> Any:
    page = listing.sessions(asked.query)
    found = desk.folded.sessions(asked.caller.listed)
    return [session_shown(session) for session in await page.of(found)]


async def get_one(desk: Desk, asked: Asked) -> Any:
    return session_shown(desk.shown(asked.caller, await desk.session(asked.number)))


def judge(document: dict[str, Any], caller: Caller, configuration: Configuration) -> Session:
    """The session that a document asks for, without number and time. Refusal names every field that is wrong."""
    fields = Fields(document)
    project_id = fields.integer("project_id", "project")
    project = None if project_id is None else configuration.project(project_id)
    if project_id is not None and project is None:
        fields.complaints.add("project_id", no_such_number(project_id))
    client_system = fields.text("client_system", LONGEST, required=True)
    client_type = fields.text("client_type", LONGEST)
    geo = fields.boolean("geo_listen_enabled", default=project.geo_listen_enabled if project else True)
    demo = fields.boolean("demo_stream_enabled", default=False)
    timezone = _timezone(document, fields)
    language = _language(document, fields, configuration)
    stoptime = fields.instant("stoptime")
    fields.complaints.raise_if_any()
    assert project is not None
    return Session(
        id=0,
        session=0,
        project=project.id,
        user=caller.user,
        device=caller.device,
        client_type=client_type or caller.client_type,
        client_system=client_system or "",
        timezone=timezone,
        language=language,
        language_id=configuration.languages[language],
        geo_listen=bool(geo),
        demo_stream=bool(demo),
        starttime="",
        stoptime=stoptime,
    )


def _timezone(document: dict[str, Any], fields: Fields) -> str:
    value = document.get("timezone", DEFAULT_TIMEZONE)
    if value is None:
        fields.complaints.add("timezone", NULL)
    elif type(value) is bool:
        fields.complaints.add("timezone", NOT_A_STRING)
    elif not str(value).strip():
        fields.complaints.add("timezone", BLANK)
    elif type(value) not in {str, int} or not _TIMEZONE(str(value).strip()):
        fields.complaints.add("timezone", NO_TIMEZONE)
    return str(value).strip()


def _language(document: dict[str, Any], fields: Fields, configuration: Configuration) -> str:
    """The code of the session's language: `language` is stronger, and one we do not know is the default."""
    code = document.get("language")
    if code is not None:
        if type(code) is not str:
            fields.complaints.add("language", NOT_A_STRING)
        elif "\0" in code:
            fields.complaints.add("language", NUL)
        else:
            known = code.strip().partition("-")[0].lower()
            return known if known in configuration.languages else configuration.default_language()
    elif fields.has("language_id"):
        number = fields.integer("language_id")
        found = None if number is None else configuration.language_of(number)
        if found is not None:
            return found
        if number is not None:
            fields.complaints.add("language_id", no_such_number(number))
    return configuration.default_language()
