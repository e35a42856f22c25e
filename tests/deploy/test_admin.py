import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from deploy import admin
from deploy.admin import Readiness, listen, listen_admin, make_admin
from deploy.failure import Failure
from deploy.telemetry import make_registry


@asynccontextmanager
async def served(readiness: Readiness) -> AsyncIterator[ClientSession]:
    runner = web.AppRunner(make_admin(readiness, make_registry()))
    await runner.setup()
    sock = listen("127.0.0.1", 0, setting="--admin-port")
    await web.SockSite(runner, sock).start()
    try:
        async with ClientSession(f"http://127.0.0.1:{sock.getsockname()[1]}") as session:
            yield session
    finally:
        await runner.cleanup()


async def test_it_is_alive_while_it_answers() -> None:
    async with served(Readiness()) as client, client.get("/livez") as answer:
        assert answer.status == 200


async def test_it_is_ready_when_no_part_has_a_reason_against_it() -> None:
    async with served(Readiness(list)) as client, client.get("/readyz") as answer:
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "reasons": []}


async def test_it_says_every_reason_why_it_is_not_ready() -> None:
    readiness = Readiness(lambda: ["the log is away"], lambda: ["lane 3 is not restored"])
    async with served(readiness) as client, client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": ["the log is away", "lane 3 is not restored"]}


async def test_it_is_not_ready_once_it_stops_though_it_is_alive() -> None:
    readiness = Readiness()
    readiness.stop()
    async with served(readiness) as client:
        async with client.get("/readyz") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ready": False, "reasons": ["stopping"]}
        async with client.get("/livez") as answer:
            assert answer.status == 200


async def test_metrics_are_in_the_form_prometheus_reads() -> None:
    async with served(Readiness()) as client, client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "process_resident_memory_bytes" in await answer.text()


def test_a_taken_port_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"127\.0\.0\.1:{port} .*--port"):
            listen("127.0.0.1", port, setting="--port")


@pytest.mark.parametrize("host", ["300.1.1.1", "192.0.2.1"])
def test_an_address_that_is_not_of_this_machine_is_the_fault_of_the_host(host: str) -> None:
    with pytest.raises(Failure, match=rf"{host}:0 \(.*\): .* --host"):
        listen(host, 0, setting="--port")
    with pytest.raises(Failure, match="--host"):
        listen_admin(host, None)


def test_the_operators_port_is_the_next_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(admin, "ADMIN_PORT_FROM", port)
        with listen_admin("127.0.0.1", None) as found:
            assert port < found.getsockname()[1] < port + admin.PORTS_TRIED


def test_a_chosen_operators_port_is_not_silently_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Failure, match="--admin-port"):
        listen_admin("127.0.0.1", taken.getsockname()[1])
