"""Errors -> answers, in one table."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from schemas import batches, codec
from schemas.records import LogUnavailable
from schemas.validation import InvalidDocument, Violation

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 2

STATUS: Final = {
    "malformed_request": 400,
    "malformed_json": 400,
    "schema_violation": 400,
    "unknown_event_type": 400,
    "wrong_endpoint": 400,
    "batch_rejected": 400,
    "unauthenticated": 401,
    "session_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "session_closed": 410,
    "too_large": 413,
    "unsupported_media_type": 415,
    "overloaded": 503,
}
"""The stable codes of our answers. 503 is the only temporary failure that mobile clients send again after."""

COPIED_TO_REJECTS: Final = frozenset({400, 413})


class Problem(Exception):
    """An answer other than the one hoped for. `body` is what came, as far as it was read."""

    def __init__(
        self,
        code: str,
        message: str,
        violations: Sequence[Violation] = (),
        *,
        body: bytes = b"",
        truncated: bool = False,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = tuple(violations)
        self.body = body
        self.truncated = truncated
        self.closes = closes

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def errors(self) -> list[dict[str, str]]:
        """One entry for each known violation, as answers and rejects carry it."""
        return [{"path": path, "rule": rule, "detail": detail} for path, rule, detail in self.violations]


def of_body(rule: str, message: str) -> list[Violation]:
    """A violation by the body as a whole, where no member of it can be named."""
    return [Violation("", rule, message)]


class ClientGone(Exception):
    """The connection ended before the request was whole: nobody is there to be answered."""


def problem_of(error: Exception) -> Problem:
    """What to answer for this error. An unexpected one is ours: logged, and 503 so that the client tries again."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidDocument):
        return Problem(error.code, error.message, error.violations)
    if isinstance(error, batches.TooLarge):
        return Problem("too_large", str(error).capitalize(), [error.violation])
    if isinstance(error, LogUnavailable):
        return Problem("overloaded", "The log cannot take events now; nothing is lost if you send it again later")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return Problem("method_not_allowed", f"This path takes {', '.join(sorted(error.allowed_methods))}")
    if isinstance(error, web.HTTPException) and error.status < 500:
        return Problem("not_found", "There is nothing at this path; events go to /api/v1/sessions")
    logger.error("a request failed in the front door", exc_info=error)
    return Problem("overloaded", "The front door failed on this request; please send it again later")


def answer(problem: Problem) -> web.Response:
    """The HTTP answer: status, and `{"message", "code", "errors"}` as JSON."""
    document: dict[str, Any] = {"message": problem.message, "code": problem.code, "errors": problem.errors()}
    response = web.Response(status=problem.status, body=_encode(document), content_type="application/json")
    if problem.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if problem.closes:
        response.force_close()
    return response


def _encode(document: dict[str, Any]) -> bytes:
    try:
        return codec.encode(document)
    except TypeError:  # a client's text that JSON cannot say, for example a lone surrogate, quoted in a message
        return codec.encode({**document, "message": "The document is refused", "errors": []})
