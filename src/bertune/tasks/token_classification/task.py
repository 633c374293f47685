"""The task `tokens`: tags words, as named entities and other spans or with a label for every word.

Dimensions: K words that have a token, W words of a text, C labels.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, find_column
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.errors import ConfigError, listed
from bertune.metrics import spans as metrics
from bertune.metrics.limitations import NEVER_ABOVE_0, Limitation, missing_labels
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.token_classification.error_analysis import wrong_spans
from bertune.tasks.token_classification.reading import Example, is_blank, read
from bertune.tasks.token_classification.schemes import (
    DASH,
    IO,
    NOTATIONS,
    PLAIN,
    Scheme,
    Span,
    best_path,
    deciding_tokens,
    merged,
    read_tags,
    write_tags,
)
from bertune.tasks.token_classification.sentences import NONE, grouped, words_in
from bertune.tasks.token_classification.tagging import (
    IGNORED,
    Tagging,
    alignment,
    begins,
    filled,
    in_text,
    is_of_spans,
    likely_words,
    refuse_lettered,
    refuse_single_words,
    repeated,
    scheme_of,
    settle,
    without_role,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.text.word_windows import word_windows

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


@dataclass(frozen=True, slots=True)
class TokensPrediction:
    """The spans of a text, and the tag of each of its words, written as in the training data.

    A span has start and end (characters), label, text, and score: the mean probability of its tags.
    """

    spans: list[dict[str, Any]]
    words: list[str]
    tags: list[str]


class TokenClassificationOptions(Section):
    """Settings under [task] when task.name is token_classification."""

    scheme: Literal["auto", "bio", "iob1", "bioes", "bmes", "bilou", "io", "plain"] = Field(
        "auto",
        description="how tags mark where an entity begins and ends; io: a run of equal tags is an entity, O "
        "is outside; plain: each tag is a label of its own; auto: as the training data has it; a file to "
        "evaluate on may have another",
        json_schema_extra=CHANGEABLE,
    )
    notation: str = Field(
        "auto",
        description="how the letter and the type of a tag are written, by example: B-PER, B_PER, PER-B, "
        "b-per; auto: as the training data has it",
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
    sentence: str = Field(
        "auto",
        min_length=1,
        description="of a table with a word in each row, the column that numbers the sentences, or several: "
        "doc,sentence; an empty cell repeats that above; auto: by the usual names, such as sentence_id; "
        "none: every row is a text",
        json_schema_extra=CHANGEABLE,
    )
    stride: int = Field(64, ge=0, description="tokens that neighbouring windows of a long text share")

    @field_validator("notation")
    @classmethod
    def _known_notation(cls, value: str) -> str:
        if value != "auto" and value not in NOTATIONS:
            raise ValueError(f"it must be auto, or one of {listed(NOTATIONS, 20)}")
        return value


class FittedTokenClassification(FittedTask):
    """Tagging that knows its labels and, unless a user has set task.scheme=auto again, its scheme.

    The labels are those of BIO with B- and I- before the type, whatever the tags of the training data are:
    transformers groups words into entities by these two prefixes alone.
    """

    @property
    def tagging(self) -> Tagging:
        """How tags are read and written: by the scheme of the options, with types or bare as the labels are.

        Where the scheme is "auto", tags are BIO until `for_scoring` has seen those of a file. Raises
        ConfigError.
        """
        scheme = self.options.scheme
        name = "bio" if scheme == "auto" else scheme
        notation = DASH if self.options.notation == "auto" else self.options.notation
        if name != PLAIN and not is_of_spans(self.labels):
            raise ConfigError(
                f"task.scheme={name}: the labels of this model, {listed(self.labels)}, do not mark where an "
                "entity begins. Drop the setting"
            )
        return Tagging(Scheme(name, "B" not in self.labels, notation), self.options.repair)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The windows of every text, in order; their gold is -100 except at the token that decides a word.

        Labels that the training data does not have are ignored too.
        """
        index = {label: number for number, label in enumerate(self.labels)}
        tagging = self.tagging
        texts = [(e.texts[0], e.words) for e in examples]
        windows = word_windows(texts, tokenizer, max_length, self.options.stride)
        sequences: list[Sequence] = []
        for example, found in zip(examples, windows, strict=True):
            if example.gold is None:
                sequences += found
                continue
            gold = [np.full(len(window), IGNORED, np.int64) for window in found]
            deciding_W2 = deciding_tokens(found, example.words)
            for (window, token), label in zip(deciding_W2, tagging.learned(example), strict=True):
                if window >= 0:
                    gold[window][token] = index.get(label, IGNORED)
            sequences += [replace(window, gold=own) for window, own in zip(found, gold, strict=True)]
        return sequences

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForTokenClassification", len(self.labels), per_token=True)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.token_classification.loss import loss

        return loss(outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> TokensPrediction:
        """Outputs are [length, C]. A word without a token continues what is around it."""
        labels, tagging, num_words = self.labels, self.tagging, len(example.words)
        deciding_W2 = deciding_tokens(sequences, example.words)
        begins_C = begins(labels) if tagging.has_spans else np.full(len(labels), -1)
        label_W, chance_W = np.full(num_words, -1), np.full(num_words, np.nan)
        known = np.flatnonzero(deciding_W2[:, 0] >= 0)
        if len(known):
            log_KC = _log_softmax(np.stack([outputs[window][token] for window, token in deciding_W2[known]]))
            path_K = best_path(log_KC, begins_C)
            label_W[known], chance_W[known] = path_K, np.exp(log_KC[np.arange(len(known)), path_K])
        label_W = filled(label_W, begins_C) if tagging.has_spans else repeated(label_W)
        tags = [labels[label] for label in label_W]
        if tagging.has_spans:
            spans = read_tags(tags, tagging.bio).spans
            if tagging.scheme.name == IO:
                spans = merged(spans)
            tags = write_tags(spans, num_words, tagging.scheme)
        else:
            spans = tuple(Span(at, at + 1, tag) for at, tag in enumerate(tags))
        text = example.texts[0]
        found = [
            {"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end], "score": score}
            for s, score in zip(in_text(spans, example), _scores(spans, chance_W), strict=True)
        ]
        return TokensPrediction(found, [text[start:end] for start, end in example.words], tags)

    def label_names(self, example: Example) -> tuple[str, ...]:
        tagging = self.tagging
        if not tagging.has_spans:
            return example.tags
        return tuple(span.label for span in tagging.gold(example))

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        """Itself; where the scheme is "auto", the same with the scheme and notation of these examples.

        Raises DataError where their tags do not fit the scheme or the labels of the model, ConfigError.
        """
        if self.options.sentence != NONE:
            refuse_single_words(examples)
        fitted = self
        if self.options.scheme == "auto":
            scheme = scheme_of(examples, self.labels, self.options.repair)
            fitted = self.task.fitted(self.labels, self.notes, scheme=scheme.name, notation=scheme.notation)
        tagging = fitted.tagging
        refuse_lettered(examples, tagging.scheme)
        for example in examples:
            tagging.learned(example)
        tagging.broken(examples)
        return fitted

    def score(self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example]) -> Scores:
        """Entities against the gold as it was given; labels that training did not have count as missed."""
        labels, tagging = self.labels, self.tagging
        gold_tags = [tagging.learned(e) for e in examples]
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

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        tagging = self.tagging
        if not tagging.has_spans:
            return missing_labels({tag for e in examples for tag in e.tags}, self.labels, {})
        present = {span.label for e in examples for span in tagging.gold(e)}
        if not present:
            settled = dict.fromkeys(("f1", "macro_f1", "precision", "recall"), NEVER_ABOVE_0)
            return [Limitation(f"none of the {len(examples):,} texts has an entity", settled)]
        if not tagging.scheme.typed:
            return []
        types = dict.fromkeys(without_role(label) for label in self.labels if label != "O")
        return missing_labels(present, list(types), {})

    def warnings(
        self,
        predictions: SequenceOf[TokensPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        found = self._oddities(examples)
        seen = {tag for p in predictions for tag in p.tags}
        if len(seen) > 1 or len(predictions) < 2:
            return found
        return [
            *found,
            f'collapsed: every word is tagged "{seen.pop()}". Usual remedies: more epochs, a higher train.lr '
            "(5e-5), less train.warmup, another train.seed",
        ]

    part_fields: ClassVar[tuple[str, ...]] = ("tag",)

    def split_prediction(
        self, prediction: TokensPrediction, row: Row, columns: Columns
    ) -> list[Mapping[str, Any] | None]:
        tags = iter(prediction.tags)
        return [{"tag": next(tags)} if word else None for word in words_in(row, columns.text[0])]

    def mistakes(self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_spans(predictions, examples, self.tagging)

    def _oddities(self, examples: SequenceOf[Example]) -> list[str]:
        """What is odd about gold: tags that break the scheme, labels that the training data does not have."""
        tagging, known = self.tagging, set(self.labels)
        broken = tagging.broken(examples)
        unknown = Counter(tag for e in examples for tag in tagging.learned(e) if tag not in known)
        found = [broken] if broken else []
        if unknown:
            found.append(
                f"{unknown.total():,} words have gold labels that the training data does not, so they are "
                f"never predicted and count as missed: {listed(sorted(unknown))}"
            )
        return found


class TokenClassification(Task):
    """A label for every word, by softmax at its first token (Devlin et al. 2019, section 5.3).

    Entities are learned as B-, I- and O, whatever scheme they come in. The most probable labels are
    predicted among those in which no entity continues that was not begun.
    """

    Options = TokenClassificationOptions
    Prediction = TokensPrediction
    Fitted = FittedTokenClassification
    primary: ClassVar[str] = "f1"
    scores: ClassVar[tuple[str, ...]] = ("f1", "macro_f1", "precision", "recall", "accuracy")
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("tokens",),
            ("words",),
            ("token",),
            ("word",),
            ("text",),
            ("sentence",),
            ("content",),
            ("文本",),
        ),
        label=("tags", "ner_tags", "ner", "spans", "entities", "label", "labels", "tag"),
        num_texts=(1,),
    )
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"tokens": ["ada", "king", "lives", "in", "paris"], "tags": ["B-PER", "I-PER", "O", "O", "B-LOC"]},
        {"tokens": ["in", "oslo", "it", "snows"], "tags": ["O", "B-LOC", "O", "O"]},
        {"tokens": ["new", "york", "saw", "bo"], "tags": ["B-LOC", "I-LOC", "O", "B-PER"]},
        {"tokens": ["it", "rained", "all", "day"], "tags": ["O", "O", "O", "O"]},
    )

    def grouped(self, table: Table, text: SequenceOf[str] | None, label: str | None, required: bool) -> Table:
        label = label or next((name for name in self.columns.label if find_column(table, name)), None)
        column = None if label is None else find_column(table, label)
        return grouped(table, self.options.sentence, text, column, required)

    def is_blank(self, row: Row, columns: Columns) -> bool:
        return is_blank(row, columns)

    def parse(self, row: Row, columns: Columns) -> Example:
        words = self.options.words
        # Training rows are parsed before `fit` resolves "auto".
        return read(row, columns, "signs" if words == "auto" else words)

    def fit(self, examples: SequenceOf[Example]) -> FittedTokenClassification:
        if self.options.sentence != NONE:
            refuse_single_words(examples)
        tagging = settle(examples, self.options.scheme, self.options.repair, self.options.notation)
        words = likely_words(examples) if self.options.words == "auto" else self.options.words
        labels = tagging.labels(examples)
        made: FittedTokenClassification = self.fitted(
            labels,
            tuple(tagging.notes(examples)),
            scheme=tagging.scheme.name,
            notation=tagging.scheme.notation,
            words=words,
        )
        return made


def _log_softmax(scores_KC: Output) -> NDArray[np.float64]:
    """Log-probabilities over the last axis."""
    shifted_KC = scores_KC.astype(np.float64)
    shifted_KC -= shifted_KC.max(-1, keepdims=True)
    found: NDArray[np.float64] = shifted_KC - np.log(np.exp(shifted_KC).sum(-1, keepdims=True))
    return found


def _scores(spans: SequenceOf[Span], chance_W: NDArray[np.float64]) -> list[float]:
    """The mean probability of the labels in each span; 0 where none of its words has a token."""
    means = []
    for span in spans:
        chances = chance_W[span.start : span.end]
        known = chances[~np.isnan(chances)]
        means.append(float(known.mean()) if len(known) else 0.0)
    return means


TASK = TokenClassification
