"""The task `embeddings`, as its file `task.py` describes it."""

from bertune.tasks.embeddings.task import TASK

__all__ = ["TASK"]
