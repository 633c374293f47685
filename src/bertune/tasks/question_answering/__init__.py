"""The task `question_answering`, as its file `task.py` describes it."""

from bertune.tasks.question_answering.task import TASK

__all__ = ["TASK"]
