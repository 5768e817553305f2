"""The fields and files of a request, read into memory: nothing is written to disk, however large it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

from galaxycnn.serving.limits import Limits, Refused

LONGEST_FIELD = 1000
"""Bytes of a field that is no file."""
MOST_FIELDS = 16
LONGEST_NAME = 200
"""Letters of a file's name that are kept, from its end."""


class Upload(NamedTuple):
    """A file as it was sent."""

    name: str
    content: bytes


class Form(NamedTuple):
    """What a request holds."""

    fields: Mapping[str, str]
    files: list[Upload]


async def read_form(request: Request, limits: Limits) -> Form:
    """The body of a ``multipart/form-data`` request.

    Raises:
        Refused: it is too large (413), too slow (408), or no such form (415, 422).
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Refused(415, "send files as multipart/form-data, as curl -F files=@galaxy.jpg does")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.request_bytes:
        raise _too_large(limits)
    try:
        return await asyncio.wait_for(_read(request, options[b"boundary"], limits), limits.seconds)
    except asyncio.TimeoutError:
        raise Refused(408, f"the request took longer than {limits.seconds:g} seconds to arrive") from None
    except FormParserError:
        raise Refused(422, "the form is damaged or incomplete") from None


async def _read(request: Request, boundary: bytes, limits: Limits) -> Form:
    reader = _Reader(limits)
    parser = MultipartParser(boundary, reader.callbacks())
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limits.request_bytes:
            raise _too_large(limits)
        parser.write(chunk)
    parser.finalize()
    if not reader.whole:
        raise Refused(422, "the form is damaged or incomplete")
    return Form(reader.fields, reader.files)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"a request has at most {limits.request_megabytes:g} MB: send fewer files at a time")


class _Reader:
    """Gathers the parts of a form as the parser comes to them."""

    def __init__(self, limits: Limits) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[Upload] = []
        self.whole = False
        self._limits = limits
        self._header, self._value, self._content = b"", b"", bytearray()
        self._name, self._file, self._longest = "", None, LONGEST_FIELD  # type: str, str | None, int

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._whole,
        }

    def _begin(self) -> None:
        self._header, self._value, self._content = b"", b"", bytearray()
        self._name, self._file = "", None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode(errors="replace")
            if b"filename" in options:
                name = options[b"filename"].decode(errors="replace").replace("\\", "/").rsplit("/", 1)[-1]
                self._file = name[-LONGEST_NAME:] or "file"
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        if self._file is None:
            self._longest = LONGEST_FIELD
            if len(self.fields) >= MOST_FIELDS:
                raise Refused(413, f"a form has at most {MOST_FIELDS} fields beside its files")
        else:
            self._longest = self._limits.bytes
            if len(self.files) >= self._limits.files:
                raise Refused(413, f"a request has at most {self._limits.files} files: send the others in another one")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if len(self._content) + end - start > self._longest:
            what = f"a field has at most {LONGEST_FIELD:,} bytes"
            if self._file is not None:
                what = f"{self._file}: a file has at most {self._limits.megabytes:g} MB"
            raise Refused(413, what)
        self._content += data[start:end]

    def _end(self) -> None:
        if self._file is None:
            self.fields[self._name] = self._content.decode(errors="replace")
        else:
            self.files.append(Upload(self._file, bytes(self._content)))

    def _whole(self) -> None:
        self.whole = True
