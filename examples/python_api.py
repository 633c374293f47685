"""Trains, evaluates and predicts from Python.

python examples/python_api.py            with the packaged encoder, minilm
python examples/python_api.py FOLDER     with another encoder
"""
# ruff: noqa: T201 - this script prints its results

import sys
import tempfile
from pathlib import Path

import bertune as bt

GOOD = (
    "great phone",
    "I would buy it again",
    "the battery lasts for days",
    "a joy to use",
    "works as promised",
)
BAD = (
    "broke in a week",
    "the screen has a scratch",
    "they never answered my email",
    "a waste of money",
    "far too slow",
)


def main(model_name: str, runs: Path) -> None:
    """Trains on two lists, then on a table."""
    texts = [f"{text}{end}" for text in GOOD + BAD for end in ("", "!", ", really", ", I must say")]
    labels = ["good"] * 4 * len(GOOD) + ["bad"] * 4 * len(BAD)
    settings = {
        "model.name": model_name,
        "train.epochs": 2,
        "train.batch_size": 8,
        "data.validation_fraction": 0.2,
    }

    run = bt.train(texts, labels, settings=settings, out=runs / "lists")
    print("validation accuracy:", run.scores["accuracy"])

    model = bt.load(run)
    for prediction in model.predict(["a great joy", "it broke again"]):
        print(prediction.label, prediction.probabilities)

    # A table can be a pandas or polars DataFrame, an Arrow table, a Hugging Face data set or a list of dicts.
    table = [{"review": text, "stars": label} for text, label in zip(texts, labels, strict=True)]
    splits = {"train": table[::2], "validation": table[1::4], "test": table[3::4]}
    run = bt.train(splits, settings=settings, out=runs / "table")
    print("test accuracy:", run.scores["accuracy"])

    new_data = [{"review": "great value", "stars": "good"}, {"review": "slow", "stars": "bad"}]
    result = bt.evaluate(run, new_data)
    print("new data:", result.num_examples, "texts, accuracy", result.scores["accuracy"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else "minilm", Path(folder))
