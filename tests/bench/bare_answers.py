"""A protocol on uvloop that answers an empty 204 to every read; prints its address. Nothing in Python costs less."""

import asyncio

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\nServer: bare\r\n\r\n"


class Bare(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, _data: bytes) -> None:
        self._write(ANSWER)


async def run() -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"ready at http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run())
