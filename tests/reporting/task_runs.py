"""Builds fake runs of every kind of task: rows and predictions are invented, the rest comes from the task."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fake_runs import manifest, split, steps, write_run

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.run import Run
from bertune.tasks import make_task
from bertune.tasks.embeddings.vectors import WithVectors
from bertune.tasks.language_modelling.task import MasksPrediction
from bertune.tasks.multilabel.task import LabelsPrediction
from bertune.tasks.multiple_choice.task import ChoicePrediction
from bertune.tasks.question_answering.task import AnswerPrediction
from bertune.tasks.ranking.task import RelevancePrediction
from bertune.tasks.regression.task import NumberPrediction
from bertune.tasks.token_classification.task import TokensPrediction

Rows = list[dict[str, Any]]


def task_run(
    folder: Path, task: TaskConfig, rows: Rows, columns: Columns, predict: Callable[[Any, int], Any]
) -> Run:
    """A complete run with `rows` as test split; `predict(example, position)` returns each prediction."""
    made = make_task(task)
    examples = [made.parse(Row(row, Origin("dev.jsonl", i)), columns) for i, row in enumerate(rows, 1)]
    fitted = made.fit(examples)
    predictions = [predict(example, i) for i, example in enumerate(examples)]
    scores = fitted.score(predictions, examples)
    recorded = manifest(
        task.name,
        task=task.name,
        row_noun=made.noun,
        primary=made.primary,
        labels=list(fitted.labels),
        notes=list(fitted.notes),
        scores={"test": scores.values, "validation": scores.values},
        details={"test": scores.details, "validation": scores.details},
    )
    counts = {name: 3 for example in examples for name in fitted.label_names(example)}
    recorded["data"] = {
        "columns": {"text": list(columns.text), "label": columns.label},
        "splits": {name: split(len(rows), counts, "dev.jsonl") for name in ("train", "validation", "test")},
        "shared_texts": {"train/test": 0},
    }
    recorded["training"]["best"] = {"step": 30, "epoch": 1.0, "score": made.primary, "value": 0.5}
    run = write_run(folder, recorded, steps(60, 30))
    wrong = fitted.mistakes(predictions, examples)
    assert wrong is not None
    (folder / "predictions").mkdir()
    (folder / "predictions" / "test.mistakes.json").write_text(json.dumps(asdict(wrong)))
    return run


def tokens(folder: Path) -> Run:
    """Two texts with character spans: one correct, one mislabelled, one missed, one spurious."""
    rows = [
        {"text": "Ada Lovelace met Bo in Paris", "spans": [[0, 12, "PER"], [17, 19, "PER"], [23, 28, "LOC"]]},
        {"text": "nobody in Osloville came", "spans": [[10, 14, "LOC"]]},  # ends inside a word
    ]
    predicted = [[(0, 12, "PER"), (23, 28, "ORG"), (13, 16, "ORG")], [(10, 19, "LOC")]]
    tags = [["B-PER", "I-PER", "B-ORG", "O", "O", "B-ORG"], ["O", "O", "B-LOC", "O"]]

    def predict(example: Any, i: int) -> TokensPrediction:
        spans = [
            {"start": a, "end": b, "label": label, "text": "", "score": 0.9} for a, b, label in predicted[i]
        ]
        return TokensPrediction(spans, [], tags[i])

    return task_run(
        folder, TaskConfig(name="token_classification"), rows, Columns(("text",), "spans", None), predict
    )


def tags(folder: Path) -> Run:
    """Plain tags, one of them wrong."""
    rows = [{"tokens": ["the", "dog", "barks"], "tags": ["DT", "NN", "VB"]}]
    columns = Columns(("tokens",), "tags", None)
    return task_run(
        folder,
        TaskConfig(name="token_classification"),
        rows,
        columns,
        lambda e, i: TokensPrediction([], [], ["DT", "NN", "NN"]),
    )


def qa(folder: Path) -> Run:
    """One correct answer, one wrong answer in a long context, one answer to an unanswerable question."""
    context = "Filler words stand here. " * 40 + "Ada sings and Bo drums." + " More words follow." * 40
    ada, bo = context.index("Ada"), context.index("Bo")
    rows = [
        {"question": "who sings?", "context": context, "answers": [{"text": "Ada", "answer_start": ada}]},
        {"question": "who drums?", "context": context, "answers": [{"text": "Bo", "answer_start": bo}]},
        {"question": "who left?", "context": "Ada sings.", "answers": []},
    ]
    answers = [("Ada", ada, 0.9, -3.0), ("Ada sings", ada, 0.8, -2.0), ("Ada", 0, 0.6, -0.5)]

    def predict(example: Any, i: int) -> AnswerPrediction:
        text, start, score, margin = answers[i]
        best = [{"answer": text, "start": start, "end": start + len(text), "score": score}]
        return AnswerPrediction(text, start, start + len(text), score, margin, best)

    columns = Columns(("question", "context"), "answers", None)
    return task_run(folder, TaskConfig(name="question_answering"), rows, columns, predict)


def choice(folder: Path) -> Run:
    """Two questions with two and three choices; the second is answered wrongly."""
    rows = [
        {"context": "tom is ill", "question": "where is he?", "choices": ["at home", "at work"], "label": 0},
        {"context": "it rains", "question": "we need", "choices": ["sun", "an umbrella", "milk"], "label": 1},
    ]
    predictions = [ChoicePrediction("at home", 0, [0.7, 0.3]), ChoicePrediction("sun", 0, [0.8, 0.15, 0.05])]
    columns = Columns(("context", "question", "choices"), "label", None)
    return task_run(folder, TaskConfig(name="multiple_choice"), rows, columns, lambda e, i: predictions[i])


def multilabel(folder: Path) -> Run:
    """Two correct texts, and one with a superfluous and a missed label."""
    rows = [{"text": "loud and dark", "labels": "dark,loud"}, {"text": "only loud", "labels": "loud"}]
    rows += [{"text": "nothing", "labels": ""}]
    scores = [{"dark": 0.9, "loud": 0.8}, {"dark": 0.95, "loud": 0.2}, {"dark": 0.1, "loud": 0.1}]

    def predict(example: Any, i: int) -> LabelsPrediction:
        return LabelsPrediction([label for label, p in scores[i].items() if p >= 0.5], scores[i])

    return task_run(folder, TaskConfig(name="multilabel"), rows, Columns(("text",), "labels", None), predict)


def regression(folder: Path) -> Run:
    """Numbers from 0 to 5; one prediction is far off."""
    rows: Rows = [{"a": f"one {i}", "b": f"two {i}", "score": i % 6} for i in range(60)]
    return task_run(
        folder,
        TaskConfig(name="regression"),
        rows,
        Columns(("a", "b"), "score", None),
        lambda e, i: NumberPrediction(5.0 if i == 6 else e.gold + 0.1),
    )


def ranking(folder: Path) -> Run:
    """Two queries: one ranked perfectly, one with its only relevant document last of twelve."""
    rows: Rows = [
        {"query": "how do caves form?", "document": "water", "grade": 1},
        {"query": "how do caves form?", "document": "bats", "grade": 0},
        *({"query": "who wrote it?", "document": f"a page {i}", "grade": int(i == 11)} for i in range(12)),
    ]
    columns = Columns(("query", "document"), "grade", None)
    return task_run(
        folder, TaskConfig(name="ranking"), rows, columns, lambda e, i: RelevancePrediction(1 / (i + 2))
    )


def embeddings(folder: Path) -> Run:
    """Three pairs; one query is closer to the other texts than to its own."""
    rows: Rows = [{"anchor": f"query {i}", "positive": f"text {i}"} for i in range(3)]
    vectors = [[[1, 0], [1, 0]], [[0, 1], [0, 1]], [[0.6, 0.8], [-1, 0]]]
    columns = Columns(("anchor", "positive"), None, None)
    return task_run(
        folder,
        TaskConfig(name="embeddings", matryoshka_dims=(1, 2)),
        rows,
        columns,
        lambda e, i: WithVectors(np.array(vectors[i], np.float32)),
    )


def likeness(folder: Path) -> Run:
    """Pairs with similarity scores; one has a high gold score and dissimilar vectors."""
    rows: Rows = [{"sentence1": f"one {i}", "sentence2": f"two {i}", "score": i} for i in range(6)]

    def predict(example: Any, i: int) -> WithVectors:
        turn = 3.0 if i == 5 else 1 - i / 6
        return WithVectors(np.array([[1, 0], [np.cos(turn), np.sin(turn)]], np.float32))

    columns = Columns(("sentence1", "sentence2"), "score", None)
    return task_run(folder, TaskConfig(name="embeddings"), rows, columns, predict)


def language_modelling(folder: Path) -> Run:
    """Two masks, one predicted wrongly."""
    masks = [
        {"best": {"rain": 0.6, "snow": 0.2}, "word": "rain", "probability": 0.6},
        {"best": {"wind": 0.9, "fog": 0.05}, "word": "fog", "probability": 0.05},
    ]
    rows: Rows = [{"text": "heavy rain"}, {"text": "thick fog"}]
    columns = Columns(("text",), None, None)
    return task_run(
        folder, TaskConfig(name="language_modelling"), rows, columns, lambda e, i: MasksPrediction([masks[i]])
    )


EVERY_RUN = (
    tokens, tags, qa, choice, multilabel, regression, ranking, embeddings, likeness, language_modelling,
)  # fmt: skip
