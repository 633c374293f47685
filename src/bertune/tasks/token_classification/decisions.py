"""The tagging of a fitted task, the calibration and decisions of its spans, and errors in its gold."""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bertune.errors import ConfigError, listed
from bertune.metrics.decisions import ANSWER, REVIEW
from bertune.tasks import Output
from bertune.tasks.parts.long_texts import FittedInWindows
from bertune.tasks.token_classification.notations import DASH, OUTSIDE
from bertune.tasks.token_classification.prediction import MOST_LABELS, JudgedTokens, TokensPrediction
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.schemes import PLAIN, Scheme, deciding_tokens
from bertune.tasks.token_classification.tagging import Tagging, is_of_spans
from bertune.text.sequences import Sequence


class DecidesSpans(FittedInWindows):
    """The members of the fitted task that concern its tags, probabilities and decisions."""

    @property
    def tagging(self) -> Tagging:
        """How tags are read and written, from the options and the labels.

        If the scheme is "auto", tags are BIO until `for_scoring` detects the scheme of a file. Raises
        ConfigError if the labels do not fit the scheme.
        """
        scheme = self.options.scheme
        name = "bio" if scheme == "auto" else scheme
        notation = DASH if self.options.notation == "auto" else self.options.notation
        if name != PLAIN and not is_of_spans(self.labels):
            raise ConfigError(
                f"task.scheme={name} requires a model with B- and I- labels, but the labels of this model "
                f"are {listed(self.labels)}. Remove the setting"
            )
        return Tagging(Scheme(name, "B" not in self.labels, notation), self.options.repair)

    def decide_spans(self, spans: list[dict[str, Any]]) -> str | None:
        """Add its decision to each span; returns the decision of the text, None without a rule."""
        if self.rule is None or self.rule.thresholds is None:
            return None
        for span in spans:
            span["decision"] = self.decided(span["score"])
        return REVIEW if any(span["decision"] == REVIEW for span in spans) else ANSWER

    @property
    def calibration_kind(self) -> Literal["softmax"]:
        return "softmax"

    calibration_unit: ClassVar[str] = "words with a predicted label other than O"
    answer_noun: ClassVar[str] = "entity"
    answer_limits: ClassVar[str] = "Entities that the model does not find are not covered."

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """The outputs of words that are predicted to be in a span: nearly all words outside are right."""
        if example.gold is None:
            return None
        index = {label: number for number, label in enumerate(self.labels)}
        deciding_W2 = deciding_tokens(sequences, example.words)
        gold_W = [index.get(label, -1) for label in self.tagging.training_labels(example)]
        kept = [
            (outputs[window][token], gold)
            for (window, token), gold in zip(deciding_W2, gold_W, strict=True)
            if window >= 0 and gold >= 0 and self.labels[int(outputs[window][token].argmax())] != OUTSIDE
        ]
        if not kept:
            return None
        return np.stack([output for output, _ in kept]).astype(np.float64), np.array(
            [gold for _, gold in kept]
        )

    def judged_tokens(
        self, prediction: TokensPrediction, words_K: NDArray[np.int64], log_KC: NDArray[np.float64] | None
    ) -> TokensPrediction:
        """The prediction with the evidence on its words, unless there are too many labels to keep it."""
        if len(self.labels) > MOST_LABELS or log_KC is None:
            return prediction
        spans, words, tags = prediction.spans, prediction.words, prediction.tags
        return JudgedTokens(spans, words, tags, prediction.decision, (words_K, log_KC))

    label_error_kind: ClassVar[Literal["part"]] = "part"

    def label_evidence(
        self, prediction: Any, example: Example
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """The labels of the words that have tokens and known labels; None with too many labels."""
        if len(self.labels) > MOST_LABELS:
            return None
        if getattr(prediction, "evidence", None) is None:  # a text without tokens
            return np.empty(0, np.int64), np.empty((0, len(self.labels)))
        index = {label: number for number, label in enumerate(self.labels)}
        gold = self.tagging.training_labels(example)
        words_K, log_KC = prediction.evidence
        gold_K = np.array([index.get(gold[word], -1) for word in words_K], np.int64)
        return gold_K[gold_K >= 0], np.exp(log_KC[gold_K >= 0])

    def suggested_label(
        self, prediction: Any, example: Example, wrong: SequenceOf[int], predicted: SequenceOf[int]
    ) -> tuple[Any, Any]:
        """The tags of the text as given and as predicted; the label of the row if nothing is suggested."""
        given = list(example.tags) if example.tags else [list(span) for span in self.tagging.gold(example)]
        if not wrong:
            return given, given
        if example.tags:
            return given, list(prediction.tags)
        return given, [[span["start"], span["end"], span["label"]] for span in prediction.spans]

    def label_change(self, example: Example, given: list[Any], suggested: list[Any]) -> tuple[str, str]:
        """The words whose tags differ, or the spans that are only in one of the labels."""
        text = example.texts[0]
        if example.tags:
            words = [text[start:end] for start, end in example.words]
            kept = [pair for pair in zip(words, given, suggested, strict=True) if pair[1] != pair[2]]
            return ", ".join(f"{w} {tag}" for w, tag, _ in kept), ", ".join(
                f"{w} {tag}" for w, _, tag in kept
            )

        def only(spans: list[Any], others: list[Any]) -> str:
            found = [
                f"{text[start:end]} {label}"
                for start, end, label in spans
                if [start, end, label] not in others
            ]
            return ", ".join(found) or "no entity"

        return only(given, suggested), only(suggested, given)

    def decision(self, prediction: Mapping[str, Any]) -> Any:
        """The tags, and the spans without their scores and decisions."""
        keys = ("start", "end", "label", "text")
        spans = [{key: span[key] for key in keys} for span in prediction["spans"]]
        return {"tags": prediction["tags"], "spans": spans}

    def shown_decision(self, decision: Any) -> str:
        """The spans with their labels."""
        return ", ".join(f"{span['text']} {span['label']}" for span in decision["spans"]) or "no entity"

    def is_gold(self, decision: Any, gold: Any) -> bool:
        """Whether the tags equal the gold tags, or the spans if the gold has spans."""
        if gold and isinstance(gold[0], str):
            return bool(decision["tags"] == gold)
        expected = [(span["start"], span["end"], span["label"]) for span in gold or ()]
        found = [(span["start"], span["end"], span["label"]) for span in decision["spans"]]
        return sorted(found) == sorted(expected)

    def judged(self, prediction: Any, example: Example) -> list[tuple[str, float, bool]]:
        """An answer per predicted span, which is right if the gold has the same span with the same label.

        Gold spans that the model does not find are not among the answers.
        """
        tagging = self.tagging
        if not tagging.has_spans:
            gold_tags = tagging.training_labels(example)
            return [
                ("", span["score"], span["label"] != gold)
                for span, gold in zip(prediction.spans, gold_tags, strict=True)
            ]
        gold_spans = {(span.start, span.end, span.label) for span in tagging.gold(example)}
        return [
            ("", span["score"], (span["start"], span["end"], span["label"]) not in gold_spans)
            for span in prediction.spans
        ]
