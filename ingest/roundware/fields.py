"""Fields of a document, judged as upstream's framework judges them and in its words; what is wrong is collected.

Each reader answers None for a field that is wrong, and its default for one that is absent.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from ingest.roundware.refusals import BLANK, NULL, REQUIRED, Complaints, no_such_number
from schemas.roundware import NUMBER_MAX, shown_instant

NOT_A_NUMBER: Final = "A valid number is required."
NOT_AN_INTEGER: Final = "A valid integer is required."
NOT_A_BOOLEAN: Final = "Must be a valid boolean."
NOT_A_STRING: Final = "Not a valid string."
NUL: Final = "Null characters are not allowed."
NO_DATETIME: Final = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
MAX_SECONDS: Final = Decimal("9223372036.854775807")
"""As long as nanoseconds in 64 bits can say."""

BOOLEANS: Final = {
    form: value
    for value, words in ((True, ("t", "y", "yes", "true", "on", "1")), (False, ("f", "n", "no", "false", "off", "0")))
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.0*)?").fullmatch
_DATETIME: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6})\d*)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECOND: Final = Decimal("1e-9")
_Value = TypeVar("_Value")


class Wrong(Exception):
    """What is wrong with a value, in words for its sender."""


class Fields:
    """The members of one document. A field may have several names: the first that is there counts."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.complaints = Complaints()
        self._document = document

    def has(self, name: str) -> bool:
        return name in self._document

    def text(self, name: str, longest: int, *, required: bool = False) -> str | None:
        """Trimmed text, of a number too. Blank and null are refused where it is required, and None elsewhere."""

        def judge(value: Any) -> str | None:
            if type(value) not in {str, int, float}:
                raise Wrong(NOT_A_STRING)
            text = str(value).strip()
            if "\0" in text:
                raise Wrong(NUL)
            if not text and required:
                raise Wrong(BLANK)
            if len(text) > longest:
                raise Wrong(f"Ensure this field has no more than {longest} characters.")
            return text or None

        return self._judged((name,), judge, required=required, takes_null=not required)

    def boolean(self, name: str, *, default: bool) -> bool | None:
        return self._judged((name,), boolean_of, default=default)

    def integer(self, *names: str, wrong_type: str | None = None) -> int | None:
        """A required integer or its digits. `wrong_type` is the complaint instead of the usual one, {} the type."""

        def judge(value: Any) -> int:
            number = integer_of(value)
            if number is None:
                raise Wrong(wrong_type.format(type(value).__name__) if wrong_type else NOT_AN_INTEGER)
            return number

        return self._judged(names, judge, required=True)

    def positive(self, *names: str, wrong_type: str | None = None) -> int | None:
        """A required number of something, from 1 to 2^53 - 1."""
        number = self.integer(*names, wrong_type=wrong_type)
        if number is not None and not 1 <= number <= NUMBER_MAX:
            self.complaints.add(names[0], no_such_number(number))
            return None
        return number

    def instant(self, *names: str, required: bool = False) -> str | None:
        """A time in UTC as shown. Null is refused where it is required."""

        def judge(value: Any) -> str:
            shown = shown_of(value) if type(value) is str else None
            if shown is None:
                raise Wrong(NO_DATETIME)
            return shown

        return self._judged(names, judge, required=required, takes_null=not required)

    def duration(self) -> str | None:
        """Seconds as decimal text, of `duration_in_seconds`, else of `duration` in nanoseconds."""
        if self.has("duration_in_seconds"):
            return self._judged(("duration_in_seconds",), lambda value: seconds_of(value, Decimal(1)))
        return self._judged(("duration",), lambda value: seconds_of(value, _NANOSECOND))

    def _judged(
        self,
        names: tuple[str, ...],
        judge: Callable[[Any], _Value],
        *,
        default: _Value | None = None,
        required: bool = False,
        takes_null: bool = False,
    ) -> _Value | None:
        name = next((name for name in names if name in self._document), None)
        complaint = None
        if name is None:
            if not required:
                return default
            complaint = REQUIRED
        elif self._document[name] is None:
            complaint = None if takes_null else NULL
        else:
            try:
                return judge(self._document[name])
            except Wrong as wrong:
                complaint = str(wrong)
        if complaint is not None:
            self.complaints.add(names[0], complaint)
        return None


def boolean_of(value: Any) -> bool:
    """Wrong for all but the forms that upstream takes."""
    if isinstance(value, int | float) and value in {0, 1}:
        return bool(value)
    if type(value) is str and value.strip() in BOOLEANS:
        return BOOLEANS[value.strip()]
    raise Wrong(NOT_A_BOOLEAN)


def seconds_of(value: Any, unit: Decimal) -> str:
    """So many of a unit as seconds, to the nanosecond: decimal text without an exponent. Wrong."""
    number = decimal_of(value)
    if number is None or (unit != 1 and integer_of(value) is None):
        raise Wrong(NOT_A_NUMBER if unit == 1 else NOT_AN_INTEGER)
    if number < 0:
        raise Wrong("Ensure this value is greater than or equal to 0.")
    if number * unit > MAX_SECONDS:
        raise Wrong(f"Ensure this value is less than or equal to {MAX_SECONDS / unit:f}.")
    return f"{abs(number * unit).quantize(_NANOSECOND):f}".rstrip("0").rstrip(".")


def integer_of(value: Any) -> int | None:
    """An integer, a whole float or digits; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and _INTEGER(value.strip()):
        return int(value.strip().partition(".")[0])
    return None


def decimal_of(value: Any) -> Decimal | None:
    """A finite number or its text; None for anything else. Of a float what JSON said, not its binary fraction."""
    if type(value) not in {int, float, str} or len(str(value)) > 400:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    # Beyond these nobody means a number, and arithmetic on them would cost memory.
    return number if number.is_finite() and (number == 0 or -400 < number.adjusted() < 400) else None


def shown_of(text: str) -> str | None:
    """A client's ISO time in UTC as shown; without a zone it is UTC. None: it is none."""
    found = _DATETIME(text.strip())
    if found is None:
        return None
    *numbers, fraction, zone = found.groups()
    try:
        year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
        micros = int((fraction or "").ljust(6, "0"))
        at = datetime(year, month, day, hour, minute, second, micros, UTC) - _offset_of(zone)
        return shown_instant((at - _EPOCH) // timedelta(microseconds=1))
    except (ValueError, OverflowError):
        return None


def _offset_of(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[-2:] if len(zone) > 3 else 0)
    if minutes > 59:
        raise ValueError(zone)
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
