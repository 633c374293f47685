"""Command-line arguments shared by all contestants."""

import argparse
from pathlib import Path

from bertune.bench.job import Job
from bertune.hugging_face import load_config


def import_model_class(folder: str) -> None:
    """Imports a model's class, which transformers imports lazily, before timing starts."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    assert MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(load_config(Path(folder)))]


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser of `JOB [--seed N]`, to which a contestant adds its own options."""
    made = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    made.add_argument("job", type=lambda name: Job.read(Path(name)), help="JSON file of a job")
    made.add_argument("--seed", type=int, default=1)
    return made
