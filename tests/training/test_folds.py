"""The stages of training as values: folds that share the data, trained in parallel and one by one."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertune.data.tables import open_table
from bertune.errors import ConfigError, RunExistsError
from bertune.run import Run
from bertune.source import Source, resolve_source
from bertune.tasks.encoder import TextEncoder
from bertune.training import reading
from bertune.training.events import DataReady, Finished
from bertune.training.fit import fit, train_source
from bertune.training.preparing import Fitted, encode, fit_task, prepare, tokenize
from bertune.training.reading import Tables, read
from bertune.training.splitting import Splits, split
from trainings import assert_same_work, new_process


@pytest.fixture
def source(reviews_csv: Path, settings: Any) -> Source:
    return resolve_source(str(reviews_csv), settings(**{"train.epochs": 1}))


def fold(tables: Tables, number: int) -> Splits:
    """Holds out every other row for validation, starting at row `number`."""
    rows = range(len(tables.examples["train"]))
    held_out = rows[number::2]
    train = [row for row in rows if row not in held_out]
    return Splits(tables, {"train": ("train", train), "validation": ("train", held_out)})


def train_fold(pickled: bytes, number: int, out: Path) -> None:
    """Trains a fold in a process on tables that another process has read."""
    tables, fitted = pickle.loads(pickled)
    assert isinstance(tables, Tables) and isinstance(fitted, Fitted)
    for _ in fit(encode(fold(tables, number), fitted), out, name="fold"):
        pass


def test_folds_trained_in_parallel_equal_those_trained_in_turn(source: Source, tmp_path: Path) -> None:
    """In processes, because all dropout in a process uses one random generator."""
    tables = read(source)
    fitted = fit_task(tables)
    pickled = pickle.dumps((tables, fitted))
    processes = [
        new_process(target=train_fold, args=(pickled, number, tmp_path / f"beside-{number}"))
        for number in (0, 1)
    ]
    for process in processes:
        process.start()
    for number in (0, 1):
        train_fold(pickled, number, tmp_path / f"alone-{number}")
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for number in (0, 1):
        assert_same_work(Run(tmp_path / f"beside-{number}"), Run(tmp_path / f"alone-{number}"))
    first, second = (
        (tmp_path / f"alone-{number}" / "model" / "model.safetensors").read_bytes() for number in (0, 1)
    )
    assert first != second, "two folds learn from different rows"


def test_several_folds_share_reading_and_tokenization(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, encoded = [], []

    def opening(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return open_table(*arguments, **options)

    def encoding(self: TextEncoder, examples: list[Any]) -> Any:
        encoded.append(len(examples))
        return original(self, examples)

    original = TextEncoder.__call__
    monkeypatch.setattr(reading, "open_table", opening)
    monkeypatch.setattr(TextEncoder, "__call__", encoding)
    tables = read(source)
    fitted = fit_task(tables)
    tokenized = tokenize(tables, fitted)
    found = [encode(fold(tables, number), fitted, tokenized) for number in (0, 1)]
    assert (len(opened), encoded) == (1, [61])
    monkeypatch.undo()
    for number, one in enumerate(found):
        fresh = encode(fold(tables, number), fitted)
        assert one.audit == fresh.audit
        for name, part in fresh.splits.items():
            assert one.splits[name].examples == part.examples
            assert [(s.ids.tolist(), s.group, s.gold) for s in one.splits[name].sequences] == [
                (s.ids.tolist(), s.group, s.gold) for s in part.sequences
            ]
    assert found[0].splits["validation"].examples != found[1].splits["validation"].examples


def test_prepare_equals_its_stages(source: Source) -> None:
    tables = read(source)
    staged, whole = encode(split(tables), fit_task(tables)), prepare(source)
    assert (staged.audit, staged.notes, staged.warnings) == (whole.audit, whole.notes, whole.warnings)
    assert any("training rows, stratified by label" in note for note in staged.notes)
    held_out = len(staged.splits["validation"].examples)
    assert 0 < held_out < len(staged.splits["train"].examples) == 61 - held_out


def test_training_on_prepared_data_equals_training_on_the_source(source: Source, tmp_path: Path) -> None:
    events = list(train_source(source, tmp_path / "source"))
    (prepared,) = (event.prepared for event in events if isinstance(event, DataReady))
    *_, last = fit(prepared, tmp_path / "prepared", name=source.name, given=source.given)
    assert isinstance(last, Finished)
    assert_same_work(last.run, Run(tmp_path / "source"))
    for key in ("name", "source", "notes"):
        assert last.run.manifest[key] == Run(tmp_path / "source").manifest[key]


def test_prepared_data_do_not_overwrite_an_existing_run(source: Source, tmp_path: Path) -> None:
    prepared = prepare(source)
    *_, first = fit(prepared, tmp_path / "run")
    assert isinstance(first, Finished)
    assert first.run.manifest["name"] == "run"
    with pytest.raises(RunExistsError):
        list(fit(prepared, tmp_path / "run"))
    (again,) = fit(prepared, tmp_path / "run", resume=True)
    assert isinstance(again, Finished)


def test_errors_are_raised_before_anything_is_written(source: Source, tmp_path: Path) -> None:
    prepared = prepare(source)
    wrong = prepared.config.train.model_copy(update={"best_metric": "bleu"})
    unknown = replace(prepared, config=prepared.config.model_copy(update={"train": wrong}))
    with pytest.raises(ConfigError, match=r"train\.best_metric=bleu: this task has no such metric"):
        list(fit(unknown, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []
