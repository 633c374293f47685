"""Conformance tests of every task: its sample is parsed, trained on, saved, and read by transformers.

They also apply to the custom tasks in examples/ and in the files that BERTUNE_TASKS lists.
"""

import json
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from by_transformers import BOTH, assert_close

from bertune import api, registry
from bertune.config import DataConfig, ModelConfig, TaskConfig
from bertune.data.columns import Columns, choose_columns
from bertune.data.memory import table_from_memory
from bertune.data.rows import Origin, Row
from bertune.metadata import read_metadata
from bertune.nn.batch import collate
from bertune.nn.model import StandardModel
from bertune.nn.pretrained import Pretrained
from bertune.predict.model import Model
from bertune.predict.predictor import plain
from bertune.reporting.write import write_report
from bertune.run import Run
from bertune.saved_model import new_model
from bertune.tasks import FittedTask, Task, make_task
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer
from trainings import train

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = [str(EXAMPLES / name) for name in ("my_task.py", "ordinal_task.py")]
OWN += filter(None, os.environ.get("BERTUNE_TASKS", "").split(os.pathsep))  # paths of other custom tasks
STEPS = 60  # enough for every task to overfit its sample

pytestmark = pytest.mark.parametrize(
    "name", [*registry.names("task"), *OWN], ids=lambda name: Path(name).stem, scope="module"
)


@pytest.fixture(scope="module")
def task(name: str) -> Task:
    return make_task(TaskConfig(name=name))


@pytest.fixture(scope="module")
def rows(task: Task) -> list[dict[str, Any]]:
    """The sample as the rows of a table."""
    return [dict(row) for row in task.sample]


@pytest.fixture(scope="module")
def columns(task: Task, rows: list[dict[str, Any]]) -> Columns:
    """Recognised by their usual names."""
    table = table_from_memory(rows)
    return choose_columns(table, DataConfig(), task.columns, task.needs_label)[0]


@pytest.fixture(scope="module")
def examples(task: Task, rows: list[dict[str, Any]], columns: Columns) -> list[Any]:
    return [task.parse(Row(row, Origin("sample.jsonl", n)), columns) for n, row in enumerate(rows, 1)]


@pytest.fixture(scope="module")
def fitted(task: Task, examples: list[Any], encoder: Path) -> FittedTask:
    return task.fit(examples).bound(Tokenizer.pretrained(encoder))


@pytest.fixture(scope="module")
def encoder(examples: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT whose vocabulary contains the words of the sample."""
    from transformers import BertConfig, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = {word for e in examples for text in e.texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *sorted(words)]) + "\n", encoding="utf-8")
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    BertConfig(
        vocab_size=len(words) + 7,
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=60,
        initializer_range=0.1,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(
    name: str,
    rows: list[dict[str, Any]],
    examples: list[Any],
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
        "train.baselines": False,
        "train.explain": False,
    }
    tables = {"train": rows, "validation": rows}
    return train(tables, tmp_path_factory.mktemp("runs") / "run", overrides)[0]


@pytest.fixture(scope="module")
def inputs(rows: list[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """The rows of the sample without labels."""
    return [{key: value for key, value in row.items() if key in columns.text} for row in rows]


@pytest.fixture(scope="module")
def model(name: str, run: Run) -> Model:
    return api.load(run, settings={"task.name": name})


@pytest.fixture(scope="module")
def predictions(model: Model, inputs: list[dict[str, Any]]) -> list[Any]:
    return api.predict(model, inputs)


def test_the_primary_metric_is_one_of_the_scores(task: Task) -> None:
    assert task.primary in task.scores
    assert len(set(task.scores)) == len(task.scores)


def test_the_sample_is_parsed_with_the_location_of_each_row(examples: list[Any]) -> None:
    for number, example in enumerate(examples, 1):
        assert example.texts and all(isinstance(text, str) and text for text in example.texts)
        assert str(example.origin) == f"sample.jsonl, line {number}"


def test_a_row_without_gold_can_be_parsed(
    task: Task, examples: list[Any], inputs: list[dict[str, Any]], columns: Columns
) -> None:
    bare = Columns(columns.text, None, None)
    for row, example in zip(inputs, examples, strict=True):
        parsed = task.parse(Row(row, Origin("sample.jsonl", 1)), bare)
        assert parsed.texts == example.texts
        assert parsed.gold is None or parsed.gold == example.gold
        assert not task.is_blank(Row(row, Origin("sample.jsonl", 1)), bare)


def test_the_task_of_a_saved_model_is_restored(name: str, fitted: FittedTask) -> None:
    options = fitted.options.model_dump(mode="json", exclude_unset=True)
    again = make_task(TaskConfig(name=name, **options)).fitted(fitted.labels)
    assert (again.labels, again.options, again.head) == (fitted.labels, fitted.options, fitted.head)


def test_a_fitted_task_is_immutable(
    task: Task, fitted: FittedTask, examples: list[Any], rows: list[dict[str, Any]], columns: Columns
) -> None:
    before = pickle.dumps(fitted)
    for example in examples:
        task.parse(Row(dict(rows[0]), Origin("other.jsonl", 1)), columns)
        fitted.label_names(example)
    fitted.for_scoring(examples)
    assert pickle.dumps(fitted) == before


@pytest.mark.parametrize("max_length", [None, 12])
def test_every_example_has_its_own_sequences(
    fitted: FittedTask, examples: list[Any], encoder: Path, max_length: int | None
) -> None:
    sequences = fitted.encode(examples, Tokenizer.pretrained(encoder), max_length)
    assert sorted({s.group for s in sequences}) == list(range(len(examples)))
    if max_length is not None:
        assert max(len(s) for s in sequences) <= max_length


def test_outputs_that_minimize_the_loss_decode_to_the_gold(
    fitted: FittedTask, examples: list[Any], encoder: Path
) -> None:
    sequences = fitted.encode(examples, Tokenizer.pretrained(encoder), None)
    batch = collate(sequences)
    pretrained = Pretrained(str(encoder), encoder, "random")
    with torch.no_grad():
        outputs = new_model(pretrained, ModelConfig(dropout=0), fitted).eval()(batch)
    # Found by gradient descent on the loss of the task, so that this test is independent of the task.
    outputs.requires_grad_()
    descent = torch.optim.Adam([outputs], lr=0.3)
    for _ in range(300):
        descent.zero_grad()
        loss, count = fitted.loss(outputs, batch)
        (loss / count).backward()
        descent.step()
    found = _decoded(fitted, outputs.detach(), sequences, examples)
    best = fitted.score(found, examples)
    assert best[fitted.task.primary] == pytest.approx(1.0, abs=0.01)


def _decoded(
    fitted: FittedTask, outputs: torch.Tensor, sequences: list[Sequence], examples: list[Any]
) -> list[Any]:
    batch = collate(sequences)
    reduced = fitted.reduce_outputs(outputs, batch)
    per_token = fitted.head.per_token
    pieces = [
        piece.numpy()
        for piece in (torch.split(reduced, [len(s) for s in sequences]) if per_token else reduced)
    ]
    decoded = []
    for group, example in enumerate(examples):
        own = [i for i, s in enumerate(sequences) if s.group == group]
        decoded.append(fitted.decode([pieces[i] for i in own], [sequences[i] for i in own], example))
    return decoded


def test_all_declared_scores_are_computed(task: Task, run: Run) -> None:
    assert set(task.scores) <= set(run.scores)


def test_a_task_overfits_its_sample(task: Task, fitted: FittedTask, run: Run) -> None:
    losses = [line["loss"] for line in run.metrics()]
    assert len(losses) == STEPS
    # Tasks that resample at every step cannot overfit completely.
    assert losses[-1] < (0.5 if fitted.is_resampled else 0.1) * losses[0]
    assert run.scores[task.primary] == pytest.approx(1.0, abs=0.01)


def test_the_loaded_model_predicts_the_same_as_the_trained_one(
    run: Run, fitted: FittedTask, predictions: list[Any]
) -> None:
    stored = list(run.predictions("validation"))
    for line, prediction in zip(stored, predictions, strict=True):
        found, expected = plain(prediction), {key: line[key] for key in plain(prediction)}
        if fitted.output_scale is None:
            assert found == expected
        else:
            assert_close(found, expected)  # the saved layer contains the scale, rounded to fp32


def test_a_moved_model_folder_predicts_the_same(
    name: str, run: Run, inputs: list[dict[str, Any]], predictions: list[Any], tmp_path: Path
) -> None:
    shutil.copytree(run.model_path, tmp_path / "elsewhere")
    found = api.predict(tmp_path / "elsewhere", inputs, settings={"task.name": name})
    assert [plain(p) for p in found] == [plain(p) for p in predictions]


def test_predictions_do_not_depend_on_order_or_other_rows(
    name: str, run: Run, inputs: list[dict[str, Any]], predictions: list[Any]
) -> None:
    model = api.load(run, settings={"machine.micro_batch_tokens": 16, "task.name": name})
    backwards = api.predict(model, inputs[::-1])[::-1]
    alone = [api.predict(model, [row])[0] for row in inputs]
    for found in (backwards, alone):
        for one, other in zip(found, predictions, strict=True):
            assert_close(plain(one), plain(other))


def test_transformers_computes_the_same_from_the_saved_folder(
    run: Run, fitted: FittedTask, examples: list[Any], predictions: list[Any]
) -> None:
    auto = getattr(transformers, fitted.head.auto_class)
    hf = auto.from_pretrained(run.model_path, dtype=torch.float32).eval()
    metadata, network = read_metadata(run.model_path), StandardModel(hf).eval()
    if metadata.output_scale is not None:
        network.remove_scale(metadata.output_scale)  # `decode` puts it back
    sequences = fitted.encode(examples, Tokenizer.pretrained(run.model_path), metadata.max_length)
    with torch.no_grad():
        outputs = network.padded_forward(collate(sequences))
    expected = _decoded(fitted, outputs, sequences, examples)
    for found, prediction in zip(predictions, expected, strict=True):
        assert_close(plain(found), plain(prediction))


def test_other_libraries_predict_the_same_from_the_saved_folder(
    name: str, run: Run, model: Model, inputs: list[dict[str, Any]]
) -> None:
    pytest.importorskip("sentence_transformers")
    if name not in registry.names("task"):
        pytest.skip("what a user's own task predicts is known to that task alone")
    theirs, ours = BOTH[name](run.model_path, model, inputs)
    assert_close(theirs, ours)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.model_path)
    assert tokenizer.model_max_length == model.max_length == 60
    assert tokenizer.padding_side == tokenizer.truncation_side == "right"


def test_the_saved_config_names_the_outputs(run: Run, fitted: FittedTask) -> None:
    labels = run.manifest["labels"]
    config = transformers.AutoConfig.from_pretrained(run.model_path)
    head = fitted.head
    assert config.num_labels == head.num_outputs
    if head.is_named and config.num_labels == len(labels):
        assert [config.id2label[i] for i in range(len(labels))] == labels
        assert {config.label2id[label] for label in labels} == set(range(len(labels)))
    assert type(config).__name__ == "BertConfig"
    assert config.architectures == [run.manifest["model"]["class"]]


def test_the_report_renders(run: Run) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert "<html" in page
    for label in run.manifest["labels"]:
        assert label in page
    assert all((run.path / "report" / name).stat().st_size for name in ("learning_curves.png",))


def test_predictions_are_plain_json(predictions: list[Any]) -> None:
    for prediction in predictions:
        assert json.loads(json.dumps(plain(prediction))) == plain(prediction)
