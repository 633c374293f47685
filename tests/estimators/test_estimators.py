"""`BertClassifier` and `BertRegressor` behave like estimators of scikit-learn, on texts."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimator_inputs import QUICK, ClassifierOfNumbers, failures, tiny
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError

import bertune as bt
from tiny import reviews
from trainings import train

TEXTS = [text for text, _ in reviews(40, 1)]
LABELS = [label for _, label in reviews(40, 1)]


@pytest.fixture(scope="module")
def fitted(tiny_weights: Path) -> bt.BertClassifier:
    """A classifier fitted to TEXTS and LABELS. Read only."""
    return tiny(bt.BertClassifier, tiny_weights).fit(TEXTS, LABELS)


def test_the_interface_is_that_of_scikit_learn(tiny_weights: Path) -> None:
    """The checks of the interface; tests/real runs all checks, for the regressor too."""
    assert failures(ClassifierOfNumbers, tiny_weights, legacy=False) == {}


def test_predictions_agree_with_probabilities(fitted: bt.BertClassifier) -> None:
    probabilities_NC = fitted.predict_proba(TEXTS)
    assert probabilities_NC.shape == (40, 2)
    np.testing.assert_allclose(probabilities_NC.sum(1), 1)
    predicted = fitted.predict(TEXTS)
    assert list(predicted) == list(fitted.classes_[probabilities_NC.argmax(1)])
    assert fitted.score(TEXTS, LABELS) == np.mean(predicted == np.array(LABELS))
    np.testing.assert_array_equal(fitted.predict_log_proba(TEXTS), np.log(probabilities_NC))
    assert list(predicted) == [prediction.label for prediction in fitted.model_.predict(TEXTS)]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([label == "good" for label in LABELS], id="booleans"),
        pytest.param([-3 if label == "good" else 20 for label in LABELS], id="integers"),
        pytest.param(pd.Series(LABELS, index=range(100, 140)), id="series"),
        pytest.param([" Yes" if label == "good" else "yes" for label in LABELS], id="same-without-spaces"),
        pytest.param(["true" if label == "good" else "" for label in LABELS], id="empty-text"),
        pytest.param(["9" if label == "good" else "10" for label in LABELS], id="sorted-as-text"),
    ],
)
def test_labels_of_any_type_are_restored(labels: Any, tiny_weights: Path) -> None:
    found = tiny(bt.BertClassifier, tiny_weights, epochs=1).fit(TEXTS, labels)
    expected = np.unique(np.asarray(labels))
    assert found.classes_.dtype == expected.dtype
    assert found.classes_.tolist() == expected.tolist()
    predicted = found.predict(TEXTS)
    assert predicted.dtype == expected.dtype
    best = found.predict_proba(TEXTS).argmax(1)
    assert predicted.tolist() == expected[best].tolist()


def test_all_forms_of_texts_give_the_same_model(fitted: bt.BertClassifier, tiny_weights: Path) -> None:
    expected = fitted.predict_proba(TEXTS)
    for texts in (np.array(TEXTS), np.array(TEXTS, dtype=object), pd.Series(TEXTS)):
        np.testing.assert_array_equal(fitted.predict_proba(texts), expected)
    again = tiny(bt.BertClassifier, tiny_weights).fit(pd.DataFrame({"review": TEXTS}), LABELS)
    assert list(again.feature_names_in_) == ["review"] and again.n_features_in_ == 1
    np.testing.assert_array_equal(again.predict_proba(pd.DataFrame({"review": TEXTS})), expected)
    assert not hasattr(fitted, "n_features_in_"), "a list has no columns"


def test_the_model_is_that_of_bertune_train(fitted: bt.BertClassifier, tmp_path: Path) -> None:
    settings = QUICK | {
        "model.name": fitted.model, "train.epochs": 2, "train.batch_size": 8, "train.lr": 3e-3,
        "train.seed": 3, "train.baselines": False,
    }  # fmt: skip
    run, _ = train(TEXTS, tmp_path / "run", settings, labels=LABELS)
    np.testing.assert_array_equal(bt.load(run).predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test_two_columns_are_pairs(tiny_weights: Path) -> None:
    pairs = pd.DataFrame({"question": TEXTS, "sentence": TEXTS[::-1]})
    found = tiny(bt.BertClassifier, tiny_weights).fit(pairs, LABELS)
    assert found.n_features_in_ == 2 and list(found.feature_names_in_) == ["question", "sentence"]
    expected = found.predict_proba(pairs)
    for same in (pairs.to_numpy(), list(zip(TEXTS, TEXTS[::-1], strict=True))):
        np.testing.assert_array_equal(found.predict_proba(same), expected)
    with pytest.raises(ValueError, match="expected the columns question, sentence, got sentence, question"):
        found.predict(pairs[["sentence", "question"]])
    with pytest.raises(ValueError, match="X has 1 features, but BertClassifier is expecting 2"):
        found.predict(TEXTS)


def test_an_indicator_matrix_stands_for_several_labels(tiny_weights: Path) -> None:
    y_NK = np.array([[label == "good", label == "bad", i % 3 == 0] for i, label in enumerate(LABELS)], int)
    found = tiny(bt.BertClassifier, tiny_weights).fit(TEXTS, y_NK)
    probabilities_NK = found.predict_proba(TEXTS)
    assert list(found.classes_) == [0, 1, 2] and probabilities_NK.shape == (40, 3)
    np.testing.assert_array_equal(found.predict(TEXTS), probabilities_NK >= 0.5)
    assert 0 <= found.score(TEXTS, y_NK) <= 1


def test_numbers_are_predicted(tiny_weights: Path) -> None:
    numbers = [float(len(text)) for text in TEXTS]
    found = tiny(bt.BertRegressor, tiny_weights).fit(TEXTS, numbers)
    predicted = found.predict(TEXTS)
    assert predicted.shape == (40,) and predicted.dtype == np.float64
    assert predicted.tolist() == [prediction.value for prediction in found.model_.predict(TEXTS)]
    with pytest.raises(ValueError, match="at least two different numbers"):
        tiny(bt.BertRegressor, tiny_weights).fit(TEXTS, [1.0] * 40)


def test_it_works_inside_other_estimators(fitted: bt.BertClassifier) -> None:
    """examples/scikit_learn_search.py has a pipeline, a search and a cross-validation."""
    one = clone(fitted).set_params(epochs=1)
    calibrated = CalibratedClassifierCV(one, cv=2, method="temperature").fit(pd.Series(TEXTS), LABELS)
    assert calibrated.predict_proba(TEXTS).shape == (40, 2)


def test_fitting_leaves_nothing_behind(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    one = tiny(bt.BertClassifier, tiny_weights)
    before = one.get_params()
    one.fit(TEXTS, LABELS)
    assert one.get_params() == before
    assert any(text.startswith("validation: collapsed") for text in one.warnings_)
    assert list(tmp_path.iterdir()) == []
    expected = one.predict_proba(TEXTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).predict_proba(TEXTS), expected)
    np.testing.assert_array_equal(one.fit(TEXTS, LABELS).predict_proba(TEXTS), expected)
    other = clone(one).set_params(random_state=4).fit(TEXTS, LABELS)
    assert not np.array_equal(other.predict_proba(TEXTS), expected), "the seed has an effect"


def test_a_saved_estimator_is_restored(fitted: bt.BertClassifier, tiny_weights: Path, tmp_path: Path) -> None:
    one = tiny(bt.BertClassifier, tiny_weights).fit(TEXTS, [label == "good" for label in LABELS])
    one.save(tmp_path / "saved")
    found = bt.BertClassifier.from_run(tmp_path / "saved")
    assert found.get_params() == one.get_params()
    assert found.classes_.tolist() == [False, True]
    np.testing.assert_array_equal(found.predict(TEXTS), one.predict(TEXTS))
    np.testing.assert_array_equal(found.predict_proba(TEXTS), one.predict_proba(TEXTS))
    assert {p.label for p in bt.load(tmp_path / "saved").predict(TEXTS)} <= {"true", "false"}
    with pytest.raises(bt.BertuneError, match="already exists"):
        fitted.save(tmp_path / "saved")


def test_out_keeps_the_run(tiny_weights: Path, tmp_path: Path) -> None:
    """With validation_fraction=0 the model is trained again on all rows."""
    one = tiny(bt.BertClassifier, tiny_weights, epochs=1, validation_fraction=0, out=tmp_path / "run")
    one.fit(TEXTS, [label == "good" for label in LABELS])
    assert one.run_.manifest["refit"]["rows"] == 40
    assert (tmp_path / "run/report/index.html").is_file()
    found = bt.BertClassifier.from_run(one.run_)
    np.testing.assert_array_equal(found.predict(TEXTS), one.predict(TEXTS))
    (tmp_path / "run/estimator.json").unlink()
    plain = bt.BertClassifier.from_run(tmp_path / "run")
    assert plain.classes_.tolist() == ["false", "true"], "the label names of the model"
    assert plain.get_params()["settings"]["train.refit"] is True
    with pytest.raises(bt.BertuneError, match="BertRegressor cannot represent"):
        bt.BertRegressor.from_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a", None], ["x", "y"], r"X, row 1 is missing \(NaN or None\)"),
        (["a", " "], ["x", "y"], "X, row 1: the text is empty"),
        ([["a", "b"], ["c"]], ["x", "y"], "X, row 1: 1 text, but row 0 has 2"),
        (np.eye(2), ["x", "y"], r"X, row 0 is not a text: 1.0 \(float\)"),
        (["a", "b"], ["x"], r"inconsistent numbers of samples: \[2, 1\]"),
        (["a", "b"], ["x", "x"], "needs at least two classes, but y has only one class: 'x'"),
        (["a", "b"], ["x", None], "y, row 1: the label is missing"),
        (["a", "b"], ["x", 1], "y has labels of different types"),
        (["a", "b"], [0.5, 1.25], "continuous"),
    ],
)
def test_input_that_cannot_be_used_is_a_value_error(texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bt.BertClassifier().fit(texts, labels)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": -1}, "^epochs must be greater than 0"),
        ({"settings": {"train.lr": 1e-3}}, "use the parameter learning_rate instead of train.lr"),
        ({"settings": {"task.name": "ner"}}, "task.name cannot be set"),
        ({"settings": {"train.warmpu": 0}}, 'Did you mean "train.warmup"'),
        ({"settings": "train.warmup=0"}, "settings must be a dict"),
        ({"learning_rate": -1}, "^learning_rate must be greater than 0, got -1$"),
        ({"epochs": "3x"}, "^epochs must be a number, got '3x'$"),
    ],
)
def test_wrong_parameters_are_reported_by_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        bt.BertClassifier(**parameters).fit(TEXTS, LABELS)
    assert isinstance(caught.value, bt.BertuneError)


def test_an_estimator_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFittedError):
        bt.BertClassifier().predict(TEXTS)


def test_other_functions_do_not_import_scikit_learn() -> None:
    code = "import sys, bertune, bertune.api; bertune.BertuneError; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
