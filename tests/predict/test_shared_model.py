"""One model in several threads and processes, and the modules that take part in predicting a row."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import bertune as bt
from tiny import reviews, write_csv
from without_torch import BLOCKED

SOURCE = str(Path(bt.__file__).parent)
MOST_FILES = 12


def texts(seed: int) -> list[str]:
    """Texts, many of which are longer than the limit of the model."""
    return [f"{text} " * (1 + number % 30) for number, (text, _) in enumerate(reviews(120, seed))]


@pytest.mark.parametrize(("long_texts", "precision"), [("truncate", "fp32"), ("windows", "bf16")])
def test_two_threads_predict_the_same_as_one(
    tmp_path: Path, small: dict[str, object], long_texts: str, precision: str
) -> None:
    rows = [{"text": text, "label": label} for text, label in reviews(20, 1)]
    settings = {**small, "task.long_texts": long_texts, "task.stride": 4, "model.max_length": 16}
    run = bt.train(rows, settings=settings, out=tmp_path / "run")
    machine = {"machine.threads": 1, "machine.precision": precision}
    expected = [bt.load(run, settings=machine).predict_proba(texts(seed)) for seed in range(8)]
    model = bt.load(run, settings=machine)  # a new model, so that the threads also share its first pass
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(model.predict_proba, map(texts, range(8))))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_can_share_a_question_answering_model(tmp_path: Path, small: dict[str, object]) -> None:
    context = "the phone was great and the lamp was dull " * 6
    rows = [
        {
            "question": f"what was {word}",
            "context": context,
            "answers": [{"text": word, "answer_start": context.index(word)}],
        }
        for word in ("great", "dull")
    ]
    settings = {**small, "task.name": "question_answering", "task.stride": 8, "model.max_length": 32}
    run = bt.train({"train": rows, "validation": rows}, settings=settings, out=tmp_path / "run")
    model = bt.load(run, settings={"machine.threads": 1})
    items = [(f"what was {word}", context * (1 + n)) for n, word in enumerate(("great", "dull", "slow"))]
    expected = model.predict(items)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(model.predict, [items] * 12))


def test_a_pickled_model_predicts_the_same_in_another_process(classifier: bt.Run, tmp_path: Path) -> None:
    model = bt.load(classifier, settings={"machine.threads": 1, "machine.precision": "bf16"})
    expected = model.predict_proba(texts(1))
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    (tmp_path / "texts").write_bytes(pickle.dumps(texts(1)))
    code = (
        "import pickle, sys\n"
        "model, texts = (pickle.load(open(name, 'rb')) for name in ('model', 'texts'))\n"
        "pickle.dump(model.predict_proba(texts), open('found', 'wb'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(pickle.loads((tmp_path / "found").read_bytes()), expected)
    np.testing.assert_array_equal(model.predict_proba(texts(1)), expected)


def test_the_package_is_imported_without_torch() -> None:
    code = (
        f"{BLOCKED}"
        "import bertune.predict\n"
        "from bertune.predict import backend, inputs, model, predictor, writers\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_does_not_hide_the_public_function() -> None:
    code = (
        "import bertune.predict, bertune.predict.model\n"
        "from bertune import predict\n"
        "assert predict is bertune.predict is bertune.api.predict\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def files_entered(work: Callable[[], object]) -> set[str]:
    """The files of bertune in which a function is called."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_code.co_filename
        if name.startswith(SOURCE):
            found.add(name.removeprefix(SOURCE).strip("/"))

    before = sys.gettrace()  # a coverage measurement
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


class _AtTheNetwork(Exception):
    """Raised instead of running the network."""


def test_predicting_a_csv_row_imports_few_modules(classifier: bt.Run, tmp_path: Path) -> None:
    """The code that a row of an open file passes through, from its line to the call of the backend."""
    path = write_csv(tmp_path / "new.csv", [("a first row",), ("great phone",)], "text")
    model = bt.load(classifier)
    opened = model._inputs.open(path, need_label=False)
    rows = opened.table.rows()
    next(rows)  # the header is read with the first row
    opened = replace(opened, table=replace(opened.table, rows=lambda: rows))

    class Network:
        def __call__(self, *_: object) -> Any:
            raise _AtTheNetwork

    object.__setattr__(model._predictor, "backend", Network())

    def predict() -> None:
        with pytest.raises(_AtTheNetwork):
            next(model._chunks(opened))

    found = files_entered(predict)
    assert {"predict/model.py", "predict/predictor.py", "text/tokenizer.py"} <= found
    assert len(found) <= MOST_FILES, " ".join(sorted(found))
