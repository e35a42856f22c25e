import orjson
import pytest
from aiohttp import web

from ingest.problems import RETRY_AFTER_SECONDS, STATUS, Problem, answer, problem_of
from schemas import batches
from schemas.records import LogUnavailable
from schemas.validation import InvalidDocument, Violation

OF_THE_CONTRACT = {
    "malformed_json": 400,
    "schema_violation": 400,
    "unknown_event_type": 400,
    "wrong_endpoint": 400,
    "batch_rejected": 400,
    "session_not_found": 404,
    "session_closed": 410,
    "too_large": 413,
    "overloaded": 503,
}


def test_the_codes_of_the_contract_have_the_statuses_of_the_contract():
    assert OF_THE_CONTRACT.items() <= STATUS.items()


@pytest.mark.parametrize("code", STATUS)
def test_every_answer_says_message_code_and_errors(code):
    response = answer(Problem(code, "what is wrong", [Violation("params.x", "type", "must be string")]))
    assert response.status == STATUS[code]
    assert response.content_type == "application/json"
    assert orjson.loads(response.body) == {
        "message": "what is wrong",
        "code": code,
        "errors": [{"path": "params.x", "rule": "type", "detail": "must be string"}],
    }
    assert response.headers.get("Retry-After") == (str(RETRY_AFTER_SECONDS) if response.status == 503 else None)


def test_no_status_is_500_or_429_and_only_503_is_above_500():
    assert {status for status in STATUS.values() if status >= 500 or status == 429} == {503}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem("session_closed", "m"), "session_closed"),
        (InvalidDocument("malformed_json", "m", [Violation("", "json", "d")]), "malformed_json"),
        (batches.TooLarge(Violation("", "maxItems", "a batch of many")), "too_large"),
        (LogUnavailable("away"), "overloaded"),
        (web.HTTPNotFound(), "not_found"),
        (web.HTTPExpectationFailed(), "not_found"),
        (web.HTTPMethodNotAllowed("GET", ["POST"]), "method_not_allowed"),
    ],
)
def test_each_error_has_its_code(error, code, caplog):
    assert problem_of(error).code == code
    assert caplog.records == []


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), MemoryError(), RecursionError(), TimeoutError(), web.HTTPBadGateway()]
)
def test_a_fault_of_ours_is_logged_and_answered_as_worth_another_try(error, caplog):
    assert problem_of(error).status == 503
    assert len(caplog.records) == 1


def test_a_text_that_json_cannot_say_does_not_fail_the_answer():
    response = answer(Problem("schema_violation", "no key \ud800", [Violation("\ud800", "x", "y")]))
    assert orjson.loads(response.body)["code"] == "schema_violation"


def test_an_answer_may_close_its_connection():
    assert answer(Problem("malformed_request", "m", closes=True)).keep_alive is False
    assert answer(Problem("malformed_json", "m")).keep_alive is not False
