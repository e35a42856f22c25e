"""The page at `GET /` of `mediabeat run`: what runs, where, and a session to paste into a terminal."""

import re
import shlex
import sys
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, NamedTuple

from aiohttp import web

from ingest.counts import Counts as DoorCounts
from processors.counts import Counts as WorkerCounts

_SAFE_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?").fullmatch

# No comments in it: an interactive zsh takes them for words. T is the player's clock, a minute ago; an event is a type,
# a playhead and the second of the viewing.
_SESSION: Final = Template("""\
URL=$url
T=$$(( ($$(date +%s) - 60) * 1000 ))
SID=$$(curl -si $$URL/api/v1/sessions -d '{"eventType":"sessionStart","playerTime":{"playhead":0,"ts":'$$T'},"params":{
  "analytics.trackingServer":"example.com","analytics.reportSuite":"demo","visitor.marketingCloudOrgId":"demo@AdobeOrg",
  "media.id":"big-buck-bunny","media.name":"Big Buck Bunny","media.length":30,"media.contentType":"VOD",
  "media.playerName":"curl","media.channel":"demo"}}' | tr -d '\\r' | sed -n 's|^[Ll]ocation: .*/||p')
event() { curl -s -o /dev/null -w "$$1 %{http_code}\\n" $$URL/api/v1/sessions/$$SID/events -d \\
  '{"eventType":"'$$1'","playerTime":{"playhead":'$$2',"ts":'$$((T + $$3 * 1000))'}}'; }
event play 0 0
event ping 10 10
event pauseStart 12 12
event play 12 20
event ping 22 30
event sessionComplete 30 38
event sessionEnd 30 38
""")


class Where(NamedTuple):
    """Where a running process is to be found."""

    door: str
    admin: str
    data: Path


def curl_session(door: str) -> str:
    """Shell lines that play one session to this door: 30 s of content and a pause of 8 s."""
    return _SESSION.substitute(url=door)


def tail_command(data: Path) -> str:
    """How to read the rows of this log, as it can be pasted into a shell here."""
    command = Path(sys.argv[0]).name if Path(sys.argv[0]).name == "mediabeat" else "mediabeat"
    beside = Path(sys.executable).parent / command
    # Within an environment that is not activated, the bare name would not be found.
    shown = str(beside) if beside.exists() else command
    return f"{shlex.quote(shown)} tail session-close --from-start --data {shlex.quote(str(data))}"


def add_page(app: web.Application, where: Where, door: DoorCounts, worker: WorkerCounts) -> None:
    """Serve the page at `/`: below `/api/v1` nothing changes by it."""
    page = Template((resources.files("deploy") / "page.html").read_text(encoding="utf-8"))

    async def get_page(request: web.Request) -> web.Response:
        # As the visitor reached it, so that the session can be pasted on the visitor's machine.
        url = f"{request.scheme}://{request.host}" if _SAFE_HOST(request.host) else where.door
        text = page.substitute(
            door=escape(url),
            admin=escape(where.admin),
            data=escape(str(where.data)),
            session=escape(curl_session(url)),
            tail=escape(tail_command(where.data)),
            accepted=f"{door.events_accepted:,}",
            rejected=f"{door.rejected:,}",
            open=f"{sum(worker.open_sessions.values()):,}",
            rows=f"{sum(worker.rows.values()):,}",
        )
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    app.router.add_get("/", get_page, name="page")
