"""Uploads: a multipart form with a file, which is written to disk as it arrives."""

import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from bertune.data.byte_streams import is_packed
from bertune.data.formats import file_suffix
from bertune.errors import listed
from bertune.serve.refusals import BadRequest, Invalid, TooLarge

_MOST_FIELD_BYTES = 10_000  # per field other than the file
_MOST_NAME_BYTES = 120  # per file name, without its suffix; most file systems allow 255 bytes in total
_FILE = "file"


@dataclass
class _Part:
    """The headers of the part of a form that is being received, and its content unless it is the file."""

    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str = ""
    is_file: bool = False


class Upload:
    """Receives a form with one file, named "file", and short fields."""

    def __init__(self, content_type: str, folder: Path, suffixes: Collection[str], max_bytes: int) -> None:
        """The file is written to `folder` under a safe form of its name, whose suffix must be in `suffixes`.

        Raises BadRequest if the content is not a multipart form.
        """
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise BadRequest(
                "send the file as multipart/form-data, in a part named file, as in curl -F file=@reviews.csv"
            )
        self.fields: dict[str, str] = {}
        self.file = ""  # name of the written file; empty until it arrives
        self._folder = folder
        self._suffixes = suffixes
        self._max_bytes = max_bytes
        self._size = 0
        self._part = _Part()
        self._open: BinaryIO | None = None
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add,
                "on_part_end": self._end,
            },
        )

    async def receive(self, stream: AsyncIterator[bytes]) -> None:
        """Receive the whole form. Raises BadRequest, Invalid and TooLarge."""
        try:
            async for chunk in stream:
                self._parser.write(chunk)
            self._parser.finalize()
        except MultipartParseError as error:
            raise BadRequest(f"the request body is not a valid multipart form ({error})") from error
        finally:
            if self._open is not None:
                self._open.close()
        if not self.file:
            raise BadRequest("the form has no file. Send it in a part named file")

    def _begin(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _end_header(self) -> None:
        part = self._part
        if part.header.lower() == b"content-disposition":
            part.disposition = bytes(part.value)
        part.header, part.value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        part = self._part
        _, options = parse_options_header(part.disposition)
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        part.is_file = part.name == _FILE
        if not part.is_file:
            return
        if self.file:
            raise BadRequest("the form has two files. Send one at a time")
        self.file = safe_name(options.get(b"filename", b"").decode("utf-8", "replace"))
        suffix = file_suffix(self.file)
        if suffix not in self._suffixes or is_packed(Path(self.file)):
            raise Invalid(
                f'"{self.file}" does not have the suffix of a table. Expected one of: '
                f"{listed(sorted(self._suffixes), 30)}"
            )
        self._open = (self._folder / self.file).open("xb")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            assert self._open is not None
            self._size += end - start
            if self._size > self._max_bytes:
                raise TooLarge(
                    f"the file is larger than {self._max_bytes / 1e6:g} MB (serve.max_file_mb). Split it"
                )
            self._open.write(data[start:end])
            return
        self._part.value += data[start:end]
        if len(self._part.value) > _MOST_FIELD_BYTES:
            raise TooLarge(f'the field "{self._part.name[:40]}" is longer than {_MOST_FIELD_BYTES:,} bytes')

    def _end(self) -> None:
        if not self._part.is_file:
            self.fields[self._part.name] = self._part.value.decode("utf-8", "replace")


def safe_name(name: str) -> str:
    """A file name without folders, control characters, and characters that have a meaning in patterns."""
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r"[^\w .()+-]", "_", name).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    stem = (stem if dot else suffix).encode()[:_MOST_NAME_BYTES].decode("utf-8", "ignore") or "file"
    return f"{stem}.{suffix[:20]}" if dot else stem
