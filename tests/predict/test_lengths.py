"""The maximum length of a trained model: the limit of the encoder, unless a length is set."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers

import bertune as bt
from bertune.errors import ConfigError
from bertune.files import read_object, sealed, to_json
from tiny import reviews

LIMIT = 64  # positions of the tiny encoder; the training texts have at most 14 tokens
LONG = " ".join(f"the phone was {word}" for word in ("great", "dull", "slow", "bright") * 3)  # 48 words
TOO_LONG = f"{LONG} {LONG}"


def by_transformers(folder: Path, text: str, **options: Any) -> dict[str, float]:
    """The prediction of the transformers pipeline for a text."""
    pipeline = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    return {found["label"]: found["score"] for found in pipeline({"text": text}, **options)}


@pytest.fixture(scope="module")
def short(small: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A model trained with model.max_length=8. Read only."""
    texts, labels = zip(*reviews(24, 1), strict=True)
    settings = {**small, "model.max_length": 8, "machine.precision": "fp32"}
    return bt.train(texts, labels, settings=settings, out=tmp_path_factory.mktemp("runs") / "short")


def test_short_training_texts_do_not_limit_the_length_for_prediction(classifier: bt.Run) -> None:
    model = bt.load(classifier, settings={"machine.precision": "fp32"})
    assert model.max_length == model.length_limit == LIMIT
    assert max(split["tokens"]["max"] for split in classifier.manifest["data"]["splits"].values()) < 20
    assert model.evaluate(([LONG], ["good"])).num_truncated == 0
    assert model.predict([LONG])[0].probabilities == pytest.approx(
        by_transformers(classifier.model_path, LONG), abs=1e-5
    )


def test_texts_too_long_for_the_encoder_are_truncated_like_in_transformers(classifier: bt.Run) -> None:
    model = bt.load(classifier, settings={"machine.precision": "fp32"})
    assert model.evaluate(([TOO_LONG], ["good"])).num_truncated == 1
    assert model.predict([TOO_LONG])[0].probabilities == pytest.approx(
        by_transformers(classifier.model_path, TOO_LONG, truncation=True), abs=1e-5
    )


def test_a_length_that_was_set_is_in_every_file_of_the_model(short: bt.Run) -> None:
    model = bt.load(short)
    assert (model.max_length, model.length_limit) == (8, LIMIT)
    assert transformers.AutoTokenizer.from_pretrained(short.model_path).model_max_length == 8
    assert model.predict([LONG])[0].probabilities == pytest.approx(
        by_transformers(short.model_path, LONG, truncation=True), abs=1e-5
    )


@pytest.mark.parametrize(("wanted", "length"), [(20, 20), (LIMIT, LIMIT), ("auto", LIMIT)])
def test_the_length_of_a_trained_model_can_be_changed(short: bt.Run, wanted: object, length: int) -> None:
    model = bt.load(short, settings={"model.max_length": wanted})
    assert model.max_length == length
    assert model.predict([LONG])[0].probabilities == pytest.approx(
        by_transformers(short.model_path, LONG, truncation=True, max_length=length), abs=1e-5
    )


def test_a_length_beyond_the_encoder_is_refused(short: bt.Run) -> None:
    with pytest.raises(ConfigError, match=r"model\.max_length=65: .* at most 64 tokens"):
        bt.load(short, settings={"model.max_length": LIMIT + 1})


def test_the_length_of_one_training_does_not_limit_the_next(short: bt.Run) -> None:
    settings = {"model.name": str(short.model_path), "machine.threads": 1}
    texts, labels = zip(*reviews(24, 1), strict=True)
    assert bt.check(texts, labels, settings=settings).encoder.max_length == LIMIT
    longer = {**settings, "model.max_length": 32}
    assert bt.check(texts, labels, settings=longer).encoder.max_length == 32


def test_a_folder_of_format_3_can_be_loaded_with_a_larger_length(short: bt.Run, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    shutil.copytree(short.model_path, folder)
    stored = read_object(folder / "bertune.json")
    for key in ("length_limit", "output_scale"):
        stored.pop(key, None)
    # Its tokenizer kept the length of the original encoder.
    tokenizer = folder / "tokenizer_config.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | {"model_max_length": LIMIT}))
    stored["files"].pop(tokenizer.name)
    (folder / "bertune.json").write_text(to_json(sealed({**stored, "format": 3})))
    older = bt.load(folder)
    assert (older.max_length, older.length_limit) == (8, LIMIT)
    assert older.predict([LONG]) == bt.predict(short, [LONG])
    assert bt.load(folder, settings={"model.max_length": LIMIT}).max_length == LIMIT
