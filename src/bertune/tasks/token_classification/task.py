"""Token classification: named entities and other spans, or one label per word.

Dimensions: K words with tokens, W words of a text, C labels.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, find_column
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.errors import counted, listed, none_has
from bertune.metrics import spans as metrics
from bertune.metrics.limitations import NEVER_ABOVE_0, Limitation, missing_labels
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import Output, Task
from bertune.tasks.explained import Explained, Target
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.token_classification.decisions import DecidesSpans
from bertune.tasks.token_classification.error_analysis import wrong_spans
from bertune.tasks.token_classification.notations import NOTATIONS, OUTSIDE, parsed
from bertune.tasks.token_classification.prediction import TokensPrediction
from bertune.tasks.token_classification.reading import Example, is_blank, read
from bertune.tasks.token_classification.schemes import (
    IO,
    Span,
    best_path,
    deciding_tokens,
    merged,
    read_tags,
    write_tags,
)
from bertune.tasks.token_classification.sentences import NONE, grouped, words_in
from bertune.tasks.token_classification.span_logit import span_logit
from bertune.tasks.token_classification.tagging import (
    IGNORED,
    alignment,
    begins,
    filled,
    in_text,
    likely_words,
    refuse_lettered,
    refuse_single_words,
    repeated,
    resolve_tagging,
    scheme_of,
    without_role,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from bertune.text.word_windows import word_windows

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


_TEXT_COLUMNS = (
    "tokens", "words", "token", "word", "词", "字", "词语", "单词", "字符", "text", "sentence", "content",
    "文本",
)  # fmt: skip
_LABEL_COLUMNS = (
    "tags", "ner_tags", "ner", "spans", "entities", "label", "labels", "tag", "ner_tag", "标签", "标注",
)  # fmt: skip


class TokenClassificationOptions(Section):
    """Settings under [task] when task.name is token_classification."""

    scheme: Literal["auto", "bio", "iob1", "bioes", "bmes", "bilou", "io", "plain"] = Field(
        "auto",
        description="how tags mark the beginning and end of entities; io: a run of equal tags is an entity, "
        "and O is outside; plain: each tag is its own label; auto: as in the training data; a file to "
        "evaluate can have another scheme",
        json_schema_extra=CHANGEABLE,
    )
    notation: str = Field(
        "auto",
        description="how the role and the type of a tag are written, by example: B-PER, B_PER, PER-B, b-per, "
        "or BEGIN-PER,INSIDE-PER,OUTSIDE; auto: as in the training data",
        json_schema_extra=CHANGEABLE,
    )
    outside: str = Field(
        "O",
        min_length=1,
        description="the tag of words outside of entities, which is read as O",
        json_schema_extra=CHANGEABLE,
    )
    repair: Literal["auto", "conlleval", "refuse"] = Field(
        "auto",
        description="how to handle tags that violate their scheme; refuse: an error; conlleval: read as in "
        "the conlleval script (an I- tag without a B- tag begins an entity), with a warning; auto: refuse "
        "in BIO, conlleval in schemes that mark ends unless there are many such tags",
        json_schema_extra=CHANGEABLE,
    )
    words: Literal["auto", "signs", "whole", "characters"] = Field(
        "auto",
        description="how untokenized texts are split into words; signs: runs of letters and single "
        "punctuation marks; whole: the same, but punctuation inside a word belongs to it, as in U.S. and "
        "Jean-Pierre; characters: single characters; auto: as in the training data",
    )
    sentence: str = Field(
        "auto",
        min_length=1,
        description="for tables with one word per row: the column of the sentence numbers, or several "
        "columns: doc,sentence; an empty cell repeats the cell above; auto: usual column names, such as "
        "sentence_id; none: every row is a text",
        json_schema_extra=CHANGEABLE,
    )
    stride: int = Field(64, ge=0, description="number of tokens by which adjacent windows overlap")

    @field_validator("notation")
    @classmethod
    def _known_notation(cls, value: str) -> str:
        if value in ("auto", *NOTATIONS):
            return value
        try:
            parsed(value)
        except ValueError as error:
            raise ValueError(
                f"must be auto, one of {listed(NOTATIONS, 20)}, or examples of each role and of the tag "
                f"outside of entities, as in BEGIN-PER,INSIDE-PER,OUTSIDE ({error})"
            ) from error
        return value


class FittedTokenClassification(DecidesSpans):
    """Token classification fitted to the labels and, unless task.scheme=auto is set later, to the scheme.

    The labels are B-type, I-type and O, whatever the scheme of the training data, because transformers groups
    words into entities by these prefixes.
    """

    text_kind = "words"
    label_scope = "part"

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The windows of all texts, in order. The gold is -100 except at tokens that decide a label.

        Gold labels that do not occur in the training data are also ignored.
        """
        index = {label: number for number, label in enumerate(self.labels)}
        tagging = self.tagging
        texts = [(e.texts[0], e.words) for e in examples]
        windows = word_windows(texts, tokenizer, max_length, self.options.stride)
        sequences: list[Sequence] = []
        for example, of_text in zip(examples, windows, strict=True):
            if example.gold is None:
                sequences += of_text
                continue
            gold = [np.full(len(window), IGNORED, np.int64) for window in of_text]
            deciding_W2 = deciding_tokens(of_text, example.words)
            for (window, token), label in zip(deciding_W2, tagging.training_labels(example), strict=True):
                if window >= 0:
                    gold[window][token] = index.get(label, IGNORED)
            sequences += [replace(window, gold=ids) for window, ids in zip(of_text, gold, strict=True)]
        return sequences

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForTokenClassification", len(self.labels), per_token=True)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.token_classification.loss import loss

        return loss(outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> TokensPrediction:
        """Outputs are [length, C]. A word without tokens gets its label from the words next to it."""
        labels, tagging, num_words = self.labels, self.tagging, len(example.words)
        deciding_W2 = deciding_tokens(sequences, example.words)
        begins_C = begins(labels) if tagging.has_spans else np.full(len(labels), -1)
        label_W, chance_W = np.full(num_words, -1), np.full(num_words, np.nan)
        known = np.flatnonzero(deciding_W2[:, 0] >= 0)
        log_KC = None
        if len(known):
            outputs_KC = np.stack([outputs[window][token] for window, token in deciding_W2[known]])
            log_KC = _log_softmax(self.calibrated(outputs_KC))
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
        predicted = [
            {"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end], "score": score}
            for s, score in zip(in_text(spans, example), _scores(spans, chance_W), strict=True)
        ]
        decision = self.decide_spans(predicted)
        words = [text[start:end] for start, end in example.words]
        found = TokensPrediction(predicted, words, tags, decision)
        return found if example.gold is None else self.judged_tokens(found, known, log_KC)

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained | None:
        return span_logit(self.decode(outputs, sequences, example).spans, outputs, sequences, example, target)

    @property
    def span_labels(self) -> tuple[str, ...]:
        return self.tagging.span_labels(self.labels)

    def label_names(self, example: Example) -> tuple[str, ...]:
        tagging = self.tagging
        if not tagging.has_spans:
            return example.tags
        return tuple(span.label for span in tagging.gold(example))

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        """The fitted task; if the scheme is "auto", with the scheme and notation of these examples.

        Raises DataError or ConfigError if their tags do not fit the scheme or the labels of the model.
        """
        self.task.refuse_misread(examples)
        fitted = self
        if self.options.scheme == "auto":
            scheme = scheme_of(examples, self.labels, self.options.repair)
            resolved = self.task.fitted(self.labels, self.notes, scheme=scheme.name, notation=scheme.notation)
            fitted = replace(self, task=resolved.task)
        tagging = fitted.tagging
        refuse_lettered(examples, tagging.scheme)
        for example in examples:
            tagging.training_labels(example)
        tagging.broken(examples)
        return fitted

    def score(self, predictions: SequenceOf[TokensPrediction], examples: SequenceOf[Example]) -> Scores:
        """Scores against the gold as given; labels that do not occur in the training data count as missed."""
        labels, tagging = self.labels, self.tagging
        gold_tags = [tagging.training_labels(e) for e in examples]
        if not tagging.has_spans:
            tags = [p.tags for p in predictions]
            return metrics.assemble(metrics.score_tags(gold_tags, tags), gold_tags, tags, labels)
        tags = [
            write_tags(read_tags(p.tags, tagging.scheme).spans, len(p.tags), tagging.bio) for p in predictions
        ]
        predicted = [[(s["start"], s["end"], s["label"]) for s in p.spans] for p in predictions]
        gold = [tagging.gold(e) for e in examples]
        scores = metrics.assemble(metrics.score_spans(gold, predicted), gold_tags, tags, labels, without_role)
        scores.details["tables"] = [metrics.error_table(gold, predicted), *alignment(examples)]
        return scores

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        tagging = self.tagging
        if not tagging.has_spans:
            tags = {tag for e in examples for tag in e.tags}
            return [*self._faults(examples), *missing_labels(tags, self.labels, {})]
        present = {span.label for e in examples for span in tagging.gold(e)}
        if not present:
            fixed = dict.fromkeys(("f1", "macro_f1", "precision", "recall"), NEVER_ABOVE_0)
            return [Limitation(f"{none_has(len(examples), 'text')} an entity", fixed)]
        missing = missing_labels(present, self.span_labels, {}) if tagging.scheme.typed else []
        return [*self._faults(examples), *missing]

    def warnings(
        self,
        predictions: SequenceOf[TokensPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        seen = {tag for p in predictions for tag in p.tags}
        if len(seen) > 1 or len(predictions) < 2:
            return []
        return [
            f'collapsed: all words are tagged "{seen.pop()}". Usual remedies: more epochs, a higher train.lr '
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

    def _faults(self, examples: SequenceOf[Example]) -> list[Limitation]:
        """Invalid tags, and labels that do not occur in the training data."""
        tagging, known = self.tagging, set(self.labels)
        broken = tagging.broken(examples)
        unknown = Counter(tag for e in examples for tag in tagging.training_labels(e) if tag not in known)
        messages = [broken] if broken else []
        if unknown:
            messages.append(
                f"{counted(unknown.total(), 'word')} {'has' if unknown.total() == 1 else 'have'} gold labels "
                "that do not occur in the training data; such labels are never predicted and count as "
                f"missed: {listed(sorted(unknown))}"
            )
        return [Limitation(message) for message in messages]


class TokenClassification(Task):
    """A label for every word, with softmax at its first token (Devlin et al. 2019, section 5.3).

    Entities are trained as B-, I- and O labels, whatever the scheme of the data. Predictions are the most
    probable sequence of labels in which every I- label continues an entity.
    """

    Options = TokenClassificationOptions
    Prediction = TokensPrediction
    Fitted = FittedTokenClassification
    primary: ClassVar[str] = "f1"
    is_calibrated: ClassVar[bool] = True
    scores: ClassVar[tuple[str, ...]] = ("f1", "macro_f1", "precision", "recall", "accuracy")
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=tuple((name,) for name in _TEXT_COLUMNS),
        label=_LABEL_COLUMNS,
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
        example = read(row, columns, "signs" if words == "auto" else words)
        outside = self.options.outside
        if outside not in example.tags:
            return example
        return replace(example, gold=tuple(OUTSIDE if tag == outside else tag for tag in example.tags))

    def refuse_misread(self, examples: SequenceOf[Example]) -> None:
        if self.options.sentence != NONE:
            refuse_single_words(examples)

    def fit(self, examples: SequenceOf[Example]) -> FittedTokenClassification:
        self.refuse_misread(examples)
        tagging = resolve_tagging(examples, self.options.scheme, self.options.repair, self.options.notation)
        words = likely_words(examples) if self.options.words == "auto" else self.options.words
        labels = tagging.labels(examples)
        fitted: FittedTokenClassification = self.fitted(
            labels,
            tuple(tagging.notes(examples)),
            scheme=tagging.scheme.name,
            notation=tagging.scheme.notation,
            words=words,
        )
        return fitted


def _log_softmax(scores_KC: Output) -> NDArray[np.float64]:
    """The log-softmax over the last axis, in fp64."""
    shifted_KC = scores_KC.astype(np.float64)
    shifted_KC -= shifted_KC.max(-1, keepdims=True)
    log_KC: NDArray[np.float64] = shifted_KC - np.log(np.exp(shifted_KC).sum(-1, keepdims=True))
    return log_KC


def _scores(spans: SequenceOf[Span], chance_W: NDArray[np.float64]) -> list[float]:
    """The mean probability of the labels in each span; 0 if none of its words has a token."""
    means = []
    for span in spans:
        chances = chance_W[span.start : span.end]
        known = chances[~np.isnan(chances)]
        means.append(float(known.mean()) if len(known) else 0.0)
    return means


TASK = TokenClassification
