"""Three encodings, one document."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.roundware.bodies import MAX_FIELDS, read
from ingest.roundware.refusals import Refusal
from tests.ingest.roundware.front import multipart

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=xyz"


def test_json_is_kept_byte_for_byte() -> None:
    body = b'\xef\xbb\xbf{"latitude": 1.10, "a": "\xc3\xa9"}'

    for said in ("application/json", "Application/JSON; charset=utf-8"):
        sent = read(body, said)
        assert sent.document == {"latitude": 1.1, "a": "é"}
        assert sent.json == body[3:]


def test_nothing_is_nothing_whatever_it_says_it_is() -> None:
    assert read(b"", "text/plain") == (None, b"null")


def test_a_form_is_an_object_of_strings_and_the_last_of_a_name_counts() -> None:
    sent = read(b"a=1&b=x+y&c=%C3%A9&a=2&d=", FORM)

    assert sent.document == {"a": "2", "b": "x y", "c": "é", "d": ""}
    assert orjson.loads(sent.json) == sent.document


@given(st.dictionaries(st.text("abc_", min_size=1), st.text(st.characters(exclude_categories=["Cs"]))))
def test_parts_are_the_same_object(fields: dict[str, str]) -> None:
    assert (
        read(
            multipart(fields, "a boundary of its own"), 'multipart/form-data; boundary="a boundary of its own"'
        ).document
        == fields
    )


def test_parts_may_have_a_preamble_unquoted_names_and_files() -> None:
    body = (
        b"preamble\r\n--xyz\r\ncontent-disposition: form-data; name=a\r\nContent-Type: text/plain\r\n\r\n1\r\n2\r\n"
        b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="x.wav"\r\n\r\nRIFF\r\n'
        b'--xyz\r\nContent-Disposition: form-data; filename="y"; name="g"\r\n\r\nRIFF\r\n'
        b"--xyz\r\nContent-Type: text/plain\r\n\r\nnobody's\r\n"
        b'--xyz--\r\nContent-Disposition: form-data; name="late"\r\n\r\nx\r\n'
    )

    assert read(body, 'multipart/form-data; boundary="xyz"').document == {"a": "1\r\n2"}


@pytest.mark.parametrize(
    ("body", "said", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'"\\ud800"', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 33 + b"]" * 33, "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"a=1&" * (MAX_FIELDS + 1), FORM, 400),
        (multipart({str(n): "" for n in range(MAX_FIELDS + 1)}, "xyz"), PARTS, 400),
        (b"x", "multipart/form-data", 400),
        (b"x", "", 415),
        (b"x", "text/plain", 415),
        (b"x", "application/jsonp", 415),
    ],
)
def test_what_cannot_be_read_is_refused_with_one_string(body: bytes, said: str, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        read(body, said)

    assert refused.value.status == status
    assert list(refused.value.document) == ["detail"]


@given(st.binary(max_size=300), st.sampled_from([FORM, PARTS, "application/json"]))
def test_no_body_breaks_its_reader(body: bytes, said: str) -> None:
    with suppress(Refusal):
        sent = read(body, said)
        assert body == b"" or orjson.loads(sent.json) == sent.document
