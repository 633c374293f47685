"""The worked example of a custom task: its CORN loss, its scores, and its use with every command."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import bertune.tasks as bertune_tasks
from bertune.config import TaskConfig
from bertune.data.rows import Origin
from bertune.errors import DataError
from bertune.metrics.scores import Scores
from bertune.nn.batch import Batch
from bertune.tasks import Task, make_task
from tiny import QUICK, bertune

FILE = Path(__file__).parents[2] / "examples" / "ordinal_task.py"
OWN = f"task.name={FILE}"
LEVELS = ("1", "2", "3", "4", "5")
WORDS = {"1": "broken", "2": "dull", "3": "table", "4": "bright", "5": "great"}


@pytest.fixture(scope="module")
def example() -> Any:
    """The file as a module."""
    return sys.modules[type(task()).__module__]


def task(**options: Any) -> Task:
    return make_task(TaskConfig(name=str(FILE), **options))


def batch_of(gold: list[int]) -> Batch:
    blank = torch.zeros(len(gold), dtype=torch.long)
    return Batch(blank, blank, blank + 1, blank, torch.tensor(gold))


def test_each_level_has_a_loss_only_for_texts_that_reach_it() -> None:
    """Computes the loss of section 3.3 of the paper level by level."""
    gold = [0, 2, 4, 1, 4]
    outputs = torch.randn((5, 4), generator=torch.Generator().manual_seed(1))
    total, count = 0.0, 0
    for level in range(4):
        reaching = [i for i, own in enumerate(gold) if own >= level]
        goes_on = torch.tensor([float(gold[i] > level) for i in reaching])
        of_level = binary_cross_entropy_with_logits(outputs[reaching, level], goes_on, reduction="sum")
        total, count = total + float(of_level), count + len(reaching)
    found, terms = task().fitted(LEVELS).loss(outputs, batch_of(gold))
    assert float(found) == pytest.approx(total, rel=1e-5)
    assert int(terms) == count


def test_the_predicted_level_is_the_median_and_probabilities_sum_to_one() -> None:
    outputs = torch.tensor([3.0, 0.5, -0.2, 4.0])
    found = task().fitted(LEVELS).decode([outputs.numpy()], [], None)
    reaches = outputs.sigmoid().cumprod(0).tolist()
    assert found.label == LEVELS[sum(chance > 0.5 for chance in reaches)] == "3"
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probabilities["1"] == pytest.approx(1 - reaches[0])
    assert found.probabilities["4"] == pytest.approx(reaches[2] - reaches[3], abs=1e-6)
    assert min(found.probabilities.values()) >= 0


def scored(example: Any, gold: str, found: str) -> Scores:
    predictions = [example.LevelPrediction(level, {}) for level in found]
    examples = [example.Example("1", Origin("a", 1), ("x",), level) for level in gold]
    return task().fitted(LEVELS).score(predictions, examples)


@pytest.mark.parametrize(("gold", "levels"), [("1122345", "1232145"), ("112255", "122515")])
def test_an_error_by_two_levels_costs_four_times_an_error_by_one(
    example: Any, gold: str, levels: str
) -> None:
    """Levels that do not occur count in the distances."""
    found = scored(example, gold, levels)
    weights = np.square(np.subtract.outer(np.arange(5), np.arange(5)))
    observed = np.array(found.details["confusion_matrix"])
    expected = np.outer(observed.sum(1), observed.sum(0)) / observed.sum()
    assert found["qwk"] == pytest.approx(1 - (weights * observed).sum() / (weights * expected).sum())


def test_the_other_scores_are_computed_from_distances_in_levels(example: Any) -> None:
    found = scored(example, "1122345", "1232145")
    assert found["mae"] == pytest.approx(4 / 7)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["within_one"] == pytest.approx(6 / 7)


def test_kappa_is_undefined_for_a_single_level(example: Any) -> None:
    assert scored(example, "333", "333")["qwk"] is None


def labels_of(example: Any, *gold: str, **options: Any) -> tuple[str, ...]:
    made = task(**options)
    return made.fit([example.Example("1", Origin("a.csv", 2), ("x",), level) for level in gold]).labels


def test_numeric_levels_are_sorted_and_names_require_an_explicit_order(example: Any) -> None:
    assert labels_of(example, "10", "9", "-1", "2.5") == ("-1", "2.5", "9", "10")
    assert labels_of(example, "fair", "poor", levels="poor, fair,good") == ("poor", "fair", "good")
    with pytest.raises(
        DataError, match=r'a\.csv, line \d+: the level "fair" is not a number.*task\.levels=.*fair, poor'
    ):
        labels_of(example, "fair", "poor")
    with pytest.raises(DataError, match=r'a\.csv: all 2 rows have the level "3"'):
        labels_of(example, "3", "3")


@pytest.fixture(scope="module")
def folder(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 50 reviews of 1 to 5 stars and a run trained on them."""
    folder = tmp_path_factory.mktemp("ordinal")
    rows = [(f"it was {WORDS[level]} phone {i}", level) for i in range(10) for level in LEVELS]
    with (folder / "reviews.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "stars"), *rows])
    base = ("train", folder / "reviews.csv", f"model.name={tiny_weights}", *QUICK)
    bertune(*base, "data.validation_fraction=0.2", OWN, "--out", folder / "run").fine()
    return folder


def test_the_commands_in_its_docstring_work(folder: Path) -> None:
    run, file = folder / "run", folder / "reviews.csv"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["labels"] == list(LEVELS)
    assert any(note.startswith("levels: 1 (10) < 2 (10)") for note in manifest["notes"])
    evaluated = bertune("evaluate", run, file, OWN, "--json").fine().json["scores"]["reviews"]
    assert set(evaluated) == {"qwk", "mae", "accuracy", "within_one"}
    predicted = bertune("predict", run, "-", OWN, stdin="great phone\nbroken phone\n").fine().lines
    assert all(list(line["probabilities"]) == list(LEVELS) for line in predicted)
    assert all(line["label"] in LEVELS for line in predicted)
    assert "qwk" in (run / "report" / "index.html").read_text(encoding="utf-8").casefold()


def test_prediction_requires_the_file_and_unknown_levels_are_refused(folder: Path) -> None:
    refused = bertune("predict", folder / "run", folder / "reviews.csv")
    assert refused.code == 3 and "ordinal_task.py" in refused.err
    (folder / "new.csv").write_text("text,stars\ngreat,6\n")
    refused = bertune("evaluate", folder / "run", folder / "new.csv", OWN)
    assert refused.code == 3 and 'new.csv, line 2: the label "6" does not occur' in refused.err


def test_bertune_tasks_shows_a_custom_task() -> None:
    shown = bertune("tasks", FILE).fine().out
    for part in ("task.levels", "qwk selects the checkpoint", '"stars": 5'):
        assert part in shown


def test_a_task_file_in_the_package_is_available_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path
) -> None:
    (tmp_path / "ordinal.py").write_bytes(FILE.read_bytes())
    monkeypatch.setattr(bertune_tasks, "__path__", [*bertune_tasks.__path__, str(tmp_path)])
    assert "\nordinal " in bertune("tasks").fine().out
    lines = [json.dumps(row) for row in make_task(TaskConfig(name="ordinal")).sample]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines) + "\n")
    base = ("train", tmp_path / "reviews.jsonl", f"model.name={tiny_weights}", *QUICK)
    bertune(*base, "task.name=ordinal", "--out", tmp_path / "run").fine()
    assert bertune("predict", tmp_path / "run", "-", stdin="simply perfect\n").fine().lines[0]["label"]
    monkeypatch.delitem(sys.modules, "bertune.tasks.ordinal")
