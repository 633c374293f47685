"""Searches with tiny trainings: what they compare, what they write, and what they refuse."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bertune as bt
from bertune.errors import ConfigError, DataError, RunExistsError
from bertune.run import Run
from bertune.search.events import SearchEvent, SearchReady, TrialFinished, TrialStarted, Tuned
from bertune.search.searching import search
from bertune.source import Source, resolve_source
from bertune.tuning import Tuning, open_tuning

Make = Callable[..., dict[str, Any]]
SPACE = {"tune.space.train.lr": "1e-4..1e-2", "tune.space.train.batch_size": "8,16"}


def events_of(source: Source, out: Path, resume: bool = False) -> tuple[Tuning, list[SearchEvent]]:
    events = list(search(source, out, resume))
    assert isinstance(events[-1], Tuned)
    return events[-1].result, events


@dataclass(frozen=True)
class Searched:
    """A search for three trials, on the validation split, with a test split. Read only."""

    source: Source
    result: Tuning
    events: list[SearchEvent]


@pytest.fixture(scope="module")
def searched(reviews_csv: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    training = {"train.epochs": 1, "train.lr": 1e-3, "train.batch_size": 8, "train.baselines": False}
    machine = {"machine.precision": "fp32", "machine.device": "cpu", "model.name": str(tiny_weights)}
    rows = {"data.test_fraction": 0.3, "data.validation_fraction": 0.3}
    given = {**training, **machine, **rows, **SPACE, "tune.trials": 3, "tune.storage": "journal"}
    source = resolve_source(str(reviews_csv), given)
    return Searched(source, *events_of(source, tmp_path_factory.mktemp("search") / "reviews-tune"))


def test_the_best_settings_are_an_ordinary_run(searched: Searched) -> None:
    record, best = searched.result.record, searched.result.best
    values = [trial.value for trial in record.trials or [] if trial.value is not None]
    assert record.winner is not None
    assert record.winner.value == max(values)
    assert best.config.train.lr == searched.result.params["train.lr"]
    assert best.manifest["status"] == "complete"
    # The winner is trained on the same rows with the same seed, so its validation score is that of the trial.
    assert best.manifest["scores"]["validation"]["mcc"] == pytest.approx(record.winner.value, abs=1e-6)
    assert bt.load(best).predict(["a fine phone"])[0].label
    assert best.scores["mcc"] == record.winner.test


def test_the_search_never_sees_the_test_rows(searched: Searched) -> None:
    best = searched.result.best.manifest["data"]["splits"]
    assert best["test"]["rows"] == 18
    for trial in searched.result.trials:
        run = Run(searched.result.path / str(trial.folder))
        manifest = run.manifest
        assert set(manifest["scores"]) == {"validation"}
        assert set(manifest["data"]["splits"]) == {"train", "validation"}
        assert manifest["data"]["splits"]["validation"]["sha256"] == best["validation"]["sha256"]
        assert not list(run.path.glob("predictions/test*"))
        assert not run.model_path.exists(), "the models of trials are removed"


def test_the_first_trial_has_the_settings_without_the_search(searched: Searched) -> None:
    first, *others = searched.result.trials
    assert first.params == {"train.lr": 1e-3, "train.batch_size": 8}
    assert first.is_default
    assert not any(trial.is_default for trial in others)
    ready = next(event for event in searched.events if isinstance(event, SearchReady))
    assert "searching train.lr: numbers from 0.0001 to 0.01, log scale" in ready.notes
    finished = [event for event in searched.events if isinstance(event, TrialFinished)]
    assert [event.num_done for event in finished] == [1, 2, 3]


def test_the_report_shows_trials_and_conclusions(searched: Searched) -> None:
    record = searched.result.record
    text = bt.report(searched.result.path).read_text(encoding="utf-8")
    assert record.winner is not None
    for shown in (f"{record.winner.test:.3f}", "Optimism of the search", "train.batch_size", "never used"):
        assert shown.replace("-", "−") in text or shown in text
    for trial in record.trials or []:
        assert f"{trial.value:.3f}".replace("-", "−") in text
    assert "The best settings of 3 trials are" in text
    assert f"bertune train {searched.result.path}/best --out NEW" in text
    assert "scores_by_trial_search.png" in {path.name for path in (searched.result.path / "report").iterdir()}


def test_a_search_is_extended_to_more_trials(searched: Searched, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(searched.result.path, out)
    renamed = {"tune": searched.source.config.tune.model_copy(update={"study": searched.result.path.name})}
    source = Source("r", "r", searched.source.config.model_copy(update=renamed), {})
    _, again = events_of(source, out, resume=True)
    assert not any(isinstance(event, TrialStarted) for event in again)
    tune = renamed["tune"].model_copy(update={"trials": 4})
    more = Source("r", "r", source.config.model_copy(update={"tune": tune}), {})
    result, events = events_of(more, out, resume=True)
    assert sum(isinstance(event, TrialStarted) for event in events) == 1
    assert len(result.trials) == 4
    assert result.is_complete


def test_other_settings_data_or_an_existing_folder_are_refused(searched: Searched) -> None:
    config, out = searched.source.config, searched.result.path
    with pytest.raises(RunExistsError, match="--resume"):
        list(search(searched.source, out))
    train = config.train.model_copy(update={"weight_decay": 0.5})
    with pytest.raises(ConfigError, match=r"train\.weight_decay was 0\.01 and is now 0\.5"):
        list(search(Source("r", "r", config.model_copy(update={"train": train}), {}), out, resume=True))
    tune = config.tune.model_copy(update={"space": {"train.lr": "1e-4..1e-1"}})
    with pytest.raises(ConfigError, match=r"tune\.space\.train\.lr was .*0\.01.* and is .*0\.1"):
        list(search(Source("r", "r", config.model_copy(update={"tune": tune}), {}), out, resume=True))
    assert open_tuning(out).is_complete, "nothing was changed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune.space.model.max_length": "8..1000"}, r"tune\.space\.model\.max_length=1000: .* at most"),
        ({"tune.space.train.freeze": "1..9"}, r"tune\.space\.train\.freeze=9: .* only 2 layers"),
        ({"tune.folds": 1}, "at least 2 folds, or 0"),
        ({"tune.folds": 400}, r"tune\.folds=400, but the training data has only"),
        ({"tune.folds": 2, "train.best_metric": "loss"}, "the loss is not a score of a fold"),
        (
            {"tune.proxy": "minilm", "tune.space.model.name": "minilm,other"},
            r"Remove tune\.space\.model\.name",
        ),
        ({"tune.storage": "here"}, "expected sqlite, journal or a database URL"),
        ({"tune.storage": "nosql://host/trials"}, "cannot be opened"),
    ],
)
def test_errors_come_before_anything_is_written(
    reviews_csv: Path, settings: Make, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        given = settings(**{"tune.space.train.lr": "1e-3,1e-2", **changes})
        list(search(resolve_source(str(reviews_csv), given), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_value_that_changes_the_scored_rows_is_refused(tmp_path: Path, settings: Make) -> None:
    rows = "\n".join(f"text {i // 2},{'ab'[i // 2 % 2]}" for i in range(60))
    (tmp_path / "twice.csv").write_text(f"text,label\n{rows}\n", encoding="utf-8")
    source = resolve_source(
        str(tmp_path / "twice.csv"), settings(**{"tune.space.data.deduplicate": "true,false"})
    )
    with pytest.raises(ConfigError, match="other rows are held out for validation"):
        list(search(source, tmp_path / "out"))


def test_folds_and_a_proxy_encoder(
    reviews_csv: Path, tiny_folder: Path, tiny_weights: Path, settings: Make, tmp_path: Path
) -> None:
    few = {"train.epochs": 1, "train.batch_size": 16, "data.test_fraction": 0.3, "tune.storage": "journal"}
    chosen = {"tune.folds": 2, "tune.proxy": str(tiny_folder), "tune.finalists": 1, "tune.trials": 2}
    source = resolve_source(
        str(reviews_csv), settings(**few, **chosen, **{"tune.space.train.lr": "1e-3,1e-2"})
    )
    result, _ = events_of(source, tmp_path / "out")
    trials = result.trials
    assert [trial.stage for trial in trials] == ["proxy", "proxy", "target"]
    for trial in trials:
        assert trial.value == pytest.approx(np.mean(trial.folds))
        folder = result.path / str(trial.folder) / "folds"
        splits = [Run(folder / f"fold-{fold}").manifest["data"]["splits"] for fold in (1, 2)]
        # The 18 test rows of the 61 are in no fold, and every other row is in one.
        assert sum(one["test"]["rows"] for one in splits) == 43
        assert {sum(part["rows"] for part in one.values()) for one in splits} == {43}
    models = {Run(result.path / str(t.folder) / "folds" / "fold-1").config.model.name for t in trials}
    assert models == {str(tiny_folder), str(tiny_weights)}
    best = max(trials[:2], key=lambda trial: trial.value or 0.0)
    assert trials[2].params == best.params
    assert result.best.config.model.name == str(tiny_weights)
    assert result.best.manifest["data"]["splits"]["test"]["rows"] == 18
