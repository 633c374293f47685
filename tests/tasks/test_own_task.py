"""A task file of one's own that lacks something is refused at once, by name, before anything is read."""

from pathlib import Path

import pytest

from bertune.config import TaskConfig
from bertune.errors import ConfigError
from bertune.tasks import make_task

HEAD = "from bertune.tasks import Task\n\n\nclass Mine(Task):\n"


def refusal(folder: Path, body: str) -> str:
    (folder / "mine.py").write_text(body, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        make_task(TaskConfig(name=str(folder / "mine.py")))
    return str(refused.value)


def test_what_a_task_lacks_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEAD + "    primary = 'a'\n    scores = ('a',)\n\n\nTASK = Mine\n")
    for name in ("parse", "Prediction", "Fitted", "columns", "sample"):
        assert name in said
    assert "primary" not in said.split("TASK lacks")[1]
    assert "fit," not in said, "it has a default"


def test_what_the_fitted_task_lacks_is_named(tmp_path: Path) -> None:
    body = (
        "from bertune.tasks import FittedTask\n"
        "from bertune.tasks.classification.task import Classification\n\n\n"
        "class Half(FittedTask):\n    head = None\n\n\n"
        "class Mine(Classification):\n    Fitted = Half\n\n\nTASK = Mine\n"
    )
    said = refusal(tmp_path, body)
    assert "Half lacks decode, encode, loss, score; see bertune.tasks.FittedTask" in said


def test_a_task_never_changes() -> None:
    task = make_task(TaskConfig(name="classification"))
    for thing in (task, task.fitted(("a", "b"))):
        with pytest.raises(AttributeError):
            thing.options = None  # type: ignore[misc]


@pytest.mark.parametrize("what", ["3", "dict", "Task(1)"])
def test_what_is_no_task_is_refused(what: str, tmp_path: Path) -> None:
    body = "def Task(_):\n    return _\n\n\n" + f"TASK = {what}\n"
    assert "must be a class derived from bertune.tasks.Task" in refusal(tmp_path, body)
