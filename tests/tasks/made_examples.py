"""Made-up examples and random predictions of every task, for tests of scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.tasks import FittedTask, make_task
from bertune.tasks.classification import task as classification
from bertune.tasks.embeddings import task as embeddings
from bertune.tasks.embeddings.vectors import WithVectors, normalized
from bertune.tasks.language_modelling import task as language_modelling
from bertune.tasks.multilabel import task as multilabel
from bertune.tasks.multiple_choice import task as choice
from bertune.tasks.question_answering import task as qa
from bertune.tasks.ranking import task as ranking
from bertune.tasks.regression import task as regression
from bertune.tasks.token_classification import task as tokens

WHERE = Origin("dev.csv", 1)


def fitted(name: str, labels: tuple[str, ...] = (), **options: Any) -> FittedTask:
    return make_task(TaskConfig(name=name, **options)).fitted(labels)


def labelled(*gold: str) -> list[Any]:
    return [classification.Example("1", WHERE, ("t",), label) for label in gold]


def with_labels(*gold: tuple[str, ...]) -> list[Any]:
    return [multilabel.Example("1", WHERE, ("t",), labels) for labels in gold]


def asked(*answers: str) -> list[Any]:
    """Questions about "x y z" with these answers; "" means no answer."""
    gold = [({"text": a, "answer_start": "x y z".index(a)},) if a else () for a in answers]
    return [qa.Example("1", WHERE, ("q", "x y z"), own) for own in gold]


def graded(*grades: tuple[str, float]) -> list[Any]:
    return [ranking.Example("1", WHERE, (query, "d"), grade) for query, grade in grades]


def tagged(*tags: Sequence[str]) -> list[Any]:
    words = [tuple((2 * i, 2 * i + 1) for i in range(len(own))) for own in tags]
    return [
        tokens.Example("1", WHERE, (" ".join("x" * len(own)),), places, tuple(own))
        for own, places in zip(tags, words, strict=True)
    ]


def softmax(draw: np.random.Generator, labels: tuple[str, ...]) -> dict[str, float]:
    raw = np.exp(4 * draw.normal(size=len(labels)))
    return dict(zip(labels, (raw / raw.sum()).tolist(), strict=True))


def predict(task: FittedTask, example: Any, draw: np.random.Generator) -> Any:
    """A random prediction of the kind that the task makes for the example."""
    labels = task.labels
    match example:
        case classification.Example():
            shares = softmax(draw, labels)
            return classification.LabelPrediction(max(shares, key=shares.__getitem__), shares)
        case multilabel.Example():
            chances = dict(zip(labels, (draw.random(len(labels)) ** 2).tolist(), strict=True))
            return multilabel.LabelsPrediction([x for x, p in chances.items() if p >= 0.5], chances)
        case regression.Example():
            return regression.NumberPrediction(float(draw.normal()))
        case ranking.Example():
            return ranking.RelevancePrediction(float(draw.random()))
        case choice.Example():
            index = int(draw.integers(len(example.choices)))
            shares = [float(i == index) for i in range(len(example.choices))]
            return choice.ChoicePrediction(example.choices[index], index, shares)
        case embeddings.Example():
            return WithVectors(normalized(draw.normal(size=(len(example.texts), 5)).astype(np.float32)))
        case qa.Example():
            best = {"answer": str(draw.choice(list("xyz"))), "start": 0, "end": 1, "score": 0.6}
            margin = float(draw.normal())
            withheld = len(labels) > 1 and margin > 0
            return qa.AnswerPrediction(None if withheld else best["answer"], None, None, 0.6, margin, [best])
        case tokens.Example():
            num = len(example.tags)
            at = [i for i in range(num) if draw.random() < 0.3]
            spans = [
                {"start": 2 * i, "end": 2 * i + 1, "label": "PER", "text": "x", "score": 1.0} for i in at
            ]
            tags = ["B-PER" if i in at else "O" for i in range(num)]
            return tokens.TokensPrediction(spans, ["x"] * num, tags)
        case language_modelling.Example():
            words = [str(word) for word in draw.choice(list("abc"), size=2)]
            masks = [
                {"best": {word: 0.5, "z": 0.1}, "word": "a", "probability": float(draw.random())}
                for word in words[: draw.integers(3)]
            ]
            return language_modelling.MasksPrediction(masks)
    raise AssertionError(example)


def same_choices(*choices: str) -> Any:
    return choice.Example("1", WHERE, ("q", "…"), "", "q", choices, 0)


def texts(*rows: tuple[str, ...]) -> list[Any]:
    return [embeddings.Example("1", WHERE, row) for row in rows]
