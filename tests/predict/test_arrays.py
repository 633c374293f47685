"""`predict_proba` and `encode`: arrays for other libraries, in the order of the texts."""

from pathlib import Path

import numpy as np
import pytest

import bertune as bt
from tiny import bertune, reviews, write_csv

TEXTS = [text for text, _ in reviews(7, 3)]


def test_probabilities_equal_those_of_predictions_in_label_order(classifier: bt.Run) -> None:
    model = bt.load(classifier)
    found = model.predict_proba(TEXTS)
    assert found.shape == (7, 2) and found.dtype == np.float64
    assert model.labels == ("bad", "good")
    for row, prediction in zip(found.tolist(), model.predict(TEXTS), strict=True):
        assert row == [prediction.probabilities["bad"], prediction.probabilities["good"]]


def test_all_probabilities_are_returned_even_if_predictions_show_only_some(many_labels: bt.Run) -> None:
    model = bt.load(many_labels)
    found = model.predict_proba(TEXTS)
    assert found.shape == (7, 130)
    np.testing.assert_allclose(found.sum(1), 1)
    for row, prediction in zip(found, model.predict(TEXTS), strict=True):
        assert len(prediction.probabilities) == 10
        shown = {label: row[model.labels.index(label)] for label in prediction.probabilities}
        assert shown == prediction.probabilities
        assert model.labels[int(row.argmax())] == prediction.label


def test_multilabel_models_have_one_probability_per_label(multilabel: bt.Run) -> None:
    model = bt.load(multilabel)
    found = model.predict_proba(TEXTS)
    assert found.shape == (7, 5) and ((found > 0) & (found < 1)).all()
    for row, prediction in zip(found, model.predict(TEXTS), strict=True):
        assert dict(zip(model.labels, row.tolist(), strict=True)) == prediction.probabilities


def test_a_blank_text_is_nan_and_an_empty_list_has_no_rows(classifier: bt.Run, embeddings: bt.Run) -> None:
    found = bt.load(classifier).predict_proba(["great phone", " ", "dull"])
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert bt.load(classifier).predict_proba([]).shape == (0, 2)
    vectors = bt.load(embeddings).encode(["", "great phone"])
    assert np.isnan(vectors).all(1).tolist() == [True, False]
    assert len(bt.load(embeddings).encode([])) == 0


def test_vectors_equal_those_of_the_predictions(embeddings: bt.Run) -> None:
    model = bt.load(embeddings)
    found = model.encode(TEXTS)
    assert found.dtype == np.float32
    assert found.tolist() == [prediction.vector for prediction in model.predict(TEXTS)]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_files_and_tables_are_accepted_like_lists(classifier: bt.Run, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "new.csv", [(text, "x") for text in TEXTS], "text,note")
    model = bt.load(classifier)
    expected = model.predict_proba(TEXTS)
    np.testing.assert_array_equal(model.predict_proba(path), expected)
    np.testing.assert_array_equal(model.predict_proba([{"text": text} for text in TEXTS]), expected)


def test_a_task_without_probabilities_or_vectors_raises_an_error(
    classifier: bt.Run, embeddings: bt.Run
) -> None:
    with pytest.raises(bt.BertuneError, match=r"encode needs an embedding model.*classification"):
        bt.load(classifier).encode(TEXTS)
    with pytest.raises(bt.BertuneError, match=r"predict_proba needs a task.*embeddings"):
        bt.load(embeddings).predict_proba(TEXTS)


def test_a_single_text_instead_of_a_list_is_refused(classifier: bt.Run, embeddings: bt.Run) -> None:
    with pytest.raises(bt.BertuneError, match=r'predict_proba\(\["great phone"\]\)'):
        bt.load(classifier).predict_proba("great phone")
    with pytest.raises(bt.BertuneError, match=r'encode\(\["great phone"\]\)'):
        bt.load(embeddings).encode("great phone")


def test_a_row_with_several_texts_has_no_vector(embeddings: bt.Run) -> None:
    rows = [{"anchor": "great phone", "positive": "lovely phone"}]
    with pytest.raises(bt.BertuneError, match="expected a single text to encode, got 2 texts"):
        bt.load(embeddings).encode(rows)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_python_writes_the_same_file_as_the_command(classifier: bt.Run, tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path / "new.csv", [*((text, "x") for text in TEXTS), ("", "y")], "text,label")
    bertune("predict", classifier.path, path, "machine.threads=1", "--out", tmp_path / f"cli-{name}").fine()
    notes: list[str] = []
    model = bt.load(classifier, settings={"machine.threads": 1})
    written = model.predict_file(path, tmp_path / name, on_note=notes.append)
    assert (written.rows, written.blank, written.truncated) == (8, 1, 0)
    assert notes and "new.csv" in notes[0]
    assert (tmp_path / name).read_bytes() == (tmp_path / f"cli-{name}").read_bytes()


def test_vectors_are_written_in_numpy_format(embeddings: bt.Run, tmp_path: Path) -> None:
    model = bt.load(embeddings)
    path = write_csv(tmp_path / "new.csv", [(text,) for text in TEXTS], "text")
    model.predict_file(path, tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), model.encode(path))


def test_python_refuses_to_write_what_the_command_refuses(classifier: bt.Run, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "new.csv", [(text,) for text in TEXTS], "text")
    before = path.read_bytes()
    model = bt.load(classifier)
    for out, message in (
        ("new.csv", "is the input file"),
        ("out.xlsx", "unsupported suffix"),
        ("no/out.csv", "folder"),
    ):
        with pytest.raises(bt.BertuneError, match=message):
            model.predict_file(path, tmp_path / out)
    with pytest.raises(bt.BertuneError, match=r"suffix \.jsonl conflicts"):
        model.predict_file(path, tmp_path / "out.jsonl", csv=True)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
