"""Very many labels, entity types, choices and documents through the real command: files, time and memory grow
with the rows, not with their product."""

import csv
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bertune.predict import predictor
from small_texts import PLAIN
from tiny import QUICK, bertune

pytestmark = pytest.mark.slow  # 1,500 labels
MANY = 1_500  # labels
MEGABYTE = 2**20


def words(draw: random.Random, count: int) -> list[str]:
    return draw.choices(PLAIN, k=count)


def jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def trained(source: Path, out: Path, model: Path, *settings: str) -> tuple[Path, str]:
    """Trains for one epoch; returns the run and the output on standard error."""
    options = (*QUICK, "machine.precision=fp32", f"model.name={model}", *settings)
    found = bertune("train", source, *options, "--out", out).fine()
    return out, found.err


def manifest_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    return found


def size(path: Path) -> int:
    return path.stat().st_size


def page_of(run: Path) -> str:
    """The report page of a run."""
    return (run / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 rows of 1,500 labels, two each."""
    draw = random.Random(1)
    lines = [f"{' '.join(words(draw, 5))},label{i % MANY:04}" for i in range(2 * MANY)]
    path = tmp_path_factory.mktemp("labels") / "labelled.csv"
    path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def many(labelled: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model trained on the many labels, and the output of its training."""
    return trained(labelled, tmp_path_factory.mktemp("runs") / "many", tiny_folder)


def test_files_of_many_labels_stay_small(many: tuple[Path, str]) -> None:
    run, _ = many
    assert size(run / "manifest.json") < MEGABYTE
    assert size(run / "predictions" / "validation.jsonl") < 1_000 * MANY
    assert size(run / "report" / "index.html") < MEGABYTE
    lines = (run / "predictions" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    assert {len(json.loads(line)["probabilities"]) for line in lines} == {10}


def test_scores_of_many_labels_are_recorded(many: tuple[Path, str]) -> None:
    manifest = manifest_of(many[0])
    scores, details = manifest["scores"]["validation"], manifest["details"]["validation"]
    assert scores.pop("roc_auc") is None  # not computed for more than 1,000 labels
    assert all(isinstance(value, float) for value in scores.values())
    assert len(details["per_class"]) == MANY
    assert "confusion_matrix" not in details
    assert details["confusions"]["most_labels"] == 200
    assert set(details["confusions"]["rows"][0]) == {"gold", "predicted", "count", "support"}


def test_a_split_larger_than_requested_is_reported_everywhere(
    labelled: Path, many: tuple[Path, str], tiny_folder: Path
) -> None:
    warning = (
        "data.validation_fraction=0.1 requests 300 of 3,000 rows, but each of the 1,500 labels needs at "
        "least one validation row: the validation split has 1,500 rows (50.0%). Set data.validation to a "
        "file, or merge rare labels"
    )
    run, printed = many
    assert warning in " ".join(printed.split())
    assert warning in manifest_of(run)["warnings"]
    checked = bertune("check", labelled, f"model.name={tiny_folder}").fine()
    assert warning in " ".join((checked.out + checked.err).split())
    assert "each of the 1,500 labels needs at least one validation row" in page_of(run)


def test_the_page_of_many_labels_says_what_it_omits(many: tuple[Path, str]) -> None:
    bertune("report", many[0]).fine()
    page = page_of(many[0])
    assert "Most frequent confusions" in page
    assert "A confusion matrix is stored for up to 200 labels; this task has 1,500." in page
    assert "Showing the 200 of 1,500 labels with the lowest F1." in page
    assert "Showing the 200 of 1,500 labels with the most rows." in page
    assert "Showing the first 1,000 of 1,500 labels." in page.replace("\n   ", "")


def test_the_number_of_predicted_probabilities_can_be_changed(many: tuple[Path, str], tmp_path: Path) -> None:
    run, _ = many
    (line,) = bertune("predict", run, "-", "task.top_k=3", stdin="the phone\n").fine().lines
    chances = line["probabilities"]
    assert list(chances.values()) == sorted(chances.values(), reverse=True)
    assert (len(chances), next(iter(chances))) == (3, line["label"])
    (whole,) = bertune("predict", run, "-", f"task.top_k={MANY}", stdin="the phone\n").fine().lines
    assert sum(whole["probabilities"].values()) == pytest.approx(1)
    assert {label: whole["probabilities"][label] for label in chances} == chances
    cells = bertune("predict", run, "-", "--csv", stdin="the phone\nmy lamp\n").fine().out.splitlines()
    rows = list(csv.DictReader(cells))
    assert list(rows[0]) == ["text", "label", "probabilities"]
    assert [len(json.loads(row["probabilities"])) for row in rows] == [10, 10]
    (tmp_path / "two.csv").write_text("text\nthe phone\nmy lamp\n")
    bertune("predict", run, tmp_path / "two.csv", "--out", tmp_path / "two.parquet").fine()
    parquet = pytest.importorskip("pyarrow.parquet")
    (first, _) = parquet.read_table(tmp_path / "two.parquet").to_pylist()
    assert [len(first), len(first["probabilities"])] == [3, 10]
    assert first["probabilities"][0][0] == first["label"]


def test_evaluation_does_not_depend_on_the_number_of_probabilities_shown(
    many: tuple[Path, str], labelled: Path, tmp_path: Path
) -> None:
    run, _ = many
    scores = []
    for number in ("1", "auto"):
        found = bertune(
            "evaluate", run, labelled, f"task.top_k={number}", "--json", "--out", tmp_path / f"{number}.jsonl"
        ).fine()
        scores.append(found.json["scores"])
        assert len(found.out) < MEGABYTE
    assert scores[0] == scores[1]
    assert size(tmp_path / "1.jsonl") < size(tmp_path / "auto.jsonl") < 3 * MEGABYTE
    shown = bertune("evaluate", run, labelled).fine().out
    assert "the 200 of 1,500 labels with the lowest F1" in shown


def test_multilabel_with_many_labels(tiny_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = ({"text": " ".join(words(draw, 5)), "labels": [f"l{i % 600}", "any"]} for i in range(1_200))
    source = jsonl(tmp_path / "some.jsonl", rows)
    settings = ("task.name=multilabel", "train.lr=0.05")
    run, _ = trained(source, tmp_path / "run", tiny_folder, *settings)
    assert size(run / "manifest.json") < MEGABYTE / 2
    assert size(run / "predictions" / "validation.jsonl") < 120 * 1_000
    scores = manifest_of(run)["scores"]["validation"]
    assert scores["micro_recall"] > 0, "the label that every text has is found"
    assert all(isinstance(value, float) for value in scores.values())


def test_many_entity_types(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(3)
    rows = (
        {"tokens": words(draw, 6), "tags": ["O", f"B-T{i % 300}", f"I-T{i % 300}", "O", f"B-T{i % 299}", "O"]}
        for i in range(600)
    )
    source = jsonl(tmp_path / "types.jsonl", rows)
    run, _ = trained(source, tmp_path / "run", tiny_folder, "task.name=token_classification")
    assert size(run / "manifest.json") < MEGABYTE / 2
    assert size(run / "predictions" / "validation.jsonl") < 60 * 1_000
    details = manifest_of(run)["details"]["validation"]
    assert "confusion_matrix" not in details
    assert details["counted"] == "word"
    assert len(page_of(run)) < MEGABYTE
    whole = bertune("evaluate", run, source, "--json").fine().json
    monkeypatch.setattr(predictor, "_MOST_OUTPUTS", 601 * 800)
    portions = list[int]()
    found = predictor.Predictor._portions

    def counted(*arguments: Any) -> Iterator[Any]:
        for own, part in found(*arguments):
            portions.append(601 * sum(map(len, part)))
            yield own, part

    monkeypatch.setattr(predictor.Predictor, "_portions", counted)
    assert bertune("evaluate", run, source, "--json").fine().json["scores"] == whole["scores"]
    assert max(portions) <= 601 * 800, "outputs held at once"


def test_many_choices_of_one_question(tiny_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(4)
    choices = [f"{' '.join(words(draw, 2))} {i}" for i in range(400)]
    rows = ({"question": "which one", "choices": choices, "label": 9 * i} for i in range(4))
    source = jsonl(tmp_path / "choices.jsonl", rows)
    settings = (
        "task.name=multiple_choice",
        "data.validation_fraction=0.5",
        "machine.micro_batch_tokens=1024",
    )
    run, _ = trained(source, tmp_path / "run", tiny_folder, *settings)
    assert size(run / "manifest.json") < MEGABYTE / 10
    page = page_of(run)
    assert len(page) < MEGABYTE / 2
    assert "choices not shown" in page


def test_many_documents_of_one_query(tiny_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(5)
    rows = [
        {
            "query": f"query {q}",
            "document": f"{' '.join(words(draw, 3))} {i}",
            "grade": i / 1_000 if i % 9 else 0,
        }
        for q in range(2)
        for i in range(1_000)
    ]
    source = jsonl(tmp_path / "documents.jsonl", rows)
    settings = (
        "task.name=ranking",
        "task.loss=listwise",
        "data.validation_fraction=0.5",
        "machine.micro_batch_tokens=1024",
    )
    run, _ = trained(source, tmp_path / "run", tiny_folder, *settings)
    assert size(run / "predictions" / "validation.run") < 1_000 * 100
    assert size(run / "manifest.json") < MEGABYTE / 2
    assert len(page_of(run)) < MEGABYTE / 2
