"""/models/NAME/predict for every task: the sample rows are predicted, and nothing makes the service fail."""

from typing import Any

import pytest
from running import Running
from untrained import MODELS

from bertune.export.parity import differences
from bertune.predict.predictor import plain

STRANGE: list[Any] = [
    None, True, 0, -1.5, 1e308, "", " ", "\x00", "🙂", [], {}, [[]], [{}], {"": ""}, {"text": None},
    {"text": {"text": "a"}}, {"text": ["a", ["b"]]}, ["a"], ["a", None], ["a", "b"], ["a", 1, {}],
    ["a", "b", ["c", "d"]], ["a", "b", "c", "d", "e"], {"a": "b", "c": ["d"]},
    {"question": 1, "context": "x"}, {"question": "x"}, {"choices": "x"},
    {"text": "a", "label": "nothing", "id": 7}, "word " * 2000,
]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_strange_rows_are_predicted_or_refused(every: Running, name: str) -> None:
    with every.client() as client:
        for row in STRANGE:
            for rows in ([row], ["a text", row], [row, {"text": "a text"}]):
                found = client.post(f"/models/{name}/predict", json={"rows": rows})
                assert found.status_code in {200, 413, 422}, (rows, found.text)
                if found.status_code == 200:
                    assert len(found.json()["predictions"]) == len(rows)


@pytest.mark.parametrize("name", MODELS)
def test_sample_rows_are_predicted_as_by_the_library(every: Running, library: Any, name: str) -> None:
    model = library(name)
    columns = model.metadata.columns.text
    rows = [row for row in model.fitted.task.sample if set(columns) <= row.keys()]
    rows = rows or [dict.fromkeys(columns, text) for text in ("a lovely lamp", "the pump")]
    expected = [plain(prediction) for prediction in model.predict(rows)]
    with every.client() as client:
        found = client.post(f"/models/{name}/predict", json={"rows": rows}).json()["predictions"]
    decision = model.fitted.decision
    assert [decision(one) for one in found] == [decision(one) for one in expected]
    assert max(differences(found, expected), default=0) < 1e-4
