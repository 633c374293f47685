"""Reads spaCy DocBin files, which `spacy convert` and `DocBin` write: documents with entities.

Requires spaCy, because only spaCy can parse them.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.byte_streams import (
    BLOCK,
    DAMAGED,
    MEBIBYTE,
    MOST_RATIO,
    damaged_file,
    is_packed,
    refuse_too_large,
)
from bertune.data.encodings import open_bytes
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.optional_packages import needs

SUFFIXES = (".spacy",)

# Below this unpacked size any compression ratio is harmless. A file holds 8 bytes for each attribute of a
# token, compressed by zlib, so repetitive texts reach a ratio of 90.
_HARMLESS = 256 * MEBIBYTE
# Exceptions that spaCy and msgpack raised on corrupt files in tests.
_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    OSError,
    zlib.error,
)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per document: text, spans. `spans` holds the entities; None for a document without annotation.

    The file is read into memory; its documents are numbered from 1. Raises DataError.
    """
    instead = "Or export the documents as JSON, one json.dumps(doc.to_json()) per line"
    with needs("spacy", f"to read {path}", instead):
        import spacy
        from spacy.tokens import DocBin
    try:
        with open_bytes(path) as file:
            refuse_too_large(path, file if is_packed(path) else None)
        with open_bytes(path) as file:
            content = file.read()
    except DAMAGED as error:
        raise DataError(damaged_file(path, "at an unknown position", error)) from error
    try:
        _refuse_bomb(path, content)
        docs = DocBin().from_bytes(content).get_docs(spacy.blank("xx").vocab)
        for number, doc in enumerate(docs, start=1):
            ents = [{"start": e.start_char, "end": e.end_char, "label": e.label_} for e in doc.ents]
            spans = ents if doc.has_annotation("ENT_IOB") else None
            yield Row({"text": doc.text, "spans": spans}, Origin(str(path), number, "document"))
    except _DAMAGE as error:
        raise DataError(
            f"{path}: not a spaCy DocBin file, or corrupt: {type(error).__name__} "
            f"{str(error)[:60]}. Write it again with DocBin.to_disk or `spacy convert`"
        ) from error


def _refuse_bomb(path: Path, content: bytes) -> None:
    inflater = zlib.decompressobj()
    size, most = 0, max(_HARMLESS, MOST_RATIO * len(content))
    rest = content
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 16 * BLOCK))
        rest = inflater.unconsumed_tail
        if size > most:
            raise DataError(
                f"{path}: the {len(content):,} bytes of the file unpack to more than {most:,}. Documents do"
                " not compress that well, so the file may be a decompression bomb. Write the documents again"
                " with DocBin.to_disk, split into several files if there are that many"
            )
