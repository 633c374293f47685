"""The classification task."""

from bertune.tasks.classification.task import TASK

__all__ = ["TASK"]
