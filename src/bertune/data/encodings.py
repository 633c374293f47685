"""Reads files as lines of text: decompression, decoding, and errors that name the line and the byte."""

import codecs
import contextlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from bertune.data.byte_streams import (
    BLOCK,
    DAMAGED,
    LARGEST_WHOLE,
    LONGEST_LINE,
    MEBIBYTE,
    Unpacked,
    damaged_file,
    is_packed,
    refuse_too_large,
)
from bertune.errors import ConfigError, DataError

_MAGIC = {
    b"\x1f\x8b": "a gzip file. Rename it so that it has the suffix .gz",
    b"PAR1": "a Parquet file. Set data.reader=parquet",
    b"BZh91AY&SY": "a bzip2 file. Rename it so that it has the suffix .bz2",
    b"\xfd7zXZ\0": "an xz file. Rename it so that it has the suffix .xz",
    b"\x28\xb5\x2f\xfd": "a Zstandard file. Decompress it, for example with unzstd",
    b"PK\x03\x04": "an Excel workbook or a zip archive. Set data.reader=xlsx, save the table as CSV UTF-8, "
    "or rename the archive so that it has the suffix .zip",
    b"\xd0\xcf\x11\xe0": "a legacy or encrypted Excel workbook. Save the table as .xlsx or as CSV UTF-8",
}
_BOMS = {  # UTF-32 first, because its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UTF16 = ("utf-16-le", "utf-16-be")


class _LineTooLongError(Exception):
    """A line is longer than the limit. The caller, which counts lines, knows its number."""


class _Bytes(Protocol):
    def read1(self, size: int = -1, /) -> bytes: ...


class _LimitedBytes(io.BufferedIOBase):
    """Blocks of bytes for TextIOWrapper that end after the first NUL character and limit the line length.

    Checks whole blocks, so that the cost does not depend on the number of lines. Raises _LineTooLongError.
    The caller finds the NUL character in the last line.
    """

    def __init__(self, binary: _Bytes, codec: str, longest: int) -> None:
        super().__init__()
        self._binary = binary
        self._longest = longest
        self._since_end = 0  # bytes since the last line end
        self._num_read = 0
        self._is_over = False
        newline, carriage = (_plain_bytes(char, codec) for char in "\n\r")
        self._is_wide = b"\0" in newline  # UTF-16 and UTF-32, where most NUL bytes are not NUL characters
        # Both byte orders are possible if a byte order mark decides.
        self._ends = [newline, newline[::-1], carriage, carriage[::-1]] if self._is_wide else [newline]
        self._carriage = b"" if self._is_wide else carriage

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        if self._is_over:
            return b""
        block = self._binary.read1(BLOCK)
        at = max(map(block.rfind, self._ends)) if self._is_wide else block.rfind(self._ends[0])
        if at < 0 and self._carriage:
            at = block.rfind(self._carriage)
        self._since_end = self._since_end + len(block) if at < 0 else len(block) - at
        nul = block.find(b"\0" * 8 if self._is_wide else b"\0")
        if nul >= 0:
            self._is_over = True
            # Eight zero bytes contain an aligned character of 2 or 4 bytes. The cut must be aligned as well.
            end = (self._num_read + nul + 8) // 4 * 4 - self._num_read if self._is_wide else nul + 1
            return block[:end]
        self._num_read += len(block)
        if self._since_end > self._longest:
            raise _LineTooLongError
        return block


def _plain_bytes(char: str, codec: str) -> bytes:
    """A character in an encoding, without a byte order mark."""
    encoded = char.encode(codec)
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE):
        encoded = encoded.removeprefix(mark)
    return encoded.removeprefix(codecs.BOM_UTF16_BE)


def open_bytes(path: Path) -> io.BufferedReader:
    """The bytes of a file, unpacked if its name says that it is compressed.

    Raises DataError if it cannot be opened. Reading from it raises DataError for an implausible compression
    ratio, and one of DAMAGED.
    """
    try:
        return io.BufferedReader(Unpacked(path)) if is_packed(path) else path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions"
        ) from error


def text_lines(path: Path, encoding: str, longest: int = LONGEST_LINE) -> Iterator[str]:
    """The physical lines of a text file with their line endings, without a byte order mark.

    `encoding` is the name of a codec, or "auto" for UTF-8, and for UTF-16 and UTF-32 with a byte order mark.
    Raises DataError with the line and byte of a decoding error, and for a line of more than `longest` bytes.
    Raises ConfigError for an unknown encoding.
    """
    codec = _codec(encoding)
    number = 0
    try:
        with open_bytes(path) as binary:
            if encoding == "auto":
                head = binary.peek(BLOCK)[:BLOCK]
                codec = _marked(head) or codec
                encoding = codec if _marked(head) else encoding
                _refuse_other_formats(path, head)
            # newline="" preserves line endings inside quoted cells, and splits at \r and \r\n as well
            text_stream = cast(BinaryIO, _LimitedBytes(binary, codec, longest))
            lines = io.TextIOWrapper(text_stream, encoding=codec, newline="")
            for number, line in enumerate(lines, start=1):
                if "\0" in line:
                    raise DataError(nul_byte(str(path), number, line))
                yield line.lstrip("\ufeff") if number == 1 else line
    except _LineTooLongError:
        raise DataError(line_too_long(f"{path}, line {number + 1}", longest)) from None
    except UnicodeDecodeError:
        raise DataError(_wrong_or_damaged(path, encoding, number)) from None
    except UnicodeError as error:  # UTF-16 or UTF-32 without the byte order mark that the codec needs
        raise DataError(
            f"{path}, line {number + 1}: the file is not {encoding} ({error}). Set data.encoding to the"
            " encoding of the file, such as utf-8 or utf-16-le, or leave data.encoding=auto for UTF-8"
        ) from error
    except DAMAGED as error:
        raise DataError(damaged_file(path, f"after line {number}", error)) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read after line {number}: {error.strerror}. Use another copy of the file"
        ) from error


def whole_text(path: Path, encoding: str) -> str:
    """The text of a file that is parsed as a whole. Raises DataError, also if the file is too large."""
    try:
        with open_bytes(path) as binary:
            refuse_too_large(path, binary if is_packed(path) else None)
    except DAMAGED:
        pass  # text_lines reports the last intact line
    return "".join(text_lines(path, encoding, LARGEST_WHOLE))


def first_text(path: Path, encoding: str, most: int) -> str:
    """The first characters of a file, for format detection. Decoding errors and corruption are ignored."""
    head = first_bytes(path, 4 * most)
    codec = (_marked(head) if encoding == "auto" else None) or _codec(encoding)
    return head.decode(codec, "replace").removeprefix("\ufeff")[:most]


def first_ascii(path: Path, most: int) -> bytes:
    """The first bytes of a file without byte order mark and NUL bytes.

    The ASCII characters of a JSON file can be searched for in them, whatever the Unicode encoding.
    """
    head = first_bytes(path, most)
    for mark in (*_BOMS, codecs.BOM_UTF8):
        head = head.removeprefix(mark)
    return head.replace(b"\0", b"")


def first_bytes(path: Path, most: int) -> bytes:
    """The first bytes of a file, up to the first corrupt block of a compressed file."""
    with open_bytes(path) as binary:
        return _some_bytes(binary, most)


def _some_bytes(binary: io.BufferedReader, most: int) -> bytes:
    found = b""
    with contextlib.suppress(*DAMAGED):
        while len(found) < most and (block := binary.read1(most - len(found))):
            found += block
    return found


def line_too_long(place: str, longest: int = LONGEST_LINE) -> str:
    """The error message for a line over the limit of `longest` bytes."""
    return (
        f"{place}: the line is longer than {longest // MEBIBYTE} MiB. Expected lines that end in \\n or"
        " \\r\\n. Write the file again with line breaks, or set its format, as in data.reader=json"
    )


def nul_byte(file: str, number: int, line: str) -> str:
    """The error message for a NUL byte in a line."""
    place = f"character {line.index(chr(0)) + 1}"
    return (
        f"{file}, line {number}: there is a NUL byte at {place} of the line. Text files do not contain NUL"
        " bytes, so the file is corrupt or not a text file. Remove the byte, or write the file again"
    )


def _codec(encoding: str) -> str:
    if encoding == "auto":
        return "utf-8"
    try:
        "".encode(encoding)  # unlike codecs.lookup, this also refuses binary codecs such as "hex" and "zip"
    except (LookupError, ValueError):  # ValueError: the codec "undefined", or a NUL character in the name
        raise ConfigError(
            f'data.encoding: unknown text encoding "{encoding}". Common ones are utf-8, utf-16, gb18030,'
            " big5, cp1252, latin-1 and shift_jis"
        ) from None
    return encoding


def _marked(head: bytes) -> str | None:
    """The encoding of the byte order mark at the start of a file, if it has one; ignores that of UTF-8."""
    return next((name for mark, name in _BOMS.items() if head.startswith(mark)), None)


def _refuse_other_formats(path: Path, head: bytes) -> None:
    for magic, advice in _MAGIC.items():
        if head.startswith(magic):
            raise DataError(f"{path}, line 1: not a text file; it begins like {advice}")
    wide = None if _marked(head) else _utf16_without_bom(head)
    if wide:
        raise DataError(
            f"{path}, line 1: from byte {head.index(0)} on, letters alternate with NUL bytes, as in UTF-16"
            f" without a byte order mark. Set data.encoding={wide}"
        )


def _utf16_without_bom(head: bytes) -> str | None:
    """The UTF-16 codec of a file without byte order mark, or None.

    UTF-16 has a NUL byte for each ASCII character, and even Chinese text has line endings, tabs or commas.
    """
    if head.count(0) < max(2, len(head) // 100):
        return None
    units = Counter(head[i : i + 2] for i in range(0, len(head), 2))
    little, big = (sum(units[char.encode(codec)] for char in "\n\t,") for codec in _UTF16)
    if max(little, big) < max(2, head.count(b"\n") // 2):
        return None
    return _UTF16[0] if little > big else _UTF16[1]


@dataclass(frozen=True)
class _BadByte:
    """The first byte that cannot be decoded, with its position and context."""

    offset: int
    line: int
    num_wide: int  # non-ASCII characters decoded before it
    at_end: bool
    sample: bytes  # bytes from the start of its line on


def _wrong_or_damaged(path: Path, encoding: str, number: int) -> str:
    """The error message for bytes that cannot be decoded.

    In a compressed file, corrupt data may follow them closely. Unpacking again, in other blocks, may then
    fail first.
    """
    try:
        return _wrong_bytes(path, encoding)
    except DAMAGED as error:
        return damaged_file(path, f"after line {number}", error)


def _wrong_bytes(path: Path, encoding: str) -> str:
    bad = _find_bad_byte(path, _codec(encoding))
    unpacked = " of the unpacked file" if is_packed(path) else ""
    expected = "UTF-8" if encoding == "auto" else encoding
    if bad.at_end:
        return (
            f"{path}, line {bad.line}: the file ends in the middle of a character, at byte"
            f" {bad.offset}{unpacked}. It was truncated; download or write it again"
        )
    seen = f"{path}, line {bad.line}: byte {bad.offset}{unpacked} is not {expected}"
    if encoding != "auto":
        return f"{seen}. Set another encoding, or leave data.encoding=auto for UTF-8"
    if bad.num_wide > 10:  # UTF-8 so far: chance sequences of another encoding rarely decode ten times
        return f"{seen}, but everything before it is. The line is corrupt; repair it or save the file again"
    likely = likely_encoding(bad.sample)
    if likely is None:
        return f"{seen}. Set the encoding of the file, as in data.encoding=cp1251, or save it as UTF-8"
    codec, title = likely
    decoded = bad.sample.splitlines()[0].decode(codec, "replace")[:60]
    return f'{seen}. It looks like {title}: if "{decoded}" is correct, set data.encoding={codec}'


def _find_bad_byte(path: Path, codec: str) -> _BadByte:
    decoder = codecs.getincrementaldecoder(codec)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    start, line, num_wide = 0, 1, 0
    with open_bytes(path) as binary:
        while True:
            # read would lose the bytes before the corrupt part of a compressed file.
            chunk = binary.read1(BLOCK)
            num_held = len(decoder.getstate()[0])  # bytes of a character split between two chunks
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                offset = start - num_held + error.start
                text = error.object[: error.start].decode(codec, "ignore")
                line += newlines.decode(text, final=True).count("\n")
                num_wide += _num_wide(text)
                return _BadByte(offset, line, num_wide, not chunk, _from_line_start(binary, offset))
            if not chunk:
                raise DataError(f"{path} changed while bertune was reading it. Run the command again")
            start += len(chunk)
            line += newlines.decode(text).count("\n")
            num_wide += _num_wide(text)


def _num_wide(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _from_line_start(binary: io.BufferedReader, offset: int) -> bytes:
    nearby = max(0, offset - BLOCK)
    binary.seek(nearby)
    line_start = nearby + _some_bytes(binary, offset - nearby).rfind(b"\n") + 1
    binary.seek(line_start)
    return _some_bytes(binary, BLOCK)


def likely_encoding(sample: bytes) -> tuple[str, str] | None:
    """The codec and display name of the legacy encoding that a sample is probably in; None if unclear."""
    num_high = len(sample) - len(sample.translate(None, _HIGH))
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]{2,}", sample)]
    # Chinese characters are pairs of high bytes; Western accented letters are single bytes among ASCII.
    if sum(runs) > num_high / 2:
        share, codec, title = max(_common_share(sample, *kind) for kind in _CHINESE)
        if share > 0.8:
            return codec, title
        if max(runs) > 3:
            return None
    undefined = sample.translate(None, bytes(set(range(256)) - set(b"\x81\x8d\x8f\x90\x9d")))
    return "latin-1" if undefined else "cp1252", "Latin-1 or cp1252 (Western European)"


_HIGH = bytes(range(0x80, 0x100))
# Lead bytes of punctuation and of frequent characters, which GB 2312 and Big5 both encode first.
_CHINESE = (
    ("gb18030", "GB18030 (simplified Chinese)", b"\xa1\xa3\xb0\xd7"),
    ("big5", "Big5 (traditional Chinese)", b"\xa1\xa3\xa4\xc6"),
)


def _common_share(sample: bytes, codec: str, title: str, leads: bytes) -> tuple[float, str, str]:
    """The share of non-ASCII characters that are frequent ones when decoded with a codec, from 0 to 1."""
    wide = [char for char in sample.decode(codec, "replace") if char > "\x7f"]
    low_mark, high_mark, low, high = leads
    common = 0
    for char in wide:
        pair = char.encode(codec, "ignore")
        common += len(pair) == 2 and (low_mark <= pair[0] <= high_mark or low <= pair[0] <= high)
    return common / max(1, len(wide)), codec, title
