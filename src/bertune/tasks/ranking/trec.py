"""Rankings as files of the Text Retrieval Conference (TREC): runs, and the relevance judgements (qrels)."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from typing import Any
from urllib.parse import quote

from bertune.metrics import ranking as metrics

_MOST_DECIMALS = 6  # of a grade, that are kept


def trec_lines(examples: SequenceOf[Any], predictions: SequenceOf[Any]) -> dict[str, Iterator[str]]:
    """The lines of a run and, where there are grades, of its qrels, by file suffix.

    Queries have their ids, or q1, q2 …; documents those of their rows, with the line added where a query has
    one twice, which TREC's tools refuse. Grades with decimals are written as so many tenths, hundredths …
    because TREC's are whole: gains are linear, so no score changes.
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
    """An id; blank space, which stands between TREC's columns, is written as in a web address."""
    return "".join(quote(char) if char.isspace() or char == "%" else char for char in given)


def _whole(grades: SequenceOf[float]) -> list[int]:
    """The grades times the least power of ten that leaves no decimals."""
    enough = (d for d in range(_MOST_DECIMALS) if all(grade == round(grade, d) for grade in grades))
    decimals = next(enough, _MOST_DECIMALS)
    return [round(grade * 10**decimals) for grade in grades]
