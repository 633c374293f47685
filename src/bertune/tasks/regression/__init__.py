"""The regression task."""

from bertune.tasks.regression.task import TASK

__all__ = ["TASK"]
