"""Each task reports the scores that no prediction could change, with their correct values."""

from typing import Any

import numpy as np
import pytest
from made_examples import (
    WHERE,
    asked,
    fitted,
    graded,
    labelled,
    predict,
    same_choices,
    tagged,
    texts,
    with_labels,
)

from bertune.metrics.limitations import NEVER_ABOVE_0, UNDEFINED, limitation_texts
from bertune.tasks import FittedTask
from bertune.tasks.embeddings import task as embeddings
from bertune.tasks.language_modelling import task as language_modelling
from bertune.tasks.language_modelling.masking import IGNORE_INDEX, Masking, Vocabulary
from bertune.tasks.ranking import task as ranking
from bertune.tasks.regression import task as regression
from bertune.text.sequences import Sequence as TokenSequence

CASES: dict[str, tuple[FittedTask, list[Any], set[str], str]] = {
    "one class of three": (
        fitted("classification", ("a", "b", "rare")), labelled("a", "a", "a"), {"mcc", "roc_auc"},
        'all 3 texts have the label "a" (missing: b, rare)',
    ),
    "the negative class alone": (
        fitted("classification", ("no", "yes")), labelled("no", "no", "no"),
        {"mcc", "roc_auc", "f1", "precision", "recall"},
        'all 3 texts have the label "no" (missing: yes)',
    ),
    "classes without a text": (
        fitted("classification", ("a", "b", "rare")), labelled("a", "b", "b"), {"roc_auc"},
        "1 of the 3 labels does not occur: rare",
    ),
    "texts without labels": (
        fitted("multilabel", ("a", "b")), with_labels((), ()),
        {f"{a}_{s}" for a in ("micro", "macro", "weighted", "samples") for s in ("precision", "recall", "f1")}
        | {"map"},
        "none of the 2 texts has a label",
    ),
    "texts with the same labels": (
        fitted("multilabel", ("a", "b")), with_labels(("b",), ("b",)), {"map"},
        "all 2 texts have the same labels: b",
    ),
    "a constant": (
        fitted("regression", ("value",), low=0, high=5),
        [regression.Example("1", WHERE, ("t",), 2.0)] * 4, {"pearson", "spearman", "pearson_spearman", "r2"},
        "all 4 texts have the number 2",
    ),
    "one number": (
        fitted("regression", ("value",), low=0, high=5),
        [regression.Example("1", WHERE, ("t",), 2.0)], {"pearson", "spearman", "pearson_spearman", "r2"},
        "there is only one text",
    ),
    "unanswerable questions": (
        fitted("question_answering", ("answer", "no answer")), asked("", "", ""),
        {"has_answer_f1", "has_answer_em", "best_f1", "best_em"}, "none of the 3 questions has an answer",
    ),
    "unanswerable questions for a model that always answers": (
        fitted("question_answering", ("answer",)), asked("", "", ""),
        {"has_answer_f1", "has_answer_em", "best_f1", "best_em", "f1", "em", "no_answer_f1", "no_answer_em"},
        "but the model always predicts one",
    ),
    "some unanswerable questions for a model that always answers": (
        fitted("question_answering", ("answer",)), asked("", "x", "y"), {"no_answer_f1", "no_answer_em"},
        "1 of the 3 questions has no answer, but the model always predicts one",
    ),
    "equal choices": (
        fitted("multiple_choice"), [same_choices("x", "x"), same_choices("y", "y", "y")], {"accuracy", "mrr"},
        "all choices of every question are identical",
    ),
    "relevant documents alone": (
        fitted("ranking"), graded(("p", 1), ("p", 1), ("q", 1)), set(ranking.metrics.NAMES),
        "in every query, all documents or none have a grade of at least task.relevant=1",
    ),
    "no document of the grade": (
        fitted("ranking", relevant=3), graded(("p", 1), ("p", 2), *[("p", 0)] * 9),
        set(ranking.metrics.NAMES) - {"ndcg", "ndcg@10"},
        "no document has a grade of at least task.relevant=3; the highest is 2",
    ),
    "one pair": (
        fitted("embeddings"), texts(("a", "b")), {"recall@1", "recall@10", "mrr@10", "main_score"},
        "no query is compared with more than 1 text",
    ),
    "few pairs": (
        fitted("embeddings"), texts(*((f"a{i}", f"b{i}") for i in range(6))), {"recall@10"},
        "no query is compared with more than 6 texts",
    ),
    "texts without entities": (
        fitted("token_classification", ("O", "B-PER", "I-PER"), scheme="bio"), tagged("OOO", "OO"),
        {"f1", "macro_f1", "precision", "recall"}, "none of the 2 texts has an entity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_scores_that_no_prediction_changes_are_named_with_their_value(name: str) -> None:
    task, examples, settled, fact = CASES[name]
    found = [one for one in task.limitations(examples, []) if not one.is_usual]
    stated = {score: value for one in found for score, value in one.settled.items()}
    assert stated.keys() == settled
    assert fact in " ".join(limitation_texts(found))
    for seed in range(8):
        draw = np.random.default_rng(seed)
        scores = task.score([predict(task, example, draw) for example in examples], examples)
        for score, value in stated.items():
            number = scores[score]
            shown = UNDEFINED if number is None else f"{number:.4g}"
            allowed = {NEVER_ABOVE_0: {"0", UNDEFINED}}.get(value, {value[: len(shown)]})
            assert shown in allowed, score


SOUND: dict[str, tuple[FittedTask, list[Any]]] = {
    "classification": (fitted("classification", ("a", "b")), labelled("a", "b")),
    "multilabel": (fitted("multilabel", ("a", "b")), with_labels(("a",), ("b",), ())),
    "regression": (
        fitted("regression", ("value",), low=0, high=5),
        [regression.Example("1", WHERE, ("t",), value) for value in (1.0, 2.0)],
    ),
    "question_answering": (fitted("question_answering", ("answer", "no answer")), asked("", "x")),
    "answerable questions": (fitted("question_answering", ("answer",)), asked("y", "x")),
    "multiple_choice": (fitted("multiple_choice"), [same_choices("x", "x"), same_choices("x", "y")]),
    "ranking": (fitted("ranking"), graded(("q", 1), *[("q", 0)] * 10)),
    "embeddings": (fitted("embeddings"), texts(*((f"a{i}", f"b{i}") for i in range(11)))),
    "token_classification": (
        fitted("token_classification", ("O", "B-PER", "I-PER"), scheme="bio"), tagged(["B-PER", "O"]),
    ),
    "tags": (fitted("token_classification", ("N", "V"), scheme="plain"), tagged("NV")),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_sound_data_have_no_limitation(name: str) -> None:
    task, examples = SOUND[name]
    assert limitation_texts(task.limitations(examples, []), type(task.task).primary) == []


@pytest.mark.parametrize(
    ("task", "examples", "missing"),
    [
        (
            fitted("multilabel", ("a", "b", "c")),
            with_labels(("a",), ()),
            "2 of the 3 labels do not occur: b, c",
        ),
        (
            fitted("token_classification", ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), scheme="bio"),
            tagged(["B-PER", "O"]),
            "1 of the 2 labels does not occur: LOC",
        ),
        (
            fitted("token_classification", ("N", "V"), scheme="plain"),
            tagged("NN"),
            "1 of the 2 labels does not occur: V",
        ),
    ],
)
def test_labels_that_do_not_occur_are_named(task: FittedTask, examples: list[Any], missing: str) -> None:
    assert limitation_texts(task.limitations(examples, [])) == [missing]


@pytest.mark.parametrize(
    ("task", "examples", "score"),
    [
        (fitted("question_answering", ("answer",)), asked("x", "y"), "no_answer_f1"),
        (fitted("embeddings"), texts(*((f"a{i}", f"b{i}") for i in range(11))), "spearman"),
        (fitted("embeddings"), texts(*((f"a{i}", f"b{i}") for i in range(11))), "triplet_accuracy"),
        (fitted("embeddings"), [embeddings.Example("1", WHERE, ("a", "b"), g) for g in (0.0, 1.0)], "mrr@10"),
    ],
)
def test_a_score_of_other_data_cannot_select_the_checkpoint(
    task: FittedTask, examples: list[Any], score: str
) -> None:
    (text,) = limitation_texts(task.limitations(examples, []), score)
    assert f"{score} selects the checkpoint (train.best_metric) but cannot distinguish checkpoints" in text


def test_texts_without_a_masked_token_have_no_score() -> None:
    mask, none = 4, np.zeros(10, bool)
    masking = Masking(0.15, False, Vocabulary(mask, none, none, np.arange(10, dtype=np.int32)))
    task = language_modelling.FittedLanguageModelling(fitted("language_modelling").task, masking=masking)

    def sequence(*gold: int) -> TokenSequence:
        return TokenSequence(np.ones(3, np.int32), np.zeros(3, np.uint8), 0, np.array(gold))

    nothing = [sequence(IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX), sequence(IGNORE_INDEX, mask, IGNORE_INDEX)]
    (text,) = limitation_texts(task.limitations([], nothing), "masked_accuracy")
    assert "masked_accuracy, perplexity and pseudo_perplexity are undefined" in text
    assert "masked_accuracy selects the checkpoint" in text
    assert not limitation_texts(task.limitations([], [*nothing, sequence(9, -100, -100)]), "perplexity")
    (text,) = limitation_texts(task.limitations([], [sequence(9, -100, -100)]), "pseudo_perplexity")
    assert "task.pseudo_perplexity is false" in text
