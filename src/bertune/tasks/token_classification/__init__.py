"""The token classification task."""

from bertune.tasks.token_classification.task import TASK

__all__ = ["TASK"]
