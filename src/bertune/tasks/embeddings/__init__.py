"""The embeddings task."""

from bertune.tasks.embeddings.task import TASK

__all__ = ["TASK"]
