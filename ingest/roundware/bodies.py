"""The three encodings of a body: JSON, urlencoded and multipart forms, read to one document of fields."""

import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from ingest.roundware.refusals import Refusal, detail
from schemas import codec
from schemas.representable import MAX_NESTING, is_suspect, nesting

JSON: Final = "application/json"
URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

TYPES: Final = (JSON, URLENCODED, MULTIPART)
MAX_FIELDS: Final = 1000

_BOM: Final = b"\xef\xbb\xbf"
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE).search
_LINES: Final = re.IGNORECASE | re.MULTILINE
_NAME: Final = re.compile(rb'^content-disposition:[^\r\n]*[;\s]name=(?:"([^"\r\n]*)"|([^\s;"]+))', _LINES).search
_FILE: Final = re.compile(rb"^content-disposition:[^\r\n]*[;\s]filename\*?=", _LINES).search


class Sent(NamedTuple):
    """What a client sent. `document` is what JSON said, or an object of strings; `json` is it as one JSON value.

    An empty body is None and `null`.
    """

    document: Any
    json: bytes


def read(body: bytes, content_type: str) -> Sent:
    """The body by its content type. Refusal: 415 for another type, 400 for what cannot be read."""
    if not body:
        return Sent(None, b"null")
    media = content_type.partition(";")[0].strip().lower()
    if media == JSON:
        return _json(body)
    if media == URLENCODED:
        return _form(_urlencoded(body))
    if media == MULTIPART:
        return _form(_multipart(body, content_type))
    raise detail("unsupported_media_type", f'Unsupported media type "{content_type}" in request.')


def _json(body: bytes) -> Sent:
    body = body.removeprefix(_BOM)
    try:
        document = codec.decode(body)
    except codec.Undecodable as error:
        raise _unread(f"JSON parse error - {error}") from None
    if is_suspect(body) and nesting(body) > MAX_NESTING:
        raise _unread(f"JSON parse error - nested deeper than {MAX_NESTING} levels")
    return Sent(document, body)


def _form(fields: dict[str, str]) -> Sent:
    return Sent(fields, codec.encode(fields))


def _urlencoded(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise _unread(f"Form parse error - {error}") from None
    return dict(pairs)


def _multipart(body: bytes, content_type: str) -> dict[str, str]:
    """The text parts by name; the last of a name counts, files are passed over."""
    found = _BOUNDARY(content_type)
    if found is None:
        raise _unread("Multipart form parse error - Invalid boundary in multipart: None")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(delimiter)
    if len(pieces) > MAX_FIELDS + 2:
        raise _unread(f"Multipart form parse error - more than {MAX_FIELDS} parts")
    fields = {}
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, blank, content = piece.partition(b"\r\n\r\n")
        name = _NAME(head)
        if blank and name and not _FILE(head):
            fields[_text(name[1] if name[1] is not None else name[2])] = _text(content)
    return fields


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _unread(text: str) -> Refusal:
    return detail("malformed_json", text)
