"""The `question_answering` task; see `task.py`."""

from bertune.tasks.question_answering.task import TASK

__all__ = ["TASK"]
