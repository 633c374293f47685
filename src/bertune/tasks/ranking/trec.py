"""TREC (Text Retrieval Conference) files: runs, and relevance judgements (qrels)."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from typing import Any
from urllib.parse import quote

from bertune.metrics import ranking as metrics

_MAX_DECIMALS = 6  # decimals of a grade; further ones are rounded


def trec_lines(examples: SequenceOf[Any], predictions: SequenceOf[Any]) -> dict[str, Iterator[str]]:
    """The lines of a run and, if all examples have grades, of the qrels, by file suffix.

    Queries are named by their ids, or q1, q2, …; documents are named by the ids of their rows. If a query has
    a document twice, which TREC tools reject, the line number is appended. TREC grades are integers, so
    grades with decimals are multiplied by a power of ten. Scores do not change, because gains are linear.
    """
    numbers = {query: f"q{n}" for n, query in enumerate(dict.fromkeys(e.query for e in examples), 1)}
    queries = [_name(e.query_id) or numbers[e.query] for e in examples]
    names = [_name(e.id) or f"line-{e.origin.line}" for e in examples]
    count = Counter(zip(queries, names, strict=True))
    documents = [
        name if count[query, name] == 1 else f"{name}-line-{example.origin.line}"
        for query, name, example in zip(queries, names, examples, strict=True)
    ]
    scores = [p.score for p in predictions]
    lines = {"run": metrics.run_lines(zip(queries, documents, scores, strict=True))}
    if all(e.gold is not None for e in examples):
        grades = _whole([e.gold for e in examples])
        lines["qrels"] = metrics.qrels_lines(zip(queries, documents, grades, strict=True))
    return lines


def _name(given: str) -> str:
    """An id with whitespace percent-encoded, because TREC files separate columns by whitespace."""
    return "".join(quote(char) if char.isspace() or char == "%" else char for char in given)


def _whole(grades: SequenceOf[float]) -> list[int]:
    """The grades times the smallest power of ten that makes all of them integers."""
    sufficient = (d for d in range(_MAX_DECIMALS) if all(grade == round(grade, d) for grade in grades))
    decimals = next(sufficient, _MAX_DECIMALS)
    return [round(grade * 10**decimals) for grade in grades]
