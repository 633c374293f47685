"""Scores of slices of a split: by length, label, other columns of the file, truncation and unknown tokens.

Dimensions: N examples.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict
from typing import Any

import numpy as np

from bertune.audit.tokens import TokenCounts
from bertune.manifest.slices import SlicesRecord
from bertune.metrics.resampling import units_of
from bertune.metrics.scores import Scores
from bertune.metrics.slices import Slice, by_value, quartiles, score_slices
from bertune.tasks import FittedTask
from bertune.tasks.parts.score_intervals import group_keys
from bertune.text.tokenizer import Tokenizer
from bertune.training.auditing import token_counts
from bertune.training.encoded import EncodedSplit

_MOST_LABELS = 20  # the most frequent ones
_MOST_VALUES = 20  # distinct values of a column; with more, it holds IDs or texts rather than sources
_MOST_COLUMNS = 10
_MANY_UNKNOWN = 0.05  # share of unknown tokens, above which the tokenizer hardly fits the text


def slices_record(
    split: EncodedSplit,
    scores: Scores,
    fitted: FittedTask,
    tokenizer: Tokenizer,
    columns: Mapping[str, SequenceOf[str]],
) -> SlicesRecord | None:
    """The scores of the slices of a split; None if it has too few rows, or a task without weighted scores.

    `columns` has the values of other columns of the file, by their names.
    """
    # A truncated sequence is as long as the longest, and had more tokens before.
    counts = token_counts(split, tokenizer, max(map(len, split.sequences)))
    unit_N = units_of(group_keys(fitted, split.examples))
    found = list(_slices(split, fitted, counts, columns))
    if fitted.is_scored_by_group:
        found = [_of_units(one, unit_N) for one in found]
    score = fitted.slice_score or fitted.task.primary
    scored = score_slices(found, scores, unit_N, score)
    if not scored:
        return None
    rows = [{**asdict(one), "difference": one.difference and vars(one.difference)} for one in scored]
    return SlicesRecord.model_validate({"score": score, "noun": fitted.task.noun, "slices": rows})


def _slices(
    split: EncodedSplit, fitted: FittedTask, counts: TokenCounts, columns: Mapping[str, SequenceOf[str]]
) -> Iterator[Slice]:
    examples = split.examples
    lengths_N = np.zeros(len(examples), np.int64)
    for sequence, length in zip(split.sequences, split.untruncated_lengths(), strict=True):
        lengths_N[sequence.group] += length
    yield from quartiles("length", lengths_N, "tokens")
    yield from _labels(examples, fitted)
    for name, values in list(columns.items())[:_MOST_COLUMNS]:
        kind = f"column {name}" if name.isdecimal() else name
        yield from by_value(kind, [(value,) for value in values], _MOST_VALUES)
    is_cut_N = counts.is_truncated > 0
    if is_cut_N.any():
        yield Slice("truncated", "truncated", is_cut_N)
    unknown_N = counts.unknown / np.maximum(counts.tokens, 1)
    if (unknown_N > 0).any():
        name = f"{_MANY_UNKNOWN:.0%} of the tokens"
        yield Slice("unknown tokens", f"up to {name}", (unknown_N > 0) & (unknown_N <= _MANY_UNKNOWN))
        yield Slice("unknown tokens", f"more than {name}", unknown_N > _MANY_UNKNOWN)


def _labels(examples: SequenceOf[Any], fitted: FittedTask) -> Iterator[Slice]:
    if fitted.label_scope == "position" or fitted.is_scored_by_group:
        return
    gold = [example.gold for example in examples]
    if all(isinstance(value, float) for value in gold):
        yield from quartiles("label", np.array(gold))
        return
    yield from by_value("label", [fitted.label_names(example) for example in examples], _MOST_LABELS)


def _of_units(one: Slice, unit_N: Any) -> Slice:
    """The slice of whole units, such as queries: those of which most rows are in the slice."""
    share_U = np.bincount(unit_N, one.is_in) / np.bincount(unit_N)
    return Slice(one.kind, one.name, share_U[unit_N] > 0.5)


def categories(
    others: Mapping[str, Any], names: Mapping[str, tuple[str, ...]], rows: SequenceOf[int]
) -> dict[str, list[str]]:
    """The values of the columns with few of them, for some rows of a table."""
    found = {}
    for column, known in names.items():
        codes = others[column][np.asarray(rows)]
        if 1 < len(np.unique(codes)) <= _MOST_VALUES:
            found[column] = [known[code] for code in codes.tolist()]
    return found
