"""The ordinary service to compare with: an aiohttp application that validates each event and awaits its own send.

`python -m tests.bench.ordinary BOOTSTRAP TOPIC` prints its address. It has the schemas and the CORS headers of the
door, and none of its id check, closed sessions, counters, limits and envelopes.
"""

import asyncio
import sys
import uuid

import fastjsonschema
import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from ingest.app import CORS
from schemas.events import EventType
from schemas.validation import published

VALIDATORS = {str(name): fastjsonschema.compile(orjson.loads(published(name))) for name in EventType}


class Service:
    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def preflight(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=CORS | {"Access-Control-Max-Age": "86400"})

    async def post_session(self, request: web.Request) -> web.Response:
        sid = uuid.uuid4().hex
        refusal = await self._take(sid, await request.read())
        return refusal or web.Response(status=201, headers=CORS | {"Location": f"/api/v1/sessions/{sid}"})

    async def post_event(self, request: web.Request) -> web.Response:
        refusal = await self._take(request.match_info["sid"], await request.read())
        return refusal or web.Response(status=204, headers=CORS)

    async def _take(self, sid: str, body: bytes) -> web.Response | None:
        try:
            document = orjson.loads(body)
            VALIDATORS[document["eventType"]](document)
        except (orjson.JSONDecodeError, KeyError, TypeError, fastjsonschema.JsonSchemaValueException) as error:
            return web.json_response({"message": str(error)}, status=400, headers=CORS)
        await self._producer.send_and_wait(self._topic, body, key=sid.encode())
        return None


async def serve(bootstrap: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    service = Service(producer, topic)
    app = web.Application()
    app.router.add_post("/api/v1/sessions", service.post_session)
    app.router.add_post("/api/v1/sessions/{sid}/events", service.post_event)
    app.router.add_route("OPTIONS", "/{anything:.*}", service.preflight)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    host, port = runner.addresses[0]
    print(f"ready at http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
