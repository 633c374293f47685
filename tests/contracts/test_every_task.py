"""What every task must keep: its sample is read, learned, saved, and understood by plain transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bertune import api, registry
from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.infer import plain
from bertune.reporting import write_report
from bertune.run import Run
from bertune.tasks import Task, make_task
from bertune.text.tokenizer import Tokenizer

STEPS = 60  # within which every task knows its sample by heart

pytestmark = pytest.mark.parametrize("name", registry.names("task"), scope="module")


@pytest.fixture(scope="module")
def task(name: str) -> Task:
    return make_task(TaskConfig(name=name))


@pytest.fixture(scope="module")
def columns(task: Task) -> Columns:
    """Plainly named columns, as many as the sample has texts."""
    num_texts = len(task.sample[0].texts)
    return Columns(next(g for g in task.text_names if len(g) == num_texts), task.label_names[0], None)


@pytest.fixture(scope="module")
def rows(task: Task, columns: Columns) -> list[dict[str, Any]]:
    """The sample as a user's table has it."""
    assert columns.label is not None
    return [dict(zip(columns.text, e.texts, strict=True)) | {columns.label: e.gold} for e in task.sample]


@pytest.fixture(scope="module")
def encoder(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT, random, that knows the words of the sample."""
    from transformers import BertConfig, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = {word for e in task.sample for text in e.texts for word in text.replace(",", " ,").split()}
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *sorted(words)]) + "\n", encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    BertConfig(
        vocab_size=len(words) + 7,
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=40,
        initializer_range=0.1,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(
    name: str,
    rows: list[dict[str, Any]],
    encoder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A training on the sample, validated on the sample."""
    overrides = {
        "task.name": name,
        "model.name": str(encoder),
        "model.dropout": 0,
        "machine.device": "cpu",
        "machine.precision": "fp32",
        "train.epochs": STEPS,
        "train.batch_size": len(rows),
        "train.lr": 5e-3,
        "train.evaluate_every": STEPS // 3,
        "train.best_by": "loss",
    }
    tables = {"train": rows, "validation": rows}
    return api.train(tables, overrides=overrides, out=tmp_path_factory.mktemp("runs") / name)


@pytest.fixture(scope="module")
def predictions(run: Run, task: Task) -> list[Any]:
    return api.load(run).predict(_inputs(task))


def _inputs(task: Task) -> list[Any]:
    """The texts of the sample, as predict takes them."""
    return [e.texts[0] if len(e.texts) == 1 else e.texts for e in task.sample]


def test_a_task_says_what_it_can_be_scored_by(task: Task) -> None:
    assert task.primary in task.scores
    assert len(set(task.scores)) == len(task.scores)


def test_the_sample_is_read_from_rows_as_it_is(
    task: Task, rows: list[dict[str, Any]], columns: Columns
) -> None:
    for number, (row, example) in enumerate(zip(rows, task.sample, strict=True), 1):
        parsed = task.parse(Row(row, Origin("sample.csv", number)), columns)
        assert parsed.texts == example.texts
        assert parsed.gold == example.gold
        assert str(parsed.origin) == f"sample.csv, line {number}"


def test_without_a_label_column_a_row_has_no_gold(
    task: Task, rows: list[dict[str, Any]], columns: Columns
) -> None:
    parsed = task.parse(Row(rows[0], Origin("sample.csv", 1)), Columns(columns.text, None, None))
    assert parsed.gold is None
    assert parsed.texts == task.sample[0].texts


@pytest.mark.parametrize("max_length", [None, 5])
def test_every_example_has_sequences_of_its_own(task: Task, encoder: Path, max_length: int | None) -> None:
    labels = task.labels(task.sample)
    sequences = task.encode(task.sample, Tokenizer(encoder), max_length, labels)
    assert sorted({s.group for s in sequences}) == list(range(len(task.sample)))
    assert all(s.gold is not None for s in sequences)
    if max_length is not None:
        assert max(len(s) for s in sequences) == max_length


def test_confident_outputs_decode_to_the_gold_they_were_made_from(task: Task, encoder: Path) -> None:
    """Outputs under which the loss is least decode to predictions that score best."""
    from bertune.text.sequences import collate

    labels = task.labels(task.sample)
    sequences = task.encode(task.sample, Tokenizer(encoder), None, labels)
    batch = collate(sequences)
    # [sequences, …]; found by descent on the task's own loss, so nothing here knows the task.
    outputs = torch.zeros(len(sequences), task.head(labels).num_outputs, requires_grad=True)
    descent = torch.optim.Adam([outputs], lr=0.5)
    for _ in range(200):
        descent.zero_grad()
        loss, count = task.loss(outputs, batch)
        (loss / count).backward()
        descent.step()
    decoded = []
    for group, example in enumerate(task.sample):
        own = [i for i, s in enumerate(sequences) if s.group == group]
        decoded.append(task.decode(outputs.detach()[own], example, labels))
    best = task.score(decoded, task.sample, labels)
    assert best[task.primary] == pytest.approx(1.0, abs=0.01)


def test_all_scores_that_are_promised_are_given(task: Task, run: Run) -> None:
    assert set(task.scores) <= set(run.scores)


def test_a_task_learns_its_sample_by_heart(task: Task, run: Run) -> None:
    losses = [line["loss"] for line in run.metrics()]
    assert len(losses) == STEPS
    assert losses[-1] < 0.05 * losses[0]
    assert run.scores[task.primary] == pytest.approx(1.0, abs=0.01)


def test_the_loaded_model_predicts_what_the_trained_one_did(run: Run, predictions: list[Any]) -> None:
    stored = list(run.predictions("validation"))
    assert [plain(p) for p in predictions] == [
        {key: line[key] for key in plain(p)} for line, p in zip(stored, predictions, strict=True)
    ]


def test_a_model_folder_that_was_moved_predicts_the_same(
    run: Run, task: Task, predictions: list[Any], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(run.model_path, tmp_path / "elsewhere")
    assert api.load(tmp_path / "elsewhere").predict(_inputs(task)) == predictions


def test_the_order_and_company_of_texts_do_not_matter(run: Run, task: Task, predictions: list[Any]) -> None:
    model = api.load(run, overrides={"machine.tokens": 16})
    texts = _inputs(task)
    backwards = model.predict(texts[::-1])[::-1]
    alone = [model.predict([text])[0] for text in texts]
    for found in (backwards, alone):
        for one, other in zip(found, predictions, strict=True):
            _assert_close(plain(one), plain(other))


def test_plain_transformers_computes_the_same_from_the_saved_folder(
    run: Run, task: Task, predictions: list[Any]
) -> None:
    labels = tuple(run.manifest["labels"])
    auto = getattr(transformers, task.head(labels).auto_class)
    hf = auto.from_pretrained(run.model_path, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.model_path)
    for example, prediction in zip(task.sample, predictions, strict=True):
        with torch.no_grad():
            logits = hf(**tokenizer(*example.texts, return_tensors="pt")).logits
        _assert_close(plain(task.decode(logits, example, labels)), plain(prediction))


def test_the_saved_config_names_the_outputs(run: Run, task: Task) -> None:
    labels = run.manifest["labels"]
    config = transformers.AutoConfig.from_pretrained(run.model_path)
    assert config.num_labels == task.head(tuple(labels)).num_outputs
    if config.num_labels == len(labels):
        assert [config.id2label[i] for i in range(len(labels))] == labels
        assert {config.label2id[label] for label in labels} == set(range(len(labels)))
    assert type(config).__name__ == "BertConfig"
    assert config.architectures == [run.manifest["model"]["class"]]


def test_its_report_renders(run: Run) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert "<html" in page
    for label in run.manifest["labels"]:
        assert label in page
    assert all((run.path / "report" / name).stat().st_size for name in ("learning_curves.png",))


def test_predictions_are_plain_json(predictions: list[Any]) -> None:
    import json

    for prediction in predictions:
        assert json.loads(json.dumps(plain(prediction))) == plain(prediction)


def _assert_close(found: Any, expected: Any) -> None:
    """Equal, but for numbers, which may differ by rounding."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            _assert_close(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            _assert_close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-5)
    else:
        assert found == expected
