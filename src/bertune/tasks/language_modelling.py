"""Owns masked language modelling: words hidden in texts and filled in, so that a model gets used to them."""

import math
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import Columns, name_of
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError
from bertune.metrics.details import calibration
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.nn.standard_heads import asked_tokens
from bertune.tasks import Task
from bertune.tasks._wrong_words import wrong_words
from bertune.tasks.classification import Classification, read_texts
from bertune.text.masking import NOT_ASKED, Masking, readable, vocabulary_of
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer

_BEST = 5  # words said for each mask


@dataclass(frozen=True, slots=True)
class Example:
    """A text; it is its own gold."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: None = None


@dataclass(frozen=True, slots=True)
class MasksPrediction:
    """For each mask of a text, in order: the most probable words; the word hidden there and its probability.

    A mask that the text brought along hides no word: both are None.
    """

    masks: list[dict[str, Any]]  # "best": probability by word, "word", "probability"


class LanguageModellingOptions(Section):
    """Settings under [task] when task.name is language_modelling."""

    share: float = Field(0.15, gt=0, lt=1, description="share of each text's tokens that are masked")
    whole_words: bool = Field(False, description="mask all pieces of a word or none")
    in_turn: bool = Field(
        False,
        description="to evaluate: each token is masked alone, a pass for every token, as the score "
        "pseudo_perplexity wants it; else a share of them at once",
        json_schema_extra=CHANGEABLE,
    )


class LanguageModelling(Task):
    """Masked language modelling (Devlin et al. 2019, section 3.1) with masks drawn anew at every step (Liu et
    al. 2019), to go on pretraining on texts of a field (Gururangan et al. 2020). Texts longer than
    model.max_length are learned in windows, which train.batch_size counts.

    The pseudo-perplexity is that of each token given all others (Salazar et al. 2020, section 2.2); the
    perplexity, the exponential of the loss, that of tokens masked together.
    """

    Options = LanguageModellingOptions
    Prediction = MasksPrediction
    primary: ClassVar[str] = "masked_accuracy"
    scores: ClassVar[tuple[str, ...]] = ("masked_accuracy", "perplexity", "pseudo_perplexity")
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        group for group in Classification.text_names if len(group) == 1
    )
    num_texts: ClassVar[tuple[int, ...]] = (1,)
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "heavy rain"},
        {"text": "strong wind"},
        {"text": "bright sunshine"},
        {"text": "thick fog"},
    )

    def __init__(self, options: LanguageModellingOptions) -> None:
        super().__init__(options)
        self._masking: Masking | None = None
        self._word: Callable[[int], str] = str

    @property
    def needs_label(self) -> bool:
        return False

    @property
    def learns_windows_apart(self) -> bool:
        return True  # else a step over long documents would be a hundred times one over short ones

    def parse(self, row: Row, columns: Columns) -> Example:
        row_id = name_of(row, columns)
        return Example(row_id, row.origin, read_texts(row, columns))

    def labels(self, examples: SequenceOf[Example]) -> tuple[str, ...]:
        if self.options.in_turn:
            raise ConfigError(
                "task.in_turn=true is for `bertune evaluate`: training masks a share of the tokens, drawn "
                "anew at every step"
            )
        return ()

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
        labels: tuple[str, ...],
    ) -> list[Sequence]:
        masking = self._settle(tokenizer)
        texts = [e.texts for e in examples]
        whole = tokenizer.encode(texts) if max_length is None else tokenizer.windows(texts, max_length, 0)
        asking = {s.group for s in whole if masking.vocabulary.mask in s.ids}
        found: list[Sequence] = []
        for sequence in whole:
            if sequence.group in asking:
                found.append(masking.as_given(sequence))
            elif self.options.in_turn:
                found += list(masking.in_turn(sequence)) or [masking.settled(sequence)]
            else:
                found.append(masking.settled(sequence))
        return found

    def vary(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        assert self._masking is not None, "encode settles the masking"
        return [self._masking.drawn(s, random) for s in sequences]

    def head(self, labels: tuple[str, ...]) -> StandardHead:
        return StandardHead("AutoModelForMaskedLM", 0, per_token=True)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.gold is not None and self._masking is not None
        gold_M = batch.gold[asked_tokens(batch)]
        is_known_M = gold_M != self._masking.vocabulary.mask
        total = cross_entropy(outputs.float()[is_known_M], gold_M[is_known_M], reduction="sum")
        return total, is_known_M.sum()

    def condense(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[T, 1 + 2K]: the log-probability of the gold, then of the K most probable words with their ids."""
        assert batch.gold is not None
        places_M = asked_tokens(batch)
        logs_MV = outputs.float().log_softmax(-1)
        best_MK = logs_MV.topk(min(_BEST, logs_MV.shape[1]))
        gold_M1 = logs_MV.gather(1, batch.gold[places_M][:, None])
        rows_MC = torch.cat([gold_M1, best_MK.values, best_MK.indices.to(logs_MV.dtype)], 1)
        return rows_MC.new_zeros((len(batch.ids_T), rows_MC.shape[1])).index_copy(0, places_M, rows_MC)

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: tuple[str, ...]
    ) -> MasksPrediction:
        masks = []
        for rows_TC, sequence in zip(outputs, sequences, strict=True):
            assert isinstance(sequence.gold, np.ndarray)
            for place in np.flatnonzero(sequence.gold != NOT_ASKED):
                masks.append(self._mask(rows_TC[place].double(), int(sequence.gold[place])))
        return MasksPrediction(masks)

    def score(
        self,
        predictions: SequenceOf[MasksPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Scores:
        known = [mask for p in predictions for mask in p.masks if mask["word"] is not None]
        if not known:
            return Scores(dict.fromkeys(self.scores))
        right = [next(iter(mask["best"])) == mask["word"] for mask in known]
        logs = [math.log(max(mask["probability"], 1e-300)) for mask in known]
        values = dict.fromkeys(self.scores) | {"masked_accuracy": float(np.mean(right))}
        values["pseudo_perplexity" if self.options.in_turn else "perplexity"] = math.exp(
            -float(np.mean(logs))
        )
        sure = [next(iter(mask["best"].values())) for mask in known]
        details = {
            "unit": "masked word",
            "count": len(known),
            "figures": [calibration(sure, right, "words")],
        }
        return Scores(values, details)

    def mistakes(
        self,
        predictions: SequenceOf[MasksPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Mistakes:
        return wrong_words(predictions, examples)

    def _settle(self, tokenizer: Tokenizer) -> Masking:
        """What masking and decoding need of the tokenizer, which later calls are not given."""
        if self._masking is None:
            options = self.options
            self._masking = Masking(options.share, options.whole_words, vocabulary_of(tokenizer))
            self._word = cache(partial(readable, tokenizer))
        return self._masking

    def _mask(self, row_C: Tensor, gold: int) -> dict[str, Any]:
        assert self._masking is not None
        is_known = gold != self._masking.vocabulary.mask
        logs, ids = row_C[1:].chunk(2)
        best: dict[str, float] = {}
        for log, word in zip(logs.tolist(), ids.tolist(), strict=True):
            best.setdefault(self._word(int(word)), math.exp(log))
        return {
            "best": best,
            "word": self._word(gold) if is_known else None,
            "probability": math.exp(float(row_C[0])) if is_known else None,
        }


TASK = LanguageModelling
