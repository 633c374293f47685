"""The masked language modelling task."""

from bertune.tasks.language_modelling.task import TASK

__all__ = ["TASK"]
