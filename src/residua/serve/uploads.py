"""Uploads: the files in the body of a request, raw or as a form; they stay in memory."""

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from residua.serve.problems import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FORM = b"multipart/form-data"


def is_form(content_type: str) -> bool:
    """Whether a body of this type has to be parsed."""
    return parse_options_header(content_type)[0] == _FORM


def files_of(body: bytes, content_type: str, *, most: int) -> list[bytes]:
    """The files that a body holds. The content decides what they are, not their names or types.

    Args:
        body: All of it.
        content_type: The header; a form is `multipart/form-data`, anything else is one file.
        most: Most files of a form.

    Returns:
        At least one file, in order.

    Raises:
        Refusal: The form is damaged, holds no file, or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind != _FORM:
        if not body:
            raise Refusal(400, "the body is empty: send an image, or a form with files", reason="bad request")
        return [body]
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal(400, "the form has no boundary: name it in Content-Type", reason="bad request")
    form = _FormFiles(most)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise Refusal(400, "the form is damaged: send multipart/form-data", reason="bad request") from None
    if not form.files:
        raise Refusal(400, "the form holds no file: add a part with a filename", reason="bad request")
    return [bytes(file) for file in form.files]


class _FormFiles:
    """Collects the parts of a form that have a filename."""

    def __init__(self, most: int) -> None:
        self.files: list[bytearray] = []
        self._most = most
        self._parts = 0
        self._name = self._value = self._disposition = b""
        self._part: bytearray | None = None

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 2 * self._most:
            raise Refusal(
                413, f"the form has too many parts: send at most {self._most}", reason="too many images"
            )
        self._name = self._value = self._disposition = b""
        self._part = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_end(self) -> None:
        if b"filename" in parse_options_header(self._disposition)[1]:
            self._part = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part += data[start:end]

    def _end(self) -> None:
        if self._part is not None:
            if len(self.files) == self._most:
                text = f"the form has too many files: send at most {self._most}"
                raise Refusal(413, text, reason="too many images")
            self.files.append(self._part)
            self._part = None
