"""Owns rankings as the files of the Text Retrieval Conference: what was ranked, and what is relevant."""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from typing import Any
from urllib.parse import quote

from bertune.metrics import ranking as metrics


def trec_lines(examples: SequenceOf[Any], predictions: SequenceOf[Any]) -> dict[str, Iterator[str]]:
    """The lines of a run and of its qrels, by ending; queries are q1, q2 …, documents their rows' ids."""
    numbers = {query: f"q{n}" for n, query in enumerate(dict.fromkeys(e.query for e in examples), 1)}
    queries, documents = [numbers[e.query] for e in examples], [_document(e) for e in examples]
    scores = [p.score for p in predictions]
    lines = {"run": metrics.run_lines(zip(queries, documents, scores, strict=True))}
    if all(e.gold is not None for e in examples):
        grades = [e.gold for e in examples]
        lines["qrels"] = metrics.qrels_lines(zip(queries, documents, grades, strict=True))
    return lines


def _document(example: Any) -> str:
    """A row's id; blank space, which stands between TREC's columns, is written as in a web address."""
    name = "".join(quote(char) if char.isspace() or char == "%" else char for char in example.id)
    return name or f"line-{example.origin.line}"
