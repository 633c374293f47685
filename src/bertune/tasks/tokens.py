"""Owns the tagging of words: named entities and other spans, or a label for every word.

Dimensions: T tokens of a batch end to end, W words of a text, C labels.
"""

from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import Columns
from bertune.data.rows import Row
from bertune.errors import ConfigError, listed
from bertune.metrics import spans as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.tasks import Labels, Task
from bertune.tasks._tagged import Example, is_blank, read
from bertune.tasks._tagging import (
    Tagging,
    alignment,
    begins,
    filled,
    in_text,
    is_of_spans,
    likely_words,
    repeated,
    scheme_of,
    settle,
    without_role,
)
from bertune.tasks._word_windows import word_windows
from bertune.tasks._wrong_spans import wrong_spans
from bertune.text.sequences import Batch, Sequence
from bertune.text.spans import PLAIN, Scheme, Span, best_path, deciding_tokens, read_tags, write_tags
from bertune.text.tokenizer import Tokenizer

_IGNORED = -100  # gold of tokens that decide nothing


@dataclass(frozen=True, slots=True)
class TokensPrediction:
    """The spans of a text, and the tag of each of its words, written as in the training data."""

    spans: list[
        dict[str, Any]
    ]  # start, end (characters), label, text, score: the mean probability of its tags
    words: list[str]
    tags: list[str]


class TokensOptions(Section):
    """Settings under [task] when task.name is tokens."""

    scheme: Literal["auto", "bio", "iob1", "bioes", "bmes", "bilou", "plain"] = Field(
        "auto",
        description="how tags say where an entity begins and ends; plain: each tag is a label of its own; "
        "auto: as the training data has it; a file to evaluate on may have another",
        json_schema_extra=CHANGEABLE,
    )
    repair: Literal["auto", "conlleval", "refuse"] = Field(
        "auto",
        description="tags that break their scheme: refused, or read as the conlleval script reads them (a "
        "stray inside begins an entity) and counted; auto: refused in BIO, read in the schemes that mark "
        "ends, unless they are many",
        json_schema_extra=CHANGEABLE,
    )
    words: Literal["auto", "signs", "whole", "characters"] = Field(
        "auto",
        description="what a text without tokens is cut into: letters and single signs; the same, but signs "
        "inside a word belong to it, as in U.S. and Jean-Pierre; characters; auto: as in the training data",
    )
    stride: int = Field(64, ge=0, description="tokens that neighbouring windows of a long text share")


class Tokens(Task):
    """A label for every word, by softmax at its first token (Devlin et al. 2019, section 5.3).

    Entities are learned as B-, I- and O whatever scheme they come in; the most probable labels
    are predicted among those in which no entity goes on that was not begun.
    """

    Options = TokensOptions
    Prediction = TokensPrediction
    primary: ClassVar[str] = "f1"
    scores: ClassVar[tuple[str, ...]] = ("f1", "macro_f1", "precision", "recall", "accuracy")
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("tokens",), ("words",), ("text",), ("sentence",), ("content",), ("文本",),
    )  # fmt: skip
    label_names: ClassVar[tuple[str, ...]] = (
        "tags", "ner_tags", "ner", "spans", "entities", "label", "labels", "tag",
    )  # fmt: skip
    num_texts: ClassVar[tuple[int, ...]] = (1,)
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"tokens": ["ada", "king", "lives", "in", "paris"], "tags": ["B-PER", "I-PER", "O", "O", "B-LOC"]},
        {"tokens": ["in", "oslo", "it", "snows"], "tags": ["O", "B-LOC", "O", "O"]},
        {"tokens": ["new", "york", "saw", "bo"], "tags": ["B-LOC", "I-LOC", "O", "B-PER"]},
        {"tokens": ["it", "rained", "all", "day"], "tags": ["O", "O", "O", "O"]},
    )

    def __init__(self, options: TokensOptions) -> None:
        super().__init__(options)
        self._name: str = "bio" if options.scheme == "auto" else options.scheme
        self._words: str = "signs" if options.words == "auto" else options.words
        self._notes: tuple[str, ...] = ()
        self._settled: Tagging | None = None
        self._oddities: list[str] = []  # of the gold that was scored last

    def is_blank(self, row: Row, columns: Columns) -> bool:
        return is_blank(row, columns)

    def parse(self, row: Row, columns: Columns) -> Example:
        return read(row, columns, self._words)

    def labels(self, examples: SequenceOf[Example]) -> Labels:
        tagging = settle(examples, self.options.scheme, self.options.repair)
        self._name, self._settled = tagging.scheme.name, tagging
        if self.options.words == "auto":
            self._words = likely_words(examples)
        labels = tagging.labels(examples)
        self._notes = tuple(tagging.notes(examples))
        return labels

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def settled(self) -> dict[str, Any]:
        return {"scheme": self._name, "words": self._words}

    def names(self, example: Example) -> tuple[str, ...]:
        assert self._settled is not None, "names are asked for after labels"
        if not self._settled.has_spans:
            return example.tags
        return tuple(span.label for span in self._settled.gold(example))

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None, labels: Labels
    ) -> list[Sequence]:
        """The windows of every text, in order; their gold is -100 but at the token that decides a word.

        Labels that training did not have are not learned either.
        """
        index = {label: number for number, label in enumerate(labels)}
        tagging = self._tagging(labels)
        texts = [(e.texts[0], e.words) for e in examples]
        windows = word_windows(texts, tokenizer, max_length, self.options.stride)
        sequences: list[Sequence] = []
        for example, found in zip(examples, windows, strict=True):
            if example.gold is None:
                sequences += found
                continue
            gold = [np.full(len(window), _IGNORED, np.int64) for window in found]
            deciding_W2 = deciding_tokens(found, example.words)
            for (window, token), label in zip(deciding_W2, tagging.learned(example), strict=True):
                if window >= 0:
                    gold[window][token] = index.get(label, _IGNORED)
            sequences += [replace(window, gold=own) for window, own in zip(found, gold, strict=True)]
        return sequences

    def head(self, labels: Labels) -> StandardHead:
        return StandardHead("AutoModelForTokenClassification", len(labels), per_token=True)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the tokens that decide a word; outputs are [T, C]."""
        assert batch.gold is not None
        total = cross_entropy(outputs.float(), batch.gold, ignore_index=_IGNORED, reduction="sum")
        return total, (batch.gold != _IGNORED).sum()

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: Labels
    ) -> TokensPrediction:
        """Outputs are [length, C]. A word without a token goes on with what is around it."""
        tagging, num_words = self._tagging(labels), len(example.words)
        deciding_W2 = deciding_tokens(sequences, example.words)
        begins_C = begins(labels) if tagging.has_spans else np.full(len(labels), -1)
        label_W, chance_W = np.full(num_words, -1), np.full(num_words, np.nan)
        known = np.flatnonzero(deciding_W2[:, 0] >= 0)
        if len(known):
            rows = torch.stack([outputs[window][token] for window, token in deciding_W2[known]])
            log_KC = rows.double().log_softmax(-1).numpy()
            path_K = best_path(log_KC, begins_C)
            label_W[known], chance_W[known] = path_K, np.exp(log_KC[np.arange(len(known)), path_K])
        label_W = filled(label_W, begins_C) if tagging.has_spans else repeated(label_W)
        tags = [labels[label] for label in label_W]
        if tagging.has_spans:
            spans = read_tags(tags, tagging.bio).spans
            tags = write_tags(spans, num_words, tagging.scheme)
        else:
            spans = tuple(Span(at, at + 1, tag) for at, tag in enumerate(tags))
        text = example.texts[0]
        found = [
            {"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end], "score": score}
            for s, score in zip(in_text(spans, example), _scores(spans, chance_W), strict=True)
        ]
        return TokensPrediction(found, [text[start:end] for start, end in example.words], tags)

    def check(self, examples: SequenceOf[Example], labels: Labels) -> None:
        if self.options.scheme == "auto" and self._settled is None:  # put to a trained model: as this file
            self._name = scheme_of(examples, labels, self.options.repair)
        tagging = self._tagging(labels)
        for example in examples:
            tagging.learned(example)
        tagging.broken(examples)

    def score(
        self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Scores:
        """Entities against the gold as it was given; labels that training did not have count as missed."""
        tagging = self._tagging(labels)
        gold_tags = [tagging.learned(e) for e in examples]
        known = set(labels)
        unknown = Counter(tag for tags in gold_tags for tag in tags if tag not in known)
        broken = tagging.broken(examples)
        self._oddities = [broken] if broken else []
        if unknown:
            self._oddities.append(
                f"{unknown.total():,} words have gold labels that the training data does not, so they are "
                f"never predicted and count as missed: {listed(sorted(unknown))}"
            )
        if not tagging.has_spans:
            tags = [p.tags for p in predictions]
            return metrics.assemble(metrics.score_tags(gold_tags, tags), gold_tags, tags, labels)
        tags = [
            write_tags(read_tags(p.tags, tagging.scheme).spans, len(p.tags), tagging.bio) for p in predictions
        ]
        found = [[(s["start"], s["end"], s["label"]) for s in p.spans] for p in predictions]
        gold = [tagging.gold(e) for e in examples]
        scores = metrics.assemble(metrics.score_spans(gold, found), gold_tags, tags, labels, without_role)
        scores.details["tables"] = [metrics.error_table(gold, found), *alignment(examples)]
        return scores

    def warnings(
        self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> list[str]:
        seen = {tag for p in predictions for tag in p.tags}
        if len(seen) > 1 or len(predictions) < 2:
            return self._oddities
        return [
            *self._oddities,
            f'collapsed: every word is tagged "{seen.pop()}". Usual remedies: more epochs, a higher train.lr '
            "(5e-5), less train.warmup, another train.seed",
        ]

    def mistakes(
        self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Mistakes:
        return wrong_spans(predictions, examples, self._tagging(labels))

    def _tagging(self, labels: Labels) -> Tagging:
        """That of the training data, with types or bare as the labels are. Raises ConfigError."""
        if self._name != PLAIN and not is_of_spans(labels):
            raise ConfigError(
                f"task.scheme={self._name}: the labels of this model, {listed(labels)}, do not say where an "
                "entity begins"
            )
        return Tagging(Scheme(self._name, "B" not in labels), self.options.repair)


def _scores(spans: SequenceOf[Span], chance_W: NDArray[np.float64]) -> list[float]:
    """The mean probability of the labels in each span; 0 where none of its words has a token."""
    means = []
    for span in spans:
        chances = chance_W[span.start : span.end]
        known = chances[~np.isnan(chances)]
        means.append(float(known.mean()) if len(known) else 0.0)
    return means


TASK = Tokens
