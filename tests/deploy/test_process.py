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


class Kept:
    """A server that is told to end while a client keeps a connection it is not asking anything on."""

    def __init__(self, linger_seconds: float) -> None:
        self.sock = listen("127.0.0.1", 0, setting="--port")
        self.port = self.sock.getsockname()[1]
        self._linger_seconds = linger_seconds
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/", answer)
        async with serving(web.AppRunner(app), self.sock, linger_seconds=self._linger_seconds):
            await self._ended.wait()

    async def end(self) -> None:
        self._ended.set()
        await until_nobody_listens(self.port)


REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def test_a_connection_that_is_kept_ends_with_an_answer_that_says_so() -> None:
    server = Kept(linger_seconds=30)
    serving_it = asyncio.create_task(server.serve())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST)
    first = await reader.readuntil(b"\r\n\r\n")
    assert b"connection: close" not in first.lower()

    await server.end()
    writer.write(REQUEST)

    assert b"connection: close" in (await reader.read()).lower()
    writer.close()
    await serving_it


async def test_a_connection_that_is_kept_and_asks_nothing_does_not_hold_up_the_end() -> None:
    server = Kept(linger_seconds=0.01)
    serving_it = asyncio.create_task(server.serve())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")

    await server.end()

    assert await reader.read() == b""
    writer.close()
    await serving_it


async def test_connections_that_wait_to_be_taken_when_the_end_comes_are_answered_too() -> None:
    server = Kept(linger_seconds=30)
    serving_it = asyncio.create_task(server.serve())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()

    clients = []
    for _ in range(50):  # while the loop does not turn
        clients.append(socket.create_connection(("127.0.0.1", server.port)))
        clients[-1].sendall(REQUEST)
    await server.end()

    def answer(client: socket.socket) -> bytes:
        with client:
            return client.recv(1000)

    answers = await asyncio.gather(*(asyncio.to_thread(answer, client) for client in clients))
    assert {found[:12] for found in answers} == {b"HTTP/1.1 204"}
    await serving_it


def test_tls_files_that_are_no_pem_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no certificate")
    settings = load({"TLS_CERT": str(tmp_path / "x"), "TLS_KEY": str(tmp_path / "x")}, {})

    with pytest.raises(Failure, match="MEDIABEAT_TLS_CERT"):
        tls_context(settings)


def test_without_tls_files_there_is_no_tls() -> None:
    assert tls_context(load({}, {})) is None
