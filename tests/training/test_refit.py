"""train.refit: the saved model learns from training and validation rows, the scores are of the first one."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from bertune.errors import ConfigError, Interrupted
from bertune.metadata import read_metadata
from bertune.source import resolve_source
from bertune.training.events import Noted, Stepped
from bertune.training.fit import train_source
from small_texts import labelled_texts, write_csv
from trainings import assert_same_work, train

Make = Callable[..., dict[str, Any]]


def test_the_scores_are_of_the_first_model_and_the_saved_one_is_another(
    reviews_csv: Path, settings: Make, tmp_path: Path
) -> None:
    plain, _ = train(str(reviews_csv), tmp_path / "plain", settings())
    run, events = train(str(reviews_csv), tmp_path / "refit", settings(**{"train.refit": True}))
    assert run.manifest["scores"] == plain.manifest["scores"]
    assert list(run.predictions("validation")) == list(plain.predictions("validation"))
    weights = [(r.model_path / "model.safetensors").read_bytes() for r in (run, plain)]
    assert weights[0] != weights[1]
    best = run.manifest["training"]["best"]["step"]
    assert (run.record.refit.steps, run.record.refit.rows) == (best, 61)  # type: ignore[union-attr]
    start = next(i for i, e in enumerate(events) if isinstance(e, Noted) and e.text.startswith("refit"))
    steps = [e.step for e in events[start:] if isinstance(e, Stepped)]
    assert [step.number for step in steps] == list(range(1, best + 1))
    note = f"trained again for {best} steps on all 61 training and validation rows"
    assert note in run.manifest["notes"][-1]
    assert note in (read_metadata(run.model_path).note or "")
    assert "The scores on this page belong to the first model" in bt.report(run).read_text("utf-8")
    assert bt.load(run).predict(["great phone"])
    assert not (run.path / "refit").exists()


def test_an_interrupted_refit_continues_to_the_same_weights(
    reviews_csv: Path, settings: Make, tmp_path: Path
) -> None:
    given = settings(**{"train.refit": True})
    whole, _ = train(str(reviews_csv), tmp_path / "whole", given)
    is_refit = False
    with pytest.raises(Interrupted, match=r"stopped after step 3 of \d+ of the refit"):
        for event in train_source(resolve_source(str(reviews_csv), given), tmp_path / "run"):
            is_refit = is_refit or (isinstance(event, Noted) and event.text.startswith("refit"))
            if is_refit and isinstance(event, Stepped) and event.step.number == 3:
                signal.raise_signal(signal.SIGTERM)
    continued, events = train(str(reviews_csv), tmp_path / "run", given, resume=True)
    assert next(e.step.number for e in events if isinstance(e, Stepped)) == 4
    assert_same_work(continued, whole)


def test_scored_pairs_are_not_added_to_pairs_without_scores(settings: Make, tmp_path: Path) -> None:
    texts = [text for text, _ in labelled_texts(40)]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    train_file = write_csv(tmp_path / "train.csv", ("anchor", "positive"), pairs)
    scored = [(*pair, n % 5 / 5) for n, pair in enumerate(pairs)]
    validation = write_csv(tmp_path / "dev.csv", ("sentence1", "sentence2", "score"), scored)
    given = settings(**{"task.name": "embeddings", "data.validation": str(validation), "train.refit": True})
    with pytest.raises(ConfigError, match=r"train\.refit=true .* of different kinds"):
        train(str(train_file), tmp_path / "run", given)
    assert not (tmp_path / "run").exists()
