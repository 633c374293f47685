"""Labels that a trivial cue predicts: one word, the length of the text, or another column of the source.

A cue is chosen on one half of the distinct training rows and judged on the other half, by the share of the
errors of the more frequent answer that it avoids. The lower bound of this share, corrected for the number of
cues judged (Bonferroni), must be at least `LEAST_REDUCTION`. Ordinary words stay far below: the best single
word for the sentiment of IMDB avoids 23%. Compare Gururangan et al. 2018, "Annotation Artifacts in
Natural Language Inference Data".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bertune.audit.duplicates import Duplicates
from bertune.audit.findings import MOST_ROWS, AuditedSplit, Finding, found_rows
from bertune.audit.intervals import critical_value
from bertune.audit.rules import (
    Bools,
    Floats,
    Judgement,
    Words,
    binned,
    categories,
    judged_labels,
    judged_numbers,
    predicted_by,
    renames,
)
from bertune.audit.words import Ints
from bertune.errors import counted, plural

LEAST_REDUCTION = 0.5
_MOST_ROWS = 50_000  # distinct rows examined; of more rows, a random sample
_LEAST_ROWS = 100  # distinct rows below which no cue is judged
_LEAST_OF_LABEL = 20  # examined rows of a label
_MOST_LABELS = 300  # the most frequent labels
# With more labels, single words that name one are expected: "weather" in questions about the weather.
_FEW_LABELS = 10
_SEED = 0


@dataclass(frozen=True)
class Cue:
    """A cue that predicts a label, or the number to predict."""

    kind: str  # "word", "length", "column", or "label_column" for another name of the labels
    name: str  # the word or the column
    label: str  # "" for numbers
    judgement: Judgement
    rows: tuple[int, ...]  # the first training rows with both


@dataclass(frozen=True)
class _Examined:
    """The training rows that are examined, in random order."""

    rows: Ints  # their positions in the split
    distinct: Ints  # their distinct texts, as in `Duplicates`
    targets: Mapping[str, Bools]  # by label, whether each row has it
    numbers: Floats | None  # instead of labels
    z: float


def cue_findings(
    train: AuditedSplit, duplicates: Duplicates, columns: Sequence[str], noun: str
) -> list[Finding]:
    """Findings about labels that a cue predicts: for words, for the length, and for each other column.

    `columns` are the names of the text columns.
    """
    examined = _examine(train, duplicates)
    if examined is None:
        return []
    cues = list(_word_cues(examined, duplicates, columns))
    rows = examined.rows.tolist()
    lengths = np.array([sum(map(len, train.texts[row])) for row in rows], np.float64)
    cues += _value_cues(examined, "length", "length", binned(lengths))
    for name, values in train.columns.items():
        codes = categories(values[examined.rows])
        if codes is not None:
            is_name = renames(codes, [train.labels[row] for row in rows])
            cues += _value_cues(examined, "label_column" if is_name else "column", name, codes)
    by_source: dict[tuple[str, str], list[Cue]] = {}
    for cue in cues:
        by_source.setdefault((cue.kind, "" if cue.kind == "word" else cue.name), []).append(cue)
    num_labels = max(1, len(examined.targets))
    return [_finding(train, found, num_labels, noun) for found in by_source.values()]


def _examine(train: AuditedSplit, duplicates: Duplicates) -> _Examined | None:
    """The rows to examine; None if there are too few, or no label that some rows have and others do not."""
    begin, end = duplicates.bounds["train"]
    distinct, first = np.unique(duplicates.distinct[begin:end], return_index=True)
    if len(distinct) < _LEAST_ROWS:
        return None
    chosen = np.random.default_rng(_SEED).permutation(len(distinct))[:_MOST_ROWS]
    rows = first[chosen]
    gold = [train.gold[row] for row in rows.tolist()]
    numbers = np.array(gold, np.float64) if all(isinstance(value, float) for value in gold) else None
    targets = {} if numbers is not None else _targets([train.labels[row] for row in rows.tolist()])
    if numbers is None and not targets:
        return None
    z = critical_value(max(1, len(targets)) * (2 + len(train.columns)))
    return _Examined(rows, distinct[chosen], targets, numbers, z)


def _targets(labels: Sequence[tuple[str, ...]]) -> dict[str, Bools]:
    """For each frequent label, which rows have it; without labels that all rows have."""
    with_label: dict[str, list[int]] = {}
    for row, names in enumerate(labels):
        for name in set(names):
            with_label.setdefault(name, []).append(row)
    sizes = {label: len(rows) for label, rows in with_label.items()}
    frequent = sorted(sizes, key=lambda label: -sizes[label])[:_MOST_LABELS]
    targets = {}
    for label in frequent:
        if _LEAST_OF_LABEL <= sizes[label] < len(labels):
            targets[label] = np.zeros(len(labels), bool)
            targets[label][with_label[label]] = True
    return targets


def _word_cues(examined: _Examined, duplicates: Duplicates, columns: Sequence[str]) -> Iterator[Cue]:
    """For each label, the word whose presence predicts it best, if it predicts it well enough."""
    texts = duplicates.texts[examined.distinct]
    words = [Words(column, texts[:, at]) for at, column in enumerate(duplicates.columns)]
    for label, target in examined.targets.items():
        found = [(best[1], at, best[0]) for at, of in enumerate(words) if (best := of.best(target))]
        if not found:
            continue
        _, at, word = max(found)
        predicted = words[at].rows_with(word)
        where = f" in {columns[at]}" if len(words) > 1 and at < len(columns) else ""
        judgement = judged_labels(predicted, target, examined.z)
        if judgement.low >= LEAST_REDUCTION:
            name = f'"{words[at].name(word)}"{where}'
            yield Cue("word", name, label, judgement, _first(examined, predicted & target))


def _value_cues(examined: _Examined, kind: str, name: str, codes: Ints) -> Iterator[Cue]:
    """The labels, or the number, that a categorical value predicts well enough."""
    if examined.numbers is not None:
        judgement = judged_numbers(codes, examined.numbers, examined.z)
        if judgement.low >= LEAST_REDUCTION:
            yield Cue(kind, name, "", judgement, _first(examined, np.ones(len(codes), bool)))
    targets = list(examined.targets.items())
    if len(targets) == 2 and (targets[0][1] != targets[1][1]).all():
        targets = targets[1:]  # with two labels, a cue predicts both equally well
    for label, target in targets:
        predicted = predicted_by(codes, target)
        judgement = judged_labels(predicted, target, examined.z)
        if judgement.low >= LEAST_REDUCTION:
            yield Cue(kind, name, label, judgement, _first(examined, predicted & target))


def _first(examined: _Examined, are_shown: Bools) -> tuple[int, ...]:
    return tuple(np.sort(examined.rows[are_shown])[:MOST_ROWS].tolist())


def _finding(train: AuditedSplit, cues: list[Cue], num_labels: int, noun: str) -> Finding:
    """One finding for all labels that cues of one kind predict."""
    kind = cues[0].kind
    column = f'the column "{cues[0].name}"'
    what = {"word": "a single word", "length": f"the length of the {noun}"}.get(kind, column)
    cues = sorted(cues, key=lambda cue: -cue.judgement.low)
    shown = "; ".join(_shown(cue) for cue in cues[:3])
    more = f"; and {len(cues) - 3:,} more" if len(cues) > 3 else ""
    target = (
        "the number" if not cues[0].label else "a label" if len(cues) == 1 else counted(len(cues), "label")
    )
    remedy = (
        f"A model can learn this instead of the content. Check that it also holds for the {plural(noun)} to "
        "predict"
    )
    if kind == "label_column":
        remedy = "It may be an alias of the label. Otherwise, the labels depend on where the rows come from"
    return Finding(
        f"{kind}_cue",
        "warning" if len(cues) <= _FEW_LABELS and kind != "label_column" else "note",
        f"train: {what} predicts {target}: {shown}{more}",
        remedy,
        len(cues),
        num_labels,
        "train",
        found_rows(train, cues[0].rows, {}),
        {
            "cues": [
                {
                    "cue": cue.name,
                    "label": cue.label,
                    "score": round(cue.judgement.score, 4),
                    "constant": round(cue.judgement.constant, 4),
                }
                for cue in cues[:50]
            ]
        },
    )


def _shown(cue: Cue) -> str:
    if not cue.label:
        return f"R² of {cue.judgement.score:.2f} on held-out rows"
    by = f" by {cue.name}" if cue.kind == "word" else ""
    return (
        f'"{cue.label}"{by} ({cue.judgement.score:.1%} accuracy on held-out rows, '
        f"{cue.judgement.constant:.1%} by the more frequent answer)"
    )
