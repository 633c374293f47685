"""Masked language modelling, to continue pretraining on the texts of a domain.

Dimensions: T tokens of a sequence, C columns of the outputs of `reduce_outputs`.
"""

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics.arrays import FloatArray
from bertune.metrics.details import calibration
from bertune.metrics.limitations import UNDEFINED, Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores, divided
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target, item_position
from bertune.tasks.form import Form
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.language_modelling.error_analysis import wrong_words
from bertune.tasks.language_modelling.masking import (
    IGNORE_INDEX,
    Masking,
    readable,
    reduce_array,
    vocabulary_of,
)
from bertune.tasks.parts.texts import TEXT_COLUMNS
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


@dataclass(frozen=True, slots=True)
class Example:
    """A text. Its gold is derived from its own tokens."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: None = None


@dataclass(frozen=True, slots=True)
class MasksPrediction:
    """For each mask of a text, in order: the most probable words, the masked word and its probability.

    The last two are None for a mask that was already in the text, because the word behind it is unknown.
    """

    masks: list[dict[str, Any]]  # keys: "best" (probability by word), "word", "probability"


class LanguageModellingOptions(Section):
    """Settings under [task] when task.name is language_modelling."""

    mask_probability: float = Field(
        0.15, gt=0, lt=1, description="share of each text's tokens that are masked"
    )
    whole_word_masking: bool = Field(False, description="mask all tokens of a word or none")
    pseudo_perplexity: bool = Field(
        False,
        description="for evaluation: mask each token on its own, with one forward pass per token, to compute "
        "the score pseudo_perplexity; otherwise a share of the tokens is masked together",
        json_schema_extra=CHANGEABLE,
    )


@dataclass(frozen=True, eq=False)
class FittedLanguageModelling(FittedTask):
    """Language modelling. It must be bound to a tokenizer with `bound` before encoding."""

    masking: Masking | None = None
    tokenizer: Tokenizer | None = None

    @property
    def windows_are_examples(self) -> bool:
        return True  # a document can have hundreds of windows: steps of N documents would vary widely in size

    def bound(self, tokenizer: Tokenizer) -> Self:
        """A copy with the masking of this tokenizer. Raises ModelError if it has no mask token."""
        masking = Masking(
            self.options.mask_probability, self.options.whole_word_masking, vocabulary_of(tokenizer)
        )
        return replace(self, masking=masking, tokenizer=tokenizer)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        masking = self._bound_masking()
        texts = [e.texts for e in examples]
        whole = tokenizer.encode(texts) if max_length is None else tokenizer.windows(texts, max_length, 0)
        with_masks = {s.group for s in whole if masking.vocabulary.mask in s.ids}
        sequences: list[Sequence] = []
        for sequence in whole:
            if sequence.group in with_masks:
                sequences.append(masking.as_given(sequence))
            elif self.options.pseudo_perplexity:
                sequences += list(masking.one_at_a_time(sequence)) or [masking.fixed(sequence)]
            else:
                sequences.append(masking.fixed(sequence))
        return sequences

    def resample(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        masking = self._bound_masking()
        return [masking.sample(s, random) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForMaskedLM", 0, per_token=True)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.language_modelling.loss import loss

        return loss(self._bound_masking().vocabulary.mask, outputs, batch)

    def reduce_outputs(self, outputs: "Tensor", batch: "Batch") -> "Tensor":
        from bertune.tasks.language_modelling.loss import reduce_outputs

        return reduce_outputs(outputs, batch)

    def reduce_array(self, output: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
        return reduce_array(output, sequence)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> MasksPrediction:
        mask = self._bound_masking().vocabulary.mask
        assert self.tokenizer is not None
        word_of = cache(partial(readable, self.tokenizer))
        masks = []
        for rows_TC, sequence in zip(outputs, sequences, strict=True):
            assert isinstance(sequence.gold, np.ndarray)
            for position in np.flatnonzero(sequence.gold != IGNORE_INDEX):
                gold = int(sequence.gold[position])
                known = None if gold == mask else gold  # see Masking.as_given
                masks.append(_filled(rows_TC[position].astype(np.float64), known, word_of))
        return MasksPrediction(masks)

    def fillings(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> list[list[dict[str, Any]]]:
        mask = self._bound_masking().vocabulary.mask
        assert self.tokenizer is not None
        # Without a mask, the task masks some words itself, whose gold is known (see Masking.as_given).
        golds = [np.asarray(sequence.gold) for sequence in sequences]
        places = [(n, int(row)) for n, gold in enumerate(golds) for row in np.flatnonzero(gold == mask)]
        if not places:
            raise DataError(
                f"{example.origin}: the text has no mask. Write {self.tokenizer.tokens([mask])[0]} where a "
                "word is missing"
            )
        found = []
        for number, row in places:
            logs, tokens = np.split(outputs[number][row].astype(np.float64)[1:], 2)
            ids = sequences[number].ids.copy()
            filled = []
            for log, token in zip(logs.tolist(), tokens.astype(int).tolist(), strict=True):
                ids[row] = token
                # Other masks are special tokens, which stay visible.
                text = self.tokenizer.rust.decode(ids.tolist(), skip_special_tokens=len(places) == 1)
                word = readable(self.tokenizer, token)
                filled.append({"score": math.exp(log), "token": token, "token_str": word, "sequence": text})
            found.append(filled)
        return found

    def form(self, columns: tuple[str, ...]) -> Form:
        assert self.tokenizer is not None
        mask = self.tokenizer.tokens([self._bound_masking().vocabulary.mask])[0]
        return replace(super().form(columns), mask=mask)

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained | None:
        """The logit of the most probable word at a mask, given by its position; default: the first mask."""
        masks = [
            (number, row, token)
            for number, sequence in enumerate(sequences)
            for row, token in enumerate(np.flatnonzero(np.asarray(sequence.gold) != IGNORE_INDEX))
        ]
        if not masks:
            return None
        chosen = 0 if target is None else item_position(target, len(masks), "mask")
        number, row, token = masks[chosen]
        _, ids = np.split(outputs[number][token][1:], 2)  # see `reduce_outputs`
        weights = OutputWeights.of_row(number, [int(ids[0])], [1.0], row)
        return Explained(chosen, (replace(weights, tokens=(token,)),))

    def decision(self, prediction: Mapping[str, Any]) -> Any:
        return [next(iter(mask["best"])) for mask in prediction["masks"]]

    def score(self, predictions: SequenceOf[MasksPrediction], examples: SequenceOf[Example]) -> Scores:
        names = self.task.scores
        of_texts = [[mask for mask in p.masks if mask["word"] is not None] for p in predictions]
        known = [mask for masks in of_texts for mask in masks]
        if not known:
            return Scores(dict.fromkeys(names))
        right = [next(iter(mask["best"])) == mask["word"] for mask in known]
        # Probabilities can underflow to 0, and the logarithm of 0 is undefined.
        logs = [math.log(max(mask["probability"], 1e-300)) for mask in known]
        text_M = np.repeat(np.arange(len(of_texts)), [len(masks) for masks in of_texts])  # text of each mask
        masks_N, right_N, logs_N = (
            np.bincount(text_M, each_M, minlength=len(of_texts)) for each_M in (None, right, logs)
        )
        perplexity = "pseudo_perplexity" if self.options.pseudo_perplexity else "perplexity"

        def weighted(weights_RN: FloatArray) -> dict[str, FloatArray]:
            masks_R = (weights_RN * masks_N).sum(axis=1)
            right_R, logs_R = ((weights_RN * each_N).sum(axis=1) for each_N in (right_N, logs_N))
            undefined = {name: np.full(len(weights_RN), np.nan) for name in names}
            return undefined | {
                "masked_accuracy": divided(right_R, masks_R, np.nan),
                perplexity: np.exp(-divided(logs_R, masks_R, np.nan)),
            }

        confidence = [next(iter(mask["best"].values())) for mask in known]
        details = {
            "unit": "masked word",
            "count": len(known),
            "figures": [calibration(confidence, right, "words")],
        }
        return Scores.of(weighted, len(predictions), details)

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        mask = self._bound_masking().vocabulary.mask
        # The gold of a mask that was already in the text is the mask itself (see Masking.as_given).
        unknown = (IGNORE_INDEX, mask)
        if not any(np.isin(s.gold, unknown, invert=True).any() for s in sequences if s.gold is not None):
            fact = "no text has a token that can be masked, or all texts already contain masks"
            return [Limitation(fact, dict.fromkeys(self.task.scores, UNDEFINED))]
        other = "perplexity" if self.options.pseudo_perplexity else "pseudo_perplexity"
        setting = f"task.pseudo_perplexity is {str(self.options.pseudo_perplexity).lower()}"
        return [Limitation(setting, {other: UNDEFINED}, is_usual=True)]

    def mistakes(self, predictions: SequenceOf[MasksPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_words(predictions, examples)

    def _bound_masking(self) -> Masking:
        assert self.masking is not None, "call bound() first to bind the task to a tokenizer"
        return self.masking


class LanguageModelling(Task):
    """Masked language modelling (Devlin et al. 2019, section 3.1) with dynamic masking (Liu et al. 2019), to
    continue pretraining on the texts of a domain (Gururangan et al. 2020). Texts longer than model.max_length
    are split into windows, and train.batch_size counts windows.

    The perplexity is the exponential of the loss of tokens that are masked together. The pseudo-perplexity
    masks each token on its own, given all others (Salazar et al. 2020, section 2.2).
    """

    Options = LanguageModellingOptions
    Prediction = MasksPrediction
    Fitted = FittedLanguageModelling
    primary: ClassVar[str] = "masked_accuracy"
    scores: ClassVar[tuple[str, ...]] = ("masked_accuracy", "perplexity", "pseudo_perplexity")
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=tuple(group for group in TEXT_COLUMNS if len(group) == 1), num_texts=(1,)
    )
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "heavy rain"},
        {"text": "strong wind"},
        {"text": "bright sunshine"},
        {"text": "thick fog"},
    )

    @property
    def needs_label(self) -> bool:
        return False

    def parse(self, row: Row, columns: Columns) -> Example:
        row_id = name_of(row, columns)
        return Example(row_id, row.origin, read_texts(row, columns))

    def fit(self, examples: SequenceOf[Example]) -> FittedLanguageModelling:
        if self.options.pseudo_perplexity:
            raise ConfigError(
                "task.pseudo_perplexity=true is not available in training, which masks a random share of the "
                "tokens at every step. Use it with `bertune evaluate`"
            )
        fitted: FittedLanguageModelling = self.fitted()
        return fitted


def _filled(row_C: NDArray[np.float64], gold: int | None, word_of: Callable[[int], str]) -> dict[str, Any]:
    """The prediction for one mask, from its row of `reduce_outputs` and the masked token, None if unknown."""
    logs, ids = np.split(row_C[1:], 2)
    best: dict[str, float] = {}
    for log, token in zip(logs.tolist(), ids.tolist(), strict=True):
        best.setdefault(word_of(int(token)), math.exp(log))
    return {
        "best": best,
        "word": None if gold is None else word_of(gold),
        "probability": None if gold is None else math.exp(float(row_C[0])),
    }


TASK = LanguageModelling
