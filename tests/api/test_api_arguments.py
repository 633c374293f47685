"""Invalid arguments in place of a model, texts or a file."""

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest

import bertune as bt
from bertune.errors import DataError, InputError


@pytest.fixture(scope="module")
def model(run: bt.Run) -> bt.Model:
    return bt.load(run)


@pytest.mark.parametrize("value", [None, 3, b"runs/reviews"])
@pytest.mark.parametrize(
    "call",
    [
        bt.load,
        bt.report,
        lambda value: bt.predict(value, ["a text"]),
        lambda value: bt.evaluate(value, "a.csv"),
    ],
)
def test_anything_but_a_model_is_refused(call: Callable[[Any], object], value: object) -> None:
    with pytest.raises(InputError, match=r"the run.* must be a path \(str or pathlib\.Path\), got "):
        call(value)


@pytest.mark.parametrize("value", [None, 3, b"a text", {"text": "a"}, str])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_anything_without_texts_is_refused(model: bt.Model, method: str, value: object) -> None:
    with pytest.raises(DataError, match=f"{method} takes a list of texts, a table, .* got ") as caught:
        getattr(model, method)(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("call", [bt.train, bt.check])
def test_anything_but_data_is_refused(call: Callable[[Any], object]) -> None:
    with pytest.raises(DataError, match=r"expected a table, got None\. Pass a "):
        call(None)


def test_an_unusable_output_file_is_refused(model: bt.Model, tmp_path: Path) -> None:
    table = [{"text": "a", "label": "good"}]
    for call in (
        lambda: model.predict_file(table, None),  # type: ignore[arg-type]
        lambda: model.evaluate(table, out=3),  # type: ignore[arg-type]
        lambda: bt.train(table, out=3),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match=r"out.* must be a path"):
            call()


def test_predict_file_reports_renamed_columns_and_replaced_files(model: bt.Model, tmp_path: Path) -> None:
    table = [{"text": "a", "label": "gold"}]
    first = model.predict_file(table, tmp_path / "a.jsonl")
    assert dict(first.renamed) == {"label": "label_given"} and not first.is_replacement
    second = model.predict_file(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert dict(second.renamed) == {"label": "label_given_2", "probabilities": "probabilities_given"}
    assert model.predict_file(table, tmp_path / "a.jsonl").is_replacement
    assert not model.predict_file(table, io.StringIO()).is_replacement


def test_a_copy_of_a_model_predicts_the_same(model: bt.Model) -> None:
    """Like the copies that joblib and scikit-learn's clone make."""
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    expected = model.predict(["great phone"])
    for other in (joblib.load(file), copy.deepcopy(model), copy.copy(model)):
        assert other.predict(["great phone"]) == expected
