"""Using a trained model in Python: loading, prediction and evaluation."""

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from tiny import reviews, write_csv
from trainings import train

TEXTS = [text for text, _ in reviews(7, 3)]
RECORDS = [{"text": text, "label": label} for text, label in reviews(12, 4)]


def probabilities(predictions: list[Any]) -> list[dict[str, float]]:
    return [prediction.probabilities for prediction in predictions]


def test_a_model_can_be_loaded_from_a_run_or_its_folders(run: bt.Run, tmp_path: Path) -> None:
    shutil.copytree(run.model_path, tmp_path / "sent")
    expected = probabilities(bt.load(run).predict(TEXTS))
    for source in (run.path, str(run.path), run.model_path, tmp_path / "sent"):
        assert probabilities(bt.load(source).predict(TEXTS)) == expected


def test_texts_are_predicted_in_order_with_label_names(run: bt.Run) -> None:
    model = bt.load(run)
    found = model.predict(TEXTS)
    assert len(found) == len(TEXTS)
    for text, prediction in zip(TEXTS, found, strict=True):
        assert prediction.label in ("good", "bad") and model.labels == ("bad", "good")
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert model.predict([text])[0].probabilities == pytest.approx(prediction.probabilities, abs=1e-6)
    backwards = model.predict(TEXTS[::-1])[::-1]
    assert [prediction.label for prediction in backwards] == [prediction.label for prediction in found]


def test_pairs_are_predicted_as_pairs(pair_run: bt.Run) -> None:
    model = bt.load(pair_run)
    found = model.predict([("great phone", "dull lamp"), ("dull lamp", "great phone")])
    assert set(found[0].probabilities) == {"same", "other", "unrelated"}
    assert found[0].probabilities != pytest.approx(found[1].probabilities, abs=1e-9)
    assert probabilities(model.predict([["great phone", "dull lamp"]])) == [
        pytest.approx(found[0].probabilities)
    ]


def test_an_empty_list_has_no_predictions(run: bt.Run) -> None:
    assert bt.load(run).predict([]) == []
    assert bt.predict(run, []) == []


def test_a_text_without_words_has_no_prediction(run: bt.Run) -> None:
    found = bt.load(run).predict(["great phone", " ", ""])
    assert found[0] is not None and found[1:] == [None, None]


def test_predict_takes_lists_tables_and_files(run: bt.Run, tmp_path: Path) -> None:
    import pandas as pd

    expected = probabilities(bt.load(run).predict(TEXTS))
    path = write_csv(tmp_path / "new.csv", [(text,) for text in TEXTS], "text")
    records = [{"text": text} for text in TEXTS]
    sources: list[Any] = [TEXTS, tuple(TEXTS), path, str(path), records, pd.DataFrame(records)]
    for source in sources:
        assert probabilities(bt.predict(run, source)) == expected
        assert probabilities(bt.predict(bt.load(run), source)) == expected


def test_predict_takes_any_iterable_of_texts(run: bt.Run) -> None:
    """A generator, a column of a data frame, an array."""
    import numpy as np
    import pandas as pd

    expected = probabilities(bt.load(run).predict(TEXTS))
    sources: list[Any] = [(text for text in TEXTS), pd.Series(TEXTS), np.array(TEXTS)]
    for source in sources:
        assert probabilities(bt.predict(run, source)) == expected


def test_a_list_of_texts_only_is_read_like_any_other_list(run: bt.Run) -> None:
    """It is read without a search for lists of words and missing values."""
    model, texts = bt.load(run.path), ["great lamp", " ", "broke", ""]
    tokenized, with_missing = model.tokenize(texts), model.tokenize([*texts, None])
    assert tokenized.examples == with_missing.examples
    assert [s.ids.tolist() for s in tokenized.sequences] == [s.ids.tolist() for s in with_missing.sequences]
    assert with_missing.is_readable == [*tokenized.is_readable, False]
    assert (with_missing.num_rows, with_missing.num_blank) == (5, tokenized.num_blank + 1)
    assert model.predict(texts) == model.predict([*texts, None])[:-1]


def test_evaluate_accepts_files_and_tables(run: bt.Run, tmp_path: Path) -> None:
    import pandas as pd

    path = write_csv(tmp_path / "new.csv", [(r["text"], r["label"]) for r in RECORDS])
    sources: list[Any] = [RECORDS, pd.DataFrame(RECORDS), path, str(path)]
    found = [bt.evaluate(run, source) for source in sources]
    assert all(one.scores == found[0].scores for one in found)
    assert found[0].num_examples == 12
    right = sum(line["label"] == line["gold"] for line in found[0].lines)
    assert found[0].scores["accuracy"] == pytest.approx(right / 12)
    assert bt.evaluate(bt.load(run), RECORDS).scores == found[0].scores


def test_a_run_has_scores_settings_and_predictions(run: bt.Run) -> None:
    assert 0 <= run.scores["accuracy"] <= 1
    assert run.config.train.epochs == 1
    assert len(list(run.predictions("validation"))) == run.manifest["data"]["splits"]["validation"]["rows"]
    assert [line["step"] for line in run.metrics()] == [1, 2]
    assert (run.model_path / "model.safetensors").is_file()


def test_a_run_stays_usable_from_another_folder(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = {"model.name": str(tiny_weights), "train.epochs": 1, "machine.threads": 1}
    run = bt.train(RECORDS, settings=overrides, out="run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "accuracy" in run.scores


@pytest.mark.parametrize("texts", ["great phone", [1], [("a", "b")], [b"great"], [["a"], 2.5]])
def test_anything_but_a_list_of_texts_is_refused_with_its_value(run: bt.Run, texts: Any) -> None:
    with pytest.raises(bt.BertuneError) as caught:
        bt.load(run).predict(texts)
    wrong = texts if isinstance(texts, str) else texts[-1]
    assert repr(wrong) in str(caught.value) or str(wrong) in str(caught.value)


@pytest.mark.parametrize("pairs", [["great phone"], [("a",)], [("a", "b", "c")], [3]])
def test_anything_but_a_list_of_pairs_is_refused_with_its_value(pair_run: bt.Run, pairs: Any) -> None:
    with pytest.raises(bt.BertuneError, match="pair"):
        bt.load(pair_run).predict(pairs)


@pytest.mark.parametrize("source", ["nowhere", ".", 42])
def test_a_folder_without_a_model_is_refused(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((bt.BertuneError, TypeError), match=r"run folder|model folder|must be a path"):
        bt.load(source)


def test_a_missing_folder_is_reported_as_missing(tmp_path: Path) -> None:
    with pytest.raises(bt.BertuneError, match=r"no such|not exist|is not a folder|there is no"):
        bt.load(tmp_path / "nowhere")


def test_a_wrong_column_is_refused(run: bt.Run) -> None:
    with pytest.raises(bt.BertuneError, match='"txt"'):
        bt.evaluate(run, RECORDS, settings={"data.text": "txt"})


def test_settings_passed_with_a_loaded_model_are_an_error(run: bt.Run) -> None:
    """The model was loaded without these settings, so they must not be ignored."""
    model = bt.load(run)
    with pytest.raises(bt.BertuneError):
        bt.evaluate(model, RECORDS, settings={"data.text": "txt"})
    with pytest.raises(bt.BertuneError):
        bt.predict(model, TEXTS, settings={"machine.device": "cuda:99"})


def test_a_checkpoint_with_another_number_of_labels_can_be_trained_on(run: bt.Run, tmp_path: Path) -> None:
    """A model fine-tuned on two labels can be trained on three: it gets a new head."""
    rows = [{"text": text, "label": i % 3} for i, (text, _) in enumerate(reviews(18))]
    overrides = {"model.name": str(run.model_path), "train.epochs": 1, "machine.threads": 1}
    again, _ = train(rows, tmp_path / "run", overrides)
    assert set(bt.predict(again, ["great phone"])[0].probabilities) == {"0", "1", "2"}


def test_a_second_training_into_the_same_folder_is_refused(run: bt.Run, tiny_weights: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    with pytest.raises(bt.BertuneError, match="exists"):
        bt.train(RECORDS, settings={"model.name": str(tiny_weights)}, out=run.path)
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_run_on_data_in_memory_says_that_it_does_not_contain_the_data(run: bt.Run, tmp_path: Path) -> None:
    with pytest.raises(bt.BertuneError, match="Python"):
        bt.train(run.path, out=tmp_path / "again")


def test_the_report_is_rewritten_in_place(run: bt.Run) -> None:
    assert bt.report(run) == bt.report(run.path) == run.path / "report" / "index.html"


def test_settings_are_keyword_only(run: bt.Run) -> None:
    """So that adding an argument later does not break existing calls."""
    for function in (bt.train, bt.train_events, bt.check, bt.load, bt.evaluate, bt.predict):
        for name in ("settings", "out", "resume", "progress"):
            parameter = inspect.signature(function).parameters.get(name)
            assert parameter is None or parameter.kind is parameter.KEYWORD_ONLY
