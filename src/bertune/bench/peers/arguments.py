"""Owns the command line that all contestants share."""

import argparse
from pathlib import Path

from bertune.bench.job import Job
from bertune.hugging_face import load_config


def import_model_class(folder: str) -> None:
    """Imports the module of a model's class, which transformers does late, before a clock runs."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    assert MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(load_config(Path(folder)))]


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser of `JOB [--seed N]`, for a contestant to add its own options to."""
    made = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    made.add_argument("job", type=lambda name: Job.read(Path(name)), help="JSON file of a job")
    made.add_argument("--seed", type=int, default=1)
    return made
