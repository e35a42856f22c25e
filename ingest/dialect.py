"""How one API answers, around what all requests have in common."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from ingest.problems import Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Dialect(Protocol):
    """What `app.Door.answering` asks of it. The Media Collection API's is `Door` itself."""

    def name(self, request: web.Request) -> str:
        """What the request is counted as."""
        ...

    def place(self, request: web.Request) -> tuple[str, str | None] | None:
        """Endpoint and session id under which a refused body is kept; None: it is not."""
        ...

    def refuse(self, error: Exception) -> tuple[Problem, web.Response]:
        """What an error amounts to, and the answer that says so."""
        ...

    def say_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer says."""
        ...
