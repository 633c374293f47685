"""The task `language_modelling`, as its file `task.py` describes it."""

from bertune.tasks.language_modelling.task import TASK

__all__ = ["TASK"]
