"""What is answered instead: one string under `detail`, or an object that maps each bad field to its complaints."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ingest.problems import Problem
from schemas.validation import Violation

REQUIRED: Final = "This field is required."
NULL: Final = "This field may not be null."
BLANK: Final = "This field may not be blank."
NOT_FOUND: Final = "Not found."
NO_SESSION: Final = "Session matching query does not exist."

_FIELDS: Final = "fields"
ABOUT_ALL: Final = "non_field_errors"


class Refusal(Problem):
    """An answer in the words of the Roundware API: `document` is its body."""

    def __init__(
        self, code: str, message: str, document: Mapping[str, Any], violations: Sequence[Violation] = ()
    ) -> None:
        super().__init__(code, message, violations)
        self.document = document
        self.headers: dict[str, str] = {}


def detail(code: str, text: str) -> Refusal:
    """The shape of one string."""
    return Refusal(code, text, {"detail": text}, [Violation("", code, text)] if code == "schema_violation" else ())


def unauthenticated(text: str) -> Refusal:
    refusal = detail("unauthenticated", text)
    refusal.headers["WWW-Authenticate"] = "Token"
    return refusal


def not_found() -> Refusal:
    return detail("not_found", NOT_FOUND)


def wrong_method(method: str, allowed: Sequence[str]) -> Refusal:
    refusal = detail("method_not_allowed", f'Method "{method}" not allowed.')
    refusal.headers["Allow"] = ", ".join(allowed)
    return refusal


def no_such_number(number: object) -> str:
    """The complaint about a number that names nothing."""
    return f'Invalid pk "{number}" - object does not exist.'


class Complaints:
    """What is wrong with the fields of a document: all of it is told at once."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def add(self, field: str, text: str) -> None:
        self._texts.setdefault(field, []).append(text)

    def first(self) -> tuple[str, str] | None:
        """A field and what is wrong with it."""
        return next(((field, texts[0]) for field, texts in self._texts.items()), None)

    def raise_if_any(self) -> None:
        """Refusal in the shape of fields."""
        if self._texts:
            told = [Violation(field, _FIELDS, text) for field, texts in self._texts.items() for text in texts]
            raise Refusal("schema_violation", "Some fields cannot be used", self._texts, told)
