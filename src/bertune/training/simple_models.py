"""Compare a trained model with simple models on the same split: is fine-tuning worth it?

The simple models are a constant prediction, a linear model on TF-IDF features, and a linear model on the
vectors of the pretrained encoder without fine-tuning. Each is decoded and scored by the task, like the
trained model, and compared with it on the same resamples.

Dimensions: N texts, H hidden size.
"""

import time
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertune.config import TaskConfig
from bertune.manifest.results import BaselinesRecord, DifferenceRecord, SimpleModelRecord
from bertune.metrics.comparison import differences
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.nn.device import Machine
from bertune.predict.torch_backend import TorchBackend
from bertune.saved_model import new_model
from bertune.tasks import FittedTask, make_task
from bertune.tasks.parts.score_intervals import Rescored, rescored
from bertune.training import linear
from bertune.training.preparing import Prepared

_MOST_ROWS = 20_000  # training rows for TF-IDF; LinearSVC with 150 labels then takes about 20 s
_MOST_CHARACTERS = 10_000_000  # characters in these rows, which bounds the number of n-grams
# Training rows for the frozen encoder. A linear model needs few, so that encoding them takes a small part of
# the training time, however short that was: a text that is only encoded costs a third of a trained one.
_LEAST_ENCODED, _MOST_ENCODED = 1_000, 4_000
_LEAST_PER_LABEL = 25  # with fewer rows of each label, the linear model is clearly worse than it could be
_ENCODED_SHARE = 0.25  # of the texts that were trained on, repetitions included; with the rows to be scored
_MOST_LABELS = 500  # labels; a linear model has a weight vector for each
_SHOWN = 3  # scores besides the primary one; probabilities of the linear models are not calibrated
_SIGNIFICANT = 0.05
_UNCALIBRATED = {"loss", "log_loss", "brier", "ece"}  # scores for which a linear SVM is not suited


@dataclass(frozen=True)
class _Task:
    """The rows that the simple models are fitted to and scored on."""

    prepared: Prepared
    fitted: FittedTask
    machine: Machine
    test: list[Any]
    most_encoded: int  # training rows for the frozen encoder
    poll: Callable[[], None]

    def training(self, most: int) -> list[Any]:
        """At most `most` training examples, drawn at random."""
        train = distinct(self.prepared.splits["train"].examples)
        if len(train) <= most:
            return train
        draw = np.random.default_rng(self.prepared.config.train.seed)
        return [train[i] for i in np.sort(draw.choice(len(train), most, replace=False))]

    def targets(self, examples: SequenceOf[Any]) -> NDArray[Any]:
        targets = self.fitted.simple_targets(examples)
        assert targets is not None, "only tasks with targets have simple models"
        return targets


@dataclass(frozen=True)
class FineTuned:
    """The trained model that simple models are compared with."""

    scores: Rescored
    primary: str  # the score that the verdict is about
    num_seen: int  # examples in all training steps, which limits the cost of encoding


def distinct(examples: SequenceOf[Any]) -> list[Any]:
    """Each example once: windows of a text share its example."""
    return list({id(example): example for example in examples}.values())


def baselines(
    prepared: Prepared,
    machine: Machine,
    split: str,
    ours: FineTuned,
    poll: Callable[[], None],
) -> BaselinesRecord | None:
    """The scores of simple models on a split, compared with the trained model; None if the task has none.

    `poll` is called between models and may raise an exception to stop. Raises MissingPackageError.
    """
    fitted = prepared.encoder.fitted
    examples = prepared.splits[split].examples
    if fitted.simple_targets(examples[:1]) is None:
        return None
    most = most_encoded(ours.num_seen, len(examples), len(fitted.labels))
    task = _Task(prepared, fitted, machine, examples, most, poll)
    score = fitted.task.primary if ours.primary in _UNCALIBRATED else ours.primary
    names = list(dict.fromkeys((score, *(n for n in fitted.task.scores[:_SHOWN] if n not in _UNCALIBRATED))))
    models = [_constant]
    if len(fitted.labels) <= _MOST_LABELS:
        models += [_tfidf, _frozen]
    records = []
    for model in models:
        poll()
        started = time.perf_counter()
        name, rows, outputs = model(task)
        seconds = time.perf_counter() - started
        predictions = [
            fitted.decode([output.astype(np.float32)], [], example)
            for output, example in zip(outputs, examples, strict=True)
        ]
        theirs = rescored(fitted, predictions, examples, fitted.score(predictions, examples))
        records.append(_record(name, rows, seconds, names, ours.scores, theirs))
    total = len(distinct(prepared.splits["train"].examples))
    verdict = _verdict(records, score, ours.scores.scores[score])
    return BaselinesRecord(split=split, score=score, rows=total, models=records, verdict=verdict)


def most_encoded(num_seen: int, num_scored: int, num_labels: int) -> int:
    """The maximum number of training rows that the frozen encoder reads, besides the rows to be scored."""
    least = max(_LEAST_ENCODED, _LEAST_PER_LABEL * num_labels)
    return min(_MOST_ENCODED, max(least, round(_ENCODED_SHARE * num_seen) - num_scored))


def _constant(task: _Task) -> tuple[str, int, NDArray[np.float64]]:
    train = task.training(1_000_000)
    targets = task.targets(train)
    name = "mean of the training numbers" if targets.dtype.kind == "f" else "most frequent label"
    name = "label frequencies" if targets.ndim == 2 else name
    return name, len(train), linear.constant_outputs(targets, len(task.fitted.labels), len(task.test))


def _tfidf(task: _Task) -> tuple[str, int, NDArray[np.float64]]:
    sample = task.training(200)
    length = float(np.mean([sum(map(len, e.texts)) for e in sample])) or 1.0
    train = task.training(min(_MOST_ROWS, max(1, int(_MOST_CHARACTERS / length))))
    features = linear.tfidf_features([e.texts for e in train], [e.texts for e in task.test])
    return "TF-IDF + linear model", len(train), _fitted_outputs(task, train, features, is_sparse=True)


def _frozen(task: _Task) -> tuple[str, int, NDArray[np.float64]]:
    train = task.training(task.most_encoded)
    config = task.prepared.config
    fitted = make_task(TaskConfig(name="embeddings")).fitted()
    with torch.random.fork_rng(devices=[]):
        model = new_model(task.prepared.pretrained, config.model.model_copy(update={"head": "auto"}), fitted)
    backend = TorchBackend(model.eval().to(task.machine.device), fitted, task.machine)
    tokenizer, most = task.prepared.encoder.tokenizer, task.prepared.encoder.max_length

    def vectors(examples: list[Any]) -> NDArray[np.float64]:
        columns = []
        for texts in zip(*(e.texts for e in examples), strict=True):
            known = {text: at for at, text in enumerate(dict.fromkeys(texts))}
            found = backend(tokenizer.encode([(text,) for text in known], most), task.poll).outputs
            columns.append(np.stack(found).astype(np.float64)[[known[text] for text in texts]])
        return linear.vector_features(columns)

    features = vectors(train), vectors(task.test)
    return (
        "frozen encoder + linear model",
        len(train),
        _fitted_outputs(task, train, features, is_sparse=False),
    )


def _fitted_outputs(
    task: _Task, train: list[Any], features: tuple[Any, Any], is_sparse: bool
) -> NDArray[np.float64]:
    targets, seed = task.targets(train), task.prepared.config.train.seed
    if targets.ndim == 1 and len(np.unique(targets)) < 2:  # a sample without other labels
        return linear.constant_outputs(targets, len(task.fitted.labels), len(task.test))
    return linear.linear_outputs(features, targets, len(task.fitted.labels), seed, is_sparse)


def _record(
    name: str, rows: int, seconds: float, names: list[str], ours: Rescored, theirs: Rescored
) -> SimpleModelRecord:
    change = differences(theirs.scores, ours.scores, (theirs.resampled, ours.resampled))
    return SimpleModelRecord(
        name=name,
        rows=rows,
        seconds=round(seconds, 3),
        scores={n: theirs.scores.get(n) for n in names},
        intervals={n: theirs.intervals.get(n) for n in names},
        differences={
            n: None if (found := change.get(n)) is None else DifferenceRecord.model_validate(vars(found))
            for n in names
        },
    )


def _verdict(records: list[SimpleModelRecord], score: str, ours: float | None) -> str:
    """One sentence on whether the trained model is better than the best simple one."""
    sign = -1 if score in LOWER_IS_BETTER else 1
    defined = [(sign * value, r) for r in records if (value := (r.scores or {}).get(score)) is not None]
    if ours is None or not defined:
        return ""
    best = max(defined, key=lambda pair: pair[0])[1]
    theirs = (best.scores or {})[score] or 0.0
    found = (best.differences or {}).get(score)
    numbers = f"{score} {theirs:.3f}, the fine-tuned model {ours:.3f}"
    if found is None or found.p is None:
        return f"The best simple model, {best.name}, has {numbers}; there are too few rows to compare them."
    p = f"p < {0.001}" if found.p < 0.001 else f"p = {found.p:.2g}"
    if sign * (found.value or 0.0) > 0 and found.p < _SIGNIFICANT:
        return f"Fine-tuning is worth it: the best simple model, {best.name}, has {numbers} ({p})."
    if sign * (found.value or 0.0) < 0 and found.p < _SIGNIFICANT:
        return f"The simple model is better: {best.name} has {numbers} ({p})."
    return f"The simple model is as good: {best.name} has {numbers}; the difference is not significant ({p})."
