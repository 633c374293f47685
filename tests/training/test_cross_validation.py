"""Cross-validation: folds, out-of-fold predictions, resuming, and several processes on one folder."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import bertune as bt
from bertune.cross_validation import CrossValidation, open_cross_validation
from bertune.errors import ConfigError, DamagedError, DataError, RunExistsError
from bertune.run import Run
from bertune.source import Source, resolve_source
from bertune.training.cross_validating import CrossValidated, FoldFinished, cross_validate
from bertune.training.events import Stepped
from bertune.training.folds import Folds, make_folds
from bertune.training.outputs import load_outputs, save_outputs
from bertune.training.reading import read
from small_texts import labelled_texts, write_csv
from trainings import new_process

Make = Callable[..., dict[str, Any]]
FEW = {"cross_validate.folds": 3, "train.epochs": 1, "train.batch_size": 16}


@pytest.fixture(scope="session")
def users_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty labelled texts of 15 users, with a day and a fold. Read only."""
    rows = [
        (text, label, f"u{i * 7 % 15}", 20250101 + i // 3, 1 + i * 7 % 15 % 4)
        for i, (text, label) in enumerate(labelled_texts(60))
    ]
    path = tmp_path_factory.mktemp("data") / "users.csv"
    return write_csv(path, ("text", "label", "user", "day", "fold"), rows)


@pytest.fixture
def source(users_csv: Path, settings: Make) -> Source:
    return resolve_source(str(users_csv), settings(**FEW, **{"data.group": "user"}))


def folds_of(path: Path, settings: Make, **changes: Any) -> Folds:
    return make_folds(read(resolve_source(str(path), settings(**{**FEW, **changes}))))


def users_of(folds: Folds, rows: list[int]) -> set[str | None]:
    return {folds.tables.keys["train"].groups[row] for row in rows}


def finished(source: Source, out: Path, resume: bool = False) -> CrossValidation:
    *_, last = cross_validate(source, out, resume)
    assert isinstance(last, CrossValidated)
    return last.result


def test_no_group_is_in_two_splits_of_a_fold(users_csv: Path, settings: Make) -> None:
    folds = folds_of(users_csv, settings, **{"data.group": "user", "cross_validate.repeats": 2})
    assert folds.of_row[0] != folds.of_row[1]
    for number in folds.numbers():
        rows = {name: list(chosen) for name, (_, chosen) in folds.splits(*number).rows.items()}
        users = [users_of(folds, chosen) for chosen in rows.values()]
        assert sum(map(len, users)) == 15
        assert sorted(row for chosen in rows.values() for row in chosen) == list(range(60))
    for repeat in (1, 2):
        held_out = [row for fold in (1, 2, 3) for row in folds.held_out(repeat, fold)]
        assert sorted(held_out) == list(range(60))


def test_folds_are_stratified_by_label(users_csv: Path, settings: Make) -> None:
    folds = folds_of(users_csv, settings)
    examples = folds.tables.examples["train"]
    shares = [
        np.mean([examples[row].gold == examples[0].gold for row in folds.held_out(1, fold)])
        for fold in (1, 2, 3)
    ]
    assert max(shares) - min(shares) <= 0.06


def test_folds_by_time_are_predicted_from_the_past_only(users_csv: Path, settings: Make) -> None:
    folds = folds_of(users_csv, settings, **{"data.time": "day"})
    times = folds.tables.keys["train"].times
    for fold in (1, 2, 3):
        rows = folds.splits(1, fold).rows
        latest = [max(times[row] for row in rows[name][1]) for name in ("train", "validation")]
        assert latest[0] < latest[1] < min(times[row] for row in rows["test"][1])
    assert folds.of_row[0].count(None) == 15
    with pytest.raises(ConfigError, match=r"repeats=2: data\.time=day determines the folds"):
        folds_of(users_csv, settings, **{"data.time": "day", "cross_validate.repeats": 2})


def test_a_column_of_fold_numbers_determines_the_folds(users_csv: Path, settings: Make) -> None:
    changes = {"data.split_column": "fold", "cross_validate.folds": 4}
    folds = folds_of(users_csv, settings, **changes, **{"data.group": "user"})
    assert folds.num_folds == 4
    assert list(folds.of_row[0]) == [1 + i * 7 % 15 % 4 for i in range(60)]
    with pytest.raises(ConfigError, match=r"folds=5, but data\.split_column=fold .* has 4 folds"):
        folds_of(users_csv, settings, **{**changes, "cross_validate.folds": 5})


def test_a_group_in_two_folds_of_the_column_is_refused(tmp_path: Path, settings: Make) -> None:
    rows = [(text, label, f"u{i // 2}", i % 2) for i, (text, label) in enumerate(labelled_texts(20))]
    path = write_csv(tmp_path / "r.csv", ("text", "label", "user", "fold"), rows)
    with pytest.raises(DataError, match=r"r\.csv, line 3: .* fold 1, but .*r\.csv, line 2 of the same group"):
        make_folds(
            read(resolve_source(str(path), settings(**{"data.group": "user", "data.split_column": "fold"})))
        )


def test_every_row_is_predicted_by_a_model_that_did_not_see_it(source: Source, tmp_path: Path) -> None:
    result = finished(source, tmp_path / "cv")
    lines = list(result.predictions())
    assert [int(line["source"].rsplit(" ", 1)[1]) for line in lines] == list(range(2, 62))
    folds = defaultdict(set)
    for line, user in zip(lines, make_folds(read(source)).tables.keys["train"].groups, strict=True):
        folds[user].add(line["fold"])
    assert {len(found) for found in folds.values()} == {1}
    for fold, run in enumerate(result.runs, start=1):
        assert list(run.predictions("test")) == [
            {key: value for key, value in line.items() if key not in ("fold", "repeat")}
            for line in lines
            if line["fold"] == fold
        ]
        assert bt.load(run).predict([lines[0]["text"][0]])
    accuracy = result.record.scores["accuracy"]  # type: ignore[index]
    expected = accuracy_score([line["gold"] for line in lines], [line["label"] for line in lines])
    assert accuracy.pooled == pytest.approx(expected)
    values = [run.scores["accuracy"] for run in result.runs]
    assert accuracy.mean == pytest.approx(np.mean(values))
    assert accuracy.deviation == pytest.approx(np.std(values, ddof=1))
    page = bt.report(result.path).read_text(encoding="utf-8")
    assert "folds/fold-2" in page
    assert f"{accuracy.pooled:.3f}" in page


def test_a_stopped_cross_validation_continues_to_the_same_result(source: Source, tmp_path: Path) -> None:
    whole = finished(source, tmp_path / "whole")
    events = cross_validate(source, tmp_path / "cv")
    next(event for event in events if isinstance(event, FoldFinished) and event.number == 1)
    next(event for event in events if isinstance(event, Stepped))
    events.close()  # type: ignore[attr-defined]
    with pytest.raises(RunExistsError, match="--resume"):
        finished(source, tmp_path / "cv")
    other = source.config.model_copy(update={"train": source.config.train.model_copy(update={"lr": 1.0})})
    with pytest.raises(ConfigError, match=r"train\.lr was 0\.001 and is now 1\.0"):
        finished(replace(source, config=other), tmp_path / "cv", resume=True)
    continued = list(cross_validate(source, tmp_path / "cv", resume=True))
    assert [e.was_trained for e in continued if isinstance(e, FoldFinished)] == [False, True, True]
    found = CrossValidation(tmp_path / "cv")
    assert list(found.predictions()) == list(whole.predictions())
    assert found.record.scores == whole.record.scores


def share(settings: dict[str, Any], path: Path, out: Path, report: Path) -> None:
    """Works on a cross-validation in a process, and reports the folds that it trained."""
    events = cross_validate(resolve_source(str(path), settings), out, resume=True)
    trained = [e.run.path.name for e in events if isinstance(e, FoldFinished) and e.was_trained]
    report.write_text(json.dumps(trained), encoding="utf-8")


def test_processes_on_one_folder_share_the_folds(users_csv: Path, settings: Make, tmp_path: Path) -> None:
    chosen = settings(**{**FEW, "data.group": "user", "machine.threads": 1, "cross_validate.folds": 4})
    reports = [tmp_path / f"{number}.json" for number in (1, 2)]
    processes = [
        new_process(target=share, args=(chosen, users_csv, tmp_path / "cv", report)) for report in reports
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    trained = [json.loads(report.read_text(encoding="utf-8")) for report in reports]
    assert sorted(trained[0] + trained[1]) == ["fold-1", "fold-2", "fold-3", "fold-4"]
    assert len(list(CrossValidation(tmp_path / "cv").predictions())) == 60
    assert not list((tmp_path / "cv").glob(".*")), "locks and temporary files are removed"


def test_a_changed_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cross-validation.json").write_text('{"format": 1, "checksum": "0"}', encoding="utf-8")
    with pytest.raises(DamagedError, match="does not match its checksum"):
        open_cross_validation(tmp_path)


@pytest.mark.parametrize("shape", [(3,), (5, 2)])
def test_outputs_are_restored_bit_for_bit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(0)
    outputs = [[draw.random(shape, np.float32) for _ in range(count)] for count in (1, 3, 2)]
    save_outputs(tmp_path / "outputs.npz", outputs)
    found = load_outputs(tmp_path / "outputs.npz")
    assert [[o.tolist() for o in one] for one in found] == [[o.tolist() for o in one] for one in outputs]


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_outputs_are_refused_with_what_to_do(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "outputs.npz"
    save_outputs(path, [[np.ones(3, np.float32)] * 5])
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(
        DamagedError, match=r"outputs\.npz is damaged \(.*\)\. Remove the folder of this fold"
    ):
        load_outputs(path)


@pytest.mark.parametrize("flipped", range(0, 300, 10))
def test_changed_resamples_are_read_or_refused(tmp_path: Path, flipped: int) -> None:
    path = tmp_path / "predictions" / "test.resamples.npz"
    path.parent.mkdir()
    np.savez_compressed(path, accuracy=np.linspace(0, 1, 50))
    content = bytearray(path.read_bytes())
    content[flipped % len(content)] ^= 1
    path.write_bytes(content)
    with contextlib.suppress(DamagedError):
        Run(tmp_path).resamples("test")


def test_resamples_that_were_not_stored_are_none(tmp_path: Path) -> None:
    assert Run(tmp_path).resamples("test") is None


def test_each_fold_is_predicted_with_its_own_temperature_and_rule(
    users_csv: Path, settings: Make, tmp_path: Path
) -> None:
    """The out-of-fold predictions are those of the runs of the folds, and one sentence is about all rules."""
    changes = {**FEW, "cross_validate.folds": 2, "data.validation_fraction": 0.4, "decide.abstain_below": 0.6}
    result = finished(resolve_source(str(users_csv), settings(**changes)), tmp_path / "cv")
    for number, run in enumerate(result.runs, start=1):
        own = {line["id"]: line for line in run.predictions("test")}
        together = {line["id"]: line for line in result.predictions() if line["fold"] == number}
        assert len(together) == 30
        for name, line in together.items():
            assert (line["label"], line["decision"]) == (own[name]["label"], own[name]["decision"])
            assert line["probabilities"] == pytest.approx(own[name]["probabilities"], abs=1e-6)
    share = np.mean([line["decision"] == "answer" for line in result.predictions()])
    assert f"{100 * share:.3g}% of 60 texts were answered without review" in (result.record.decision or "")
    assert not [text for text in result.record.warnings or [] if "without review" in text]
