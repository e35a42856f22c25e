import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from deploy.admin import Readiness, listen
from deploy.failure import Failure
from deploy.process import serving, tls_context, until_ready, until_stopped
from deploy.settings import load


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_stop_ends_the_wait_and_leaves_the_tasks_alone() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(forever())
    stop.set()

    await until_stopped(stop, [task])

    assert not task.done()
    task.cancel()


async def failing() -> None:
    raise RuntimeError("21 sessions in a minute")


async def ending() -> None:
    return


@pytest.mark.parametrize(("work", "said"), [(failing, "21 sessions in a minute"), (ending, "nobody stopped it")])
async def test_a_task_that_ends_by_itself_ends_the_process(work: Callable, said: str) -> None:
    tasks = [asyncio.create_task(forever()), asyncio.create_task(work(), name="the worker")]

    with pytest.raises(Failure, match=f"the worker .*{said}"):
        await until_stopped(asyncio.Event(), tasks)
    tasks[0].cancel()


async def test_readiness_is_waited_for() -> None:
    reasons = ["not yet"]
    waiting = asyncio.create_task(until_ready(Readiness(lambda: reasons), asyncio.Event()))
    await asyncio.sleep(0)
    assert not waiting.done()

    reasons.clear()

    assert await waiting is True


async def test_a_stop_before_it_is_ready_is_a_stop() -> None:
    stop = asyncio.Event()
    stop.set()

    assert await until_ready(Readiness(lambda: ["never"]), stop) is False


async def until_nobody_listens(port: int) -> None:
    with suppress(OSError):
        while True:
            socket.create_connection(("127.0.0.1", port)).close()
            await asyncio.sleep(0)


async def test_what_was_begun_is_answered_and_its_connection_ended() -> None:
    begun, go_on, in_flight = asyncio.Event(), asyncio.Event(), [0]

    async def slow(request: web.Request) -> web.Response:
        in_flight[0] += 1
        begun.set()
        await request.read()
        await go_on.wait()
        in_flight[0] -= 1
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", slow)
    sock = listen("127.0.0.1", 0, setting="--port")
    port = sock.getsockname()[1]
    ended = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(app, shutdown_timeout=5)
        async with serving(runner, sock, in_flight=lambda: in_flight[0], drain_seconds=30):
            await ended.wait()

    serving_it = asyncio.create_task(serve())
    async with ClientSession() as client:
        asking = asyncio.create_task(client.post(f"http://127.0.0.1:{port}/", data=b"x"))
        await begun.wait()
        ended.set()
        await until_nobody_listens(port)
        go_on.set()
        async with await asking as answer:
            assert answer.status == 204
            assert answer.headers["Connection"] == "close"
    await serving_it


def test_tls_files_that_are_no_pem_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no certificate")
    settings = load({"TLS_CERT": str(tmp_path / "x"), "TLS_KEY": str(tmp_path / "x")}, {})

    with pytest.raises(Failure, match="MEDIABEAT_TLS_CERT"):
        tls_context(settings)


def test_without_tls_files_there_is_no_tls() -> None:
    assert tls_context(load({}, {})) is None
