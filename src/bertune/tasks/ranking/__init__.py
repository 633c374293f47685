"""The ranking task."""

from bertune.tasks.ranking.task import TASK

__all__ = ["TASK"]
