import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession, web

from deploy.admin import listen
from deploy.page import Where, add_page, curl_session, tail_command
from deploy.settings import BY_NAME
from ingest.counts import Counts as DoorCounts
from processors.counts import Counts as WorkerCounts

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def page(door: DoorCounts, worker: WorkerCounts, data: Path = Path("/data")) -> AsyncIterator[ClientSession]:
    app = web.Application()
    add_page(app, Where("http://bound:1", "http://admin:2", data), door, worker)
    runner = web.AppRunner(app)
    await runner.setup()
    sock = listen("127.0.0.1", 0, setting="--port")
    await web.SockSite(runner, sock).start()
    try:
        async with ClientSession(f"http://127.0.0.1:{sock.getsockname()[1]}") as session:
            yield session
    finally:
        await runner.cleanup()


async def test_the_session_is_shown_with_the_address_the_visitor_used() -> None:
    async with page(DoorCounts(), WorkerCounts()) as visitor:
        async with visitor.get("/", headers={"Host": "tv.example:8080"}) as answer:
            assert "URL=http://tv.example:8080\n" in await answer.text()
        async with visitor.get("/", headers={"Host": "'; rm -rf ~"}) as answer:
            assert "rm -rf" not in await answer.text()


async def test_what_is_counted_is_shown() -> None:
    door, worker = DoorCounts(), WorkerCounts()
    door.events_accepted, door.rejected = 12_345, 6
    worker.open_sessions.update({0: 7, 1: 1})
    worker.rows["session-close"] = 91
    async with page(door, worker) as visitor, visitor.get("/") as answer:
        assert re.findall(r"<b>([\d,]+)</b>", await answer.text()) == ["12,345", "6", "8", "91"]


async def test_a_strange_directory_cannot_break_the_page() -> None:
    async with page(DoorCounts(), WorkerCounts(), Path("/tmp/<b>&' x")) as visitor, visitor.get("/") as answer:
        text = await answer.text()
        assert "<b>&' x" not in text
        assert "/tmp/&lt;b&gt;&amp;&#x27; x" in text


def test_the_command_to_read_rows_can_be_pasted_whatever_the_directory_is_called() -> None:
    assert tail_command(Path("/a b")).endswith("tail session-close --from-start --data '/a b'")


def test_the_session_of_the_readme_is_the_one_that_run_prints() -> None:
    assert curl_session("http://127.0.0.1:8080") in (ROOT / "README.md").read_text()


def test_the_documents_name_no_setting_that_does_not_exist() -> None:
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    named = {
        name
        for text in texts
        for row in re.findall(r"^\| (`[A-Z_`, ]+`) \|", text, re.MULTILINE)
        for name in re.findall(r"[A-Z_]+", row)
    }

    assert len(named) > 20
    assert named <= BY_NAME.keys()
