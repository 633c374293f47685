"""Incomplete custom tasks are an error that names the missing members, before any data is read."""

from pathlib import Path
from typing import Any

import pytest

from bertune.config import TaskConfig
from bertune.errors import ConfigError
from bertune.tasks import Output, make_task
from bertune.tasks.regression.task import FittedRegression
from bertune.text.sequences import Sequence

HEAD = "from bertune.tasks import Task\n\n\nclass Mine(Task):\n"


def refusal(folder: Path, body: str) -> str:
    (folder / "mine.py").write_text(body, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        make_task(TaskConfig(name=str(folder / "mine.py")))
    return str(refused.value)


def test_missing_members_of_a_task_are_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD + "    primary = 'a'\n    scores = ('a',)\n\n\nTASK = Mine\n")
    for name in ("parse", "Prediction", "Fitted", "columns", "sample"):
        assert name in message
    assert "primary" not in message.split("TASK does not define")[1]
    assert "fit," not in message, "fit has a default"


def test_missing_members_of_a_fitted_task_are_named(tmp_path: Path) -> None:
    body = (
        "from bertune.tasks import FittedTask\n"
        "from bertune.tasks.classification.task import Classification\n\n\n"
        "class Half(FittedTask):\n    head = None\n\n\n"
        "class Mine(Classification):\n    Fitted = Half\n\n\nTASK = Mine\n"
    )
    message = refusal(tmp_path, body)
    assert "Half does not define decode, encode, loss, score; see bertune.tasks.FittedTask" in message


def test_tasks_are_immutable() -> None:
    task = make_task(TaskConfig(name="classification"))
    for thing in (task, task.fitted(("a", "b"))):
        with pytest.raises(AttributeError):
            thing.options = None  # type: ignore[misc]


class Vectors(FittedRegression):
    """A custom task that also computes text vectors."""

    def decode_vector(self, outputs: list[Output], sequences: list[Sequence], example: Any) -> Output:
        return outputs[0]


def test_a_task_has_an_ability_if_it_defines_the_method() -> None:
    task = make_task(TaskConfig(name="regression"))
    plain, custom = FittedRegression(task), Vectors(task)
    assert not (plain.has_vectors or plain.has_probabilities or plain.has_fillings)
    assert custom.has_vectors and not (custom.has_probabilities or custom.has_fillings)


@pytest.mark.parametrize("what", ["3", "dict", "Task(1)"])
def test_an_export_that_is_not_a_task_is_an_error(what: str, tmp_path: Path) -> None:
    body = "def Task(_):\n    return _\n\n\n" + f"TASK = {what}\n"
    assert "must be a subclass of bertune.tasks.Task" in refusal(tmp_path, body)
