"""Multi-label classification: every format of labels, scikit-learn's scores, and costs by label name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch.nn.functional import binary_cross_entropy_with_logits

from bertune import api
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics.multilabel import score
from bertune.nn.batch import collate
from bertune.tasks import make_task
from bertune.tasks.multilabel.task import Example, FittedMultiLabel, MultiLabel
from bertune.text.tokenizer import Tokenizer
from label_matrices import judged
from trainings import train

COLUMNS = Columns(("text",), "labels", None)


def task(**options: Any) -> MultiLabel:
    made = make_task(TaskConfig(name="multilabel", **options))
    assert isinstance(made, MultiLabel)
    return made


def gold(cell: Any, **options: Any) -> tuple[str, ...] | None:
    parsed = task(**options).parse(Row({"text": "fine", "labels": cell}, Origin("a.csv", 7)), COLUMNS)
    return parsed.gold  # type: ignore[no-any-return]


def examples(*golds: tuple[str, ...]) -> list[Example]:
    return [Example(str(i), Origin("a.csv", i), (f"it was {i}",), g) for i, g in enumerate(golds)]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("joy", ("joy",)),
        ("joy, anger", ("joy", "anger")),
        ("4,27", ("4", "27")),
        ("", ()),
        (["joy", "anger"], ("joy", "anger")),
        ('["joy", "anger"]', ("joy", "anger")),
        ([], ()),
        (3, ("3",)),
    ],
)
def test_labels_are_read_in_every_notation(cell: Any, names: tuple[str, ...]) -> None:
    assert gold(cell) == names


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, 'the value in column "labels" is missing'),
        (float("nan"), 'the value in column "labels" is missing'),
        (["joy", ""], 'column "labels" has an empty label name'),
        ([True, "joy"], 'column "labels" is not a list of label names'),
        ("joy, joy", 'duplicate label "joy"'),
        (["joy", "fear", "joy"], 'duplicate label "joy"'),
    ],
)
def test_a_missing_cell_is_not_an_empty_list_of_labels(cell: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv, line 7: {message}"):
        gold(cell)


def test_a_single_label_is_not_split() -> None:
    with pytest.raises(DataError, match=r'only one label, "spam".*task\.name=classification'):
        task().fit(examples(("spam",), ()))


@pytest.mark.parametrize("key", ["columns", "names"])
def test_a_duplicate_label_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf'task\.{key}=.*"b" is listed more than once'):
        task(**{key: "a,b,b"})


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\n\nb\n", "line 2: the line is empty"), ("a\nb\na", 'line 3: duplicate label "a"')],
)
def test_a_label_file_has_a_name_on_every_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ConfigError, match=message):
        task(label_file=str(tmp_path / "names.txt"))


@pytest.mark.parametrize("weights", ["battery", "balanced", "battery=2,battery=3", "=2"])
def test_class_weights_are_none_auto_or_set_by_name(weights: str) -> None:
    with pytest.raises(
        ConfigError, match=r"task\.class_weights must be 'none', 'auto' or one number per label"
    ):
        task(class_weights=weights)


def test_another_separator_can_be_set() -> None:
    assert gold("joy, mixed|anger", separator="|") == ("joy, mixed", "anger")


def test_a_broken_list_is_refused_with_its_location() -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 7: .* begins like a list or an object"):
        gold('["joy", ')


def test_columns_of_zeros_and_ones_are_labels() -> None:
    made = task(columns=["joy", "anger"])
    bare = Columns(("text",), None, None)
    row = Row({"text": "fine", "joy": 1, "anger": "0"}, Origin("a.csv", 7))
    assert made.parse(row, bare).gold == ("joy",)
    assert not made.needs_label
    with pytest.raises(DataError, match=r'line 7: column "anger" must be 1 or 0, or yes or no, got "maybe"'):
        made.parse(Row({"text": "fine", "joy": 1, "anger": "maybe"}, Origin("a.csv", 7)), bare)
    with pytest.raises(DataError, match=r'line 7: column "anger" is empty. Write 1 or 0'):
        made.parse(Row({"text": "fine", "joy": 1, "anger": ""}, Origin("a.csv", 7)), bare)


def test_indices_refer_to_the_names_in_a_label_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("admiration\namusement\nanger\n", encoding="utf-8")
    assert gold("2,0", label_file=str(tmp_path / "labels.txt")) == ("anger", "admiration")
    with pytest.raises(DataError, match=r'line 7: "3" is not a valid label index. .* has 3 labels'):
        gold("3", label_file=str(tmp_path / "labels.txt"))


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 2 rows has a label"):
        task().fit(examples((), ()))


def test_a_label_unknown_from_training_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(DataError, match=r'a\.csv, line 0: the label "angry" does not occur.*anger'):
        task().fitted(("anger", "joy")).encode(examples(("angry",)), Tokenizer.pretrained(tiny_weights), None)


def test_the_scores_equal_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    gold_NC = draw.random((80, 4)) < np.array([0.5, 0.2, 0.05, 0.0])
    probabilities_NC = np.clip(draw.random((80, 4)) * 0.7 + 0.3 * gold_NC, 0, 1)
    found = score(judged(gold_NC, probabilities_NC), ("a", "b", "c", "never"), 0.5).values
    predicted_NC = probabilities_NC >= 0.5
    for average in ("micro", "macro", "weighted", "samples"):
        expected = sk.f1_score(gold_NC, predicted_NC, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(gold_NC, predicted_NC))
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(gold_NC, predicted_NC))
    occurring = [sk.average_precision_score(gold_NC[:, i], probabilities_NC[:, i]) for i in range(3)]
    assert found["map"] == pytest.approx(np.mean(occurring))


def test_the_loss_is_the_mean_over_all_labels_like_in_hugging_face(tiny_weights: Path) -> None:
    rows = examples(("a",), (), ("a", "b"))
    made = task().fit(rows)
    batch = collate(made.encode(rows, Tokenizer.pretrained(tiny_weights), None))
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    total, count = made.loss(logits, batch)
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    assert total / count == pytest.approx(float(binary_cross_entropy_with_logits(logits, target)))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("auto", {"a": 0.3333, "b": 3.0}), ("a=2,b=5", {"a": 2.0, "b": 5.0}), ({"b": 4}, {"a": 1.0, "b": 4.0})],
)
def test_class_weights_are_resolved_noted_and_used(
    weights: Any, expected: dict[str, float], tiny_weights: Path
) -> None:
    rows = examples(("a",), ("a",), ("a", "b"), ())
    made = task(class_weights=weights).fit(rows)
    resolved = {"class_weights": made.options.class_weights, "separator": ","}
    assert made.options == task(**resolved).options, "nothing else is resolved"
    assert made.options.class_weights == pytest.approx(expected)
    assert made.notes[0].startswith("task.class_weights: a ")
    batch = collate(made.encode(rows, Tokenizer.pretrained(tiny_weights), None))
    logits = torch.zeros(4, 2)
    total, count = made.loss(logits, batch)
    target = torch.tensor([[1.0, 0], [1, 0], [1, 1], [0, 0]])
    weight = torch.tensor([expected["a"], expected["b"]])
    reference = binary_cross_entropy_with_logits(logits, target, pos_weight=weight)
    assert total / count == pytest.approx(float(reference), rel=1e-4)


def test_a_weight_for_an_unknown_label_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'task\.class_weights: unknown label "hapy".*happy'):
        task(class_weights={"hapy": 2}).fit(examples(("happy",), ("sad",)))


def test_a_lower_threshold_predicts_more_labels(tiny_weights: Path) -> None:
    outputs = [np.array([-1.0, 1.0], np.float32)]
    low, high = (
        task(threshold=t).fitted(("a", "b")).decode(outputs, [], examples(())[0]) for t in (0.2, 0.5)
    )
    assert low.labels == ["a", "b"]
    assert high.labels == ["b"]
    assert low.probabilities == high.probabilities


def test_trained_weights_are_in_the_saved_model(tiny_weights: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"it was {w}", "labels": label}
        for w, label in (("great", "a"), ("dull", "a,b"), ("slow", "a"))
    ]
    overrides = {
        "task.name": "multilabel",
        "task.class_weights": "auto",
        "model.name": str(tiny_weights),
        "train.epochs": 1,
        "machine.device": "cpu",
    }
    run, _ = train({"train": rows, "validation": rows}, tmp_path / "run", overrides)
    assert any(note.startswith("task.class_weights: a ") for note in run.manifest["notes"])
    found = api.evaluate(run, rows)
    stored = run.metrics()[-1]["validation"]["loss"]
    assert found.loss == pytest.approx(stored, rel=1e-4), "evaluated with the same costs"


def test_a_label_of_every_text_is_learned() -> None:
    made = task(class_weights="auto").fit(
        examples(*[("always", "often")] * 40_000, ("always",), ("always", "b"))
    )
    weights = made.options.class_weights
    assert weights["always"] == 1.0
    assert weights["often"] > 0
    assert task(class_weights=weights).fit(examples(("always", "often"), ("b",))).labels


def test_probabilities_are_sigmoids_even_for_large_outputs() -> None:
    outputs_C = np.array([-3e38, -800, -40, -1.5, 0, 0.25, 40, 3e38], np.float32)
    made = task().fitted(tuple("abcdefgh"))
    found = made.decode([outputs_C], [], examples(())[0])
    expected = torch.from_numpy(outputs_C).double().sigmoid().tolist()
    assert list(found.probabilities.values()) == pytest.approx(expected, rel=1e-15, abs=0)
    assert found.labels == ["e", "f", "g", "h"]


def test_a_fitted_task_never_changes(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    made = task(class_weights="auto", label_file=str(tmp_path / "names.txt"))
    rows = examples(("a",), ("a",), ("a", "b"), ())
    fitted = made.fit(rows)
    batch = collate(fitted.encode(rows, Tokenizer.pretrained(tiny_weights), None))
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    options, loss = fitted.options.model_dump(), fitted.loss(logits, batch)
    assert made.options.class_weights == "auto" and made.options.label_file, "the task is as it was given"

    # Other examples, scored test rows and the file of names do not change the labels.
    (tmp_path / "names.txt").write_text("x\ny\n")
    other = made.fit(examples(("c",), ("c", "b"), ("b",)))
    assert made.parse(Row({"text": "fine", "labels": "2"}, Origin("a.csv", 7)), COLUMNS).gold == ("c",)
    assert fitted.for_scoring(rows) is fitted
    fitted.score([fitted.decode([row], [], e) for row, e in zip(logits.numpy(), rows, strict=True)], rows)
    assert other.options.class_weights != fitted.options.class_weights
    assert fitted.options.model_dump() == options
    assert fitted.loss(logits, batch) == loss

    # The resolved settings restore all of it, without the file of names.
    (tmp_path / "names.txt").unlink()
    assert fitted.options.label_file is None and fitted.options.names == ("a", "b", "c")
    restored = task(**options).fitted(fitted.labels)
    assert isinstance(restored, FittedMultiLabel)
    assert restored.loss(logits, batch) == loss
    parsed = restored.task.parse(Row({"text": "fine", "labels": "2"}, Origin("a.csv", 7)), COLUMNS)
    assert parsed.gold == ("c",)
