"""Owns reading spaCy's own files of documents with entities, which `spacy convert` and `DocBin` write.

Only spaCy knows what is in them, so it must be installed.
"""

from collections.abc import Iterator
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import open_bytes
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".spacy",)


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """A row for each document: text, spans (its entities; none at all where nobody looked for any).

    The file is held in memory; its documents are numbered from 1. Raises DataError.
    """
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError as error:
        raise DataError(
            f"{path}: reading spaCy's own format takes spaCy: pip install 'bertune[spacy]'. Or write "
            "its documents as JSON, json.dumps(doc.to_json()) a line, which is read without it"
        ) from error
    with open_bytes(path) as file:
        content = file.read()
    try:
        docs = DocBin().from_bytes(content).get_docs(spacy.blank("xx").vocab)
        for number, doc in enumerate(docs, start=1):
            ents = [{"start": e.start_char, "end": e.end_char, "label": e.label_} for e in doc.ents]
            spans = ents if doc.has_annotation("ENT_IOB") else None
            yield Row({"text": doc.text, "spans": spans}, Origin(str(path), number, "document"))
    except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise DataError(
            f"{path}: this is no file of spaCy's, or a damaged one: {type(error).__name__} "
            f"{str(error)[:60]}. Write it again with DocBin.to_disk or `spacy convert`"
        ) from error
