"""Explanations: how much every word of an example contributed to its prediction, by integrated gradients.

Dimensions: L tokens of a sequence.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DataError
from bertune.predict.backend import Poll, never_stop
from bertune.predict.model import Model
from bertune.predict.predictor import ReadableRows
from bertune.tasks import Output
from bertune.tasks.encoder import TextEncoder
from bertune.tasks.explained import Attributions, Explained, OutputWeights, Target
from bertune.tasks.token_classification.schemes import words_of
from bertune.text.sequences import Sequence


@runtime_checkable
class ExplainingBackend(Protocol):
    """A backend that can compute gradients."""

    def attributions(
        self,
        sequence: Sequence,
        number: OutputWeights,
        replaced_L: NDArray[np.bool_],
        neutral_id: int | None,
        poll: Poll = never_stop,
    ) -> Attributions:
        """The contribution of every token to `number`, compared with the token `neutral_id` in its place.

        Only tokens in `replaced_L` contribute. If `neutral_id` is None, they are compared with zeros. `poll`
        is called between batches and can raise an exception to stop.
        """


@dataclass(frozen=True)
class Word:
    """A word with its contribution."""

    text: int  # position in `Explanation.texts`
    start: int  # first character in that text
    end: int  # last character + 1
    contribution: float  # in the unit of the explained number


@dataclass(frozen=True)
class Place:
    """The part of a text that the explained number belongs to, such as a masked word or an entity."""

    text: int  # position in `Explanation.texts`
    start: int  # first character in that text
    end: int  # last character + 1


@dataclass(frozen=True)
class Explanation:
    """The contributions of all words, which add up to `value` minus `baseline`, up to the numerical error."""

    target: Target  # the label, or the position of the choice, entity or mask; None if there is only one
    texts: tuple[str, ...]
    words: tuple[Word, ...]
    value: float  # the explained number, usually a logit
    baseline: float  # the same if all words are replaced by the mask token
    places: tuple[Place, ...] = ()  # none if the number belongs to the texts as a whole


@dataclass(frozen=True)
class PredictedExample:
    """An example with its sequences, and the outputs of the model for them."""

    example: Any
    sequences: list[Sequence]
    outputs: list[Output]


def can_explain(model: Model) -> bool:
    """Whether predictions can be explained: torch computes them, and the task defines what is explained."""
    return model.fitted.can_explain and isinstance(model.backend, ExplainingBackend)


def explain(
    model: Model,
    read: ReadableRows,
    outputs: list[Output],
    target: Target = None,
    poll: Poll = never_stop,
) -> Explanation:
    """Explain the prediction for the only row of `read`, the result of `model.tokenize`, with its `outputs`.

    `target` is the label, or the position of the choice, entity, mask or similarity, to explain; None selects
    that of the prediction. Raises DataError if the model cannot
    explain predictions, if there is nothing to explain, and for a target that does not exist.
    """
    backend = model.backend
    if not can_explain(model) or not isinstance(backend, ExplainingBackend):
        raise DataError(
            "this model cannot explain its predictions: explanations need gradients, which only torch "
            "computes, and a task that supports them. Use the run instead of an export"
        )
    (example,) = read.examples
    predicted = PredictedExample(example, read.sequences, outputs)
    found = explain_example(backend, model.encoder, predicted, target, poll)
    if found is None:
        raise DataError("there is nothing to explain: the prediction has no entity, mask or similarity")
    return found


def explain_example(
    backend: ExplainingBackend,
    encoder: TextEncoder,
    predicted: PredictedExample,
    target: Target = None,
    poll: Poll = never_stop,
) -> Explanation | None:
    """Explain the prediction for an example; None if there is nothing to explain.

    The task of `encoder` must define what is explained. Raises DataError.
    """
    fitted, tokenizer = encoder.fitted, encoder.tokenizer
    example, sequences = predicted.example, predicted.sequences
    explained: Explained | None = fitted.explained(predicted.outputs, sequences, example, target)
    if explained is None:
        return None
    located = replace(encoder, tokenizer=replace(tokenizer, with_offsets=True))([example])
    contributions: dict[tuple[str, ...], NDArray[np.float64]] = {}  # per character of the joined texts
    value = baseline = 0.0
    ends: dict[tuple[str, ...], list[int]] = {}  # of the explained tokens, in the joined texts
    for number in explained.weights:
        sequence, offsets = sequences[number.sequence], located[number.sequence].offsets
        if offsets is None:
            raise DataError(
                "the task of this model does not record where its tokens are in the text, so its predictions "
                "cannot be explained. Encode texts with the methods of bertune.text.tokenizer.Tokenizer"
            )
        found = backend.attributions(sequence, number, offsets[:, 0] >= 0, tokenizer.mask_id, poll)
        texts = fitted.sequence_texts(example, number.sequence)
        joined = "\n".join(texts)
        of_characters = contributions.setdefault(texts, np.zeros(len(joined)))
        _add(of_characters, joined, offsets, found.tokens)
        ends.setdefault(texts, []).extend(_ends(offsets, np.array(number.tokens, np.int64)))
        value, baseline = value + found.value, baseline + found.baseline
    texts = tuple(text for key in contributions for text in key)
    words = tuple(_words(contributions))
    return Explanation(explained.target, texts, words, value, baseline, tuple(_places(ends)))


def _ends(offsets: NDArray[np.int32], tokens: NDArray[np.int64]) -> list[int]:
    """The first character of each token and the last one + 1; nothing for special tokens."""
    found: list[int] = offsets[tokens][offsets[tokens, 0] >= 0].ravel().tolist()
    return found


def _places(ends: Mapping[tuple[str, ...], SequenceOf[int]]) -> Iterator[Place]:
    """From the first to the last word of the explained tokens, of which `ends` has the characters."""
    number = 0
    for texts, of_tokens in ends.items():
        for text, first in zip(texts, accumulate((len(t) + 1 for t in texts), initial=0), strict=False):
            inside = [at - first for at in of_tokens if first <= at <= first + len(text)]
            if inside:
                start, end = min(inside), max(inside)
                last = next((word for word in words_of(text, "whole") if word[0] < end <= word[1]), (0, end))
                yield Place(number, start, last[1])
            number += 1


def _add(
    of_characters: NDArray[np.float64],
    text: str,
    offsets: NDArray[np.int32],
    tokens_L: NDArray[np.float64],
) -> None:
    """Add the contribution of each token to its characters, in equal shares, without spaces.

    Byte-level tokens may consist of spaces only, or have no width: they count for the next character.
    """
    for (start, end), contribution in zip(offsets.tolist(), tokens_L.tolist(), strict=True):
        if start < 0:
            continue
        inside = [at for at in range(start, end) if not text[at].isspace()] or [min(end, len(text) - 1)]
        of_characters[inside] += contribution / len(inside)


def _words(contributions: dict[tuple[str, ...], NDArray[np.float64]]) -> Iterator[Word]:
    """The words of all texts; characters between words belong to the word before them."""
    number = 0
    for texts, of_characters in contributions.items():
        for text, at in zip(texts, accumulate((len(t) + 1 for t in texts), initial=0), strict=False):
            words = words_of(text, "whole")
            further = [start for start, _ in words[1:]]
            bounds = zip([0, *further], [*further, len(text)], strict=True)
            for (start, end), (first, last) in zip(words, bounds, strict=False):  # a blank text has no words
                yield Word(number, start, end, float(of_characters[at + first : at + last].sum()))
            number += 1
