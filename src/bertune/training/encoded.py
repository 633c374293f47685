"""Encoded splits: the examples of a split with their sequences, and how they are regrouped."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any

from bertune.tasks import FittedTask
from bertune.text.sequences import Sequence


@dataclass(frozen=True)
class EncodedSplit:
    """One split, encoded."""

    source: str
    examples: list[Any]
    sequences: list[Sequence]
    groups: tuple[int, ...] = ()  # group of each evaluated example; equal numbers are not independent

    def untruncated_lengths(self) -> list[int]:
        """The number of tokens of each sequence before truncation."""
        return [len(s) + s.num_removed for s in self.sequences]


def sequences_of_rows(sequences: SequenceOf[Sequence], rows: SequenceOf[int]) -> list[Sequence]:
    """The sequences of some rows of a tokenized table, renumbered by position in `rows`."""
    of_example: dict[int, list[Sequence]] = {}
    for sequence in sequences:
        of_example.setdefault(sequence.group, []).append(sequence)
    return [replace(s, group=group) for group, row in enumerate(rows) for s in of_example.get(row, [])]


def as_learned(split: EncodedSplit, fitted: FittedTask) -> EncodedSplit:
    """The training split regrouped so that each group counts as one example."""
    if fitted.windows_are_examples:
        owners = [split.examples[s.group] for s in split.sequences]
        numbered = [replace(s, group=i) for i, s in enumerate(split.sequences)]
        return EncodedSplit(split.source, owners, numbered)
    together = fitted.group_training_examples(split.examples)
    if together is None:
        return split
    group = {position: number for number, positions in enumerate(together) for position in positions}
    sequences = [replace(s, group=group[s.group]) for s in split.sequences if s.group in group]
    return EncodedSplit(split.source, [split.examples[positions[0]] for positions in together], sequences)
